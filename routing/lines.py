"""Lines of our own: phones of customers that register with us and have a number, and how they are forwarded.

Values, and what the present forwarding is; where it leads a call is in :mod:`routing.line_route`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from routing.contract import Endpoint
from routing.forwarding import USUAL_SECONDS, ForwardingKind

#: A call that was forwarded so often is in a ring of lines, or in somebody's joke.
MOST_HOPS = 5
#: Calls of one line to outside at a time: a stolen password dials many.
MOST_CALLS_OUT = 4


@dataclass(frozen=True, slots=True)
class Line:
    """A phone of a customer, not of an agent.

    ``number`` is E.164. ``no_answer_seconds`` is how long it rings until a call goes to the number for no answer, where
    the code named no time. ``may_forward_to`` and ``may_call`` are numbers of the public network, or their beginnings
    with a ``*`` behind (``+4930*``): without any, the line reaches our own numbers alone.
    """

    number: str
    name: str
    endpoint: Endpoint
    no_answer_seconds: int = USUAL_SECONDS
    language: str = "de"
    may_forward_to: tuple[str, ...] = ()
    may_call: tuple[str, ...] = ()

    def forwards_to(self, number: str) -> bool:
        """Whether it may be forwarded to this number of the public network."""
        return _allowed(number, self.may_forward_to)

    def calls(self, number: str) -> bool:
        """Whether it may call this number of the public network."""
        return _allowed(number, self.may_call)


def _allowed(number: str, patterns: tuple[str, ...]) -> bool:
    return any(number.startswith(pattern[:-1]) if pattern.endswith("*") else number == pattern for pattern in patterns)


@dataclass(frozen=True, slots=True)
class LineForwarding:
    """One kind of a line's forwarding. ``seconds`` is of ``no_answer``, 0 is the line's own time. Not ``active``:
    the number is remembered for switching it on again; no ``number``: it is forgotten."""

    line: str
    kind: ForwardingKind
    number: str
    seconds: int = 0
    active: bool = True


class LineForwardings:
    """Which lines are forwarded now. ``on_change`` is told what was dialled, to write it down."""

    __slots__ = ("_by_line", "on_change")

    def __init__(self, forwardings: Iterable[LineForwarding] = ()) -> None:
        self._by_line: dict[str, dict[ForwardingKind, LineForwarding]] = {}
        self.on_change: Callable[[LineForwarding], None] = lambda forwarding: None
        for item in forwardings:
            self.take(item)

    def find(self, line: str, kind: ForwardingKind) -> LineForwarding | None:
        """What is known of this kind, active or not; None without a number."""
        return self._by_line.get(line, {}).get(kind)

    def active(self, line: str, kind: ForwardingKind) -> LineForwarding | None:
        """The forwarding of this kind if it is on."""
        found = self.find(line, kind)
        return found if found is not None and found.active else None

    def of(self, line: str) -> list[LineForwarding]:
        """All that is known of a line."""
        return list(self._by_line.get(line, {}).values())

    def change(self, forwarding: LineForwarding) -> None:
        """The line has dialled this."""
        self.take(forwarding)
        self.on_change(forwarding)

    def take(self, forwarding: LineForwarding) -> None:
        """So it is written down."""
        kinds = self._by_line.setdefault(forwarding.line, {})
        if forwarding.number:
            kinds[forwarding.kind] = forwarding
            return
        kinds.pop(forwarding.kind, None)
        if not kinds:
            del self._by_line[forwarding.line]

    def keep_only(self, lines: Mapping[str, Line]) -> None:
        """Lines that are gone leave nothing behind: their numbers may be somebody else's one day."""
        for line in self._by_line.keys() - lines.keys():
            del self._by_line[line]
