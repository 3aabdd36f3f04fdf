"""Which sockets have packets: an epoll of our own, watched by the event loop as one descriptor.

The loop calls once for a batch of sockets instead of once per socket, and a socket's error state never
reaches it.
"""

import asyncio
import contextlib
import select
import socket
from collections.abc import Callable
from typing import Final

#: Packets taken per call of the event loop: a third of a millisecond, so that signalling does not wait long.
BATCH: Final = 64

_waste: Final = bytearray(1)

#: After so many full batches in a row there is more than one packet in a socket: then up to ``DEEP`` are taken from
#: each before the next one's turn. Going on with a socket the kernel has just touched costs about half.
BEHIND: Final = 16
DEEP: Final = 4

PacketHandler = Callable[[float], bool]
"""Takes one packet from its socket, False if there is none; gets the batch's time in monotonic seconds."""


class Readiness:
    """Calls each ready socket's handler, which takes one packet: level-triggered, the rest comes next time."""

    __slots__ = ("_clock", "_full_batches", "_handlers", "_loop", "_poll", "_wait")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._poll = select.epoll()
        self._wait = self._poll.poll
        self._handlers: dict[int, PacketHandler] = {}
        self._clock = clock
        self._full_batches = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let ``loop`` watch."""
        self._loop = loop
        loop.add_reader(self._poll.fileno(), self.run)

    def close(self) -> None:
        """Stop watching for good; sockets must be unwatched before they are closed."""
        if self._loop is not None:
            self._loop.remove_reader(self._poll.fileno())
            self._loop = None
        self._handlers.clear()
        self._poll.close()

    def watch(self, fileno: int, handler: PacketHandler) -> None:
        """Call ``handler`` from now on when ``fileno`` is readable, instead of any before."""
        if fileno not in self._handlers:
            self._poll.register(fileno, select.EPOLLIN)
        self._handlers[fileno] = handler

    def rest(self, opened: socket.socket) -> None:
        """Throw away what comes from now on: a socket that waits for its next call stays registered, since
        taking it out and in again are two system calls."""
        fileno = opened.fileno()
        if fileno in self._handlers:
            receive_into = opened.recv_into

            def discard(now: float) -> bool:
                with contextlib.suppress(OSError):  # nothing there, or an ICMP error: as good as thrown away
                    receive_into(_waste)
                return False

            self._handlers[fileno] = discard

    def watches(self, fileno: int) -> bool:
        """Whether packets of this socket are taken, be it to throw them away."""
        return fileno in self._handlers

    def unwatch(self, fileno: int) -> None:
        """Packets stay in the socket; nothing happens if it is not watched."""
        if self._handlers.pop(fileno, None) is not None:
            self._poll.unregister(fileno)

    def run(self) -> None:
        """One batch. Handlers must not watch or unwatch another's socket."""
        now = self._clock()
        handlers = self._handlers
        ready = self._wait(0, BATCH)
        if self._full_batches <= BEHIND:
            for fileno, _ in ready:
                handlers[fileno](now)
        else:
            for fileno, _ in ready:
                handler = handlers[fileno]
                for _ in range(DEEP):
                    if not handler(now):
                        break
        self._full_batches = self._full_batches + 1 if len(ready) == BATCH else 0
