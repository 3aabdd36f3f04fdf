"""Rendering beside the database: statements are made into files by processes of their own, one for each core.

They only compute: whatever is to last is written by whoever called them, so that nothing is left half done when they
or their caller are killed; they end when their caller has ended.
"""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from accounting.statement import StatementContent
from b2bua.statements.language import language_of
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.rendering import Format, render


@dataclass(frozen=True, slots=True)
class Task:
    """A statement, and how it is to be written; ``language`` is a code."""

    content: StatementContent
    proof: Mapping[str, Any] | None
    styles: tuple[Format, ...]
    language: str
    letterhead: Letterhead

    def done(self) -> list[bytes]:
        """A file for each style."""
        language = language_of(self.language)
        return [render(self.content, self.proof, style, language, self.letterhead) for style in self.styles]


def render_all(tasks: Iterable[Task], jobs: int) -> Iterator[tuple[Task, list[bytes]]]:
    """Render them in ``jobs`` processes (1: in this one); with several, in the order in which they are done.

    While they are at work the next task is made; no more are taken than there are processes, and that one.
    """
    if jobs <= 1:
        for task in tasks:
            yield task, task.done()
        return
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        idle: list[Connection] = []
        for _ in range(jobs):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(theirs,), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            # closed before it is waited for: that is its sign to end
            stack.callback(ours.close)
            idle.append(ours)
        busy: dict[Connection, Task] = {}
        for task in tasks:
            if not idle:
                yield from _finished(busy, idle)
            connection = idle.pop()
            connection.send(task)
            busy[connection] = task
        while busy:
            yield from _finished(busy, idle)


def _finished(busy: dict[Connection, Task], idle: list[Connection]) -> Iterator[tuple[Task, list[bytes]]]:
    """Wait until at least one is done."""
    for connection in wait(list(busy)):
        assert isinstance(connection, Connection)
        found = connection.recv()
        if isinstance(found, Exception):
            raise found
        idle.append(connection)
        yield busy.pop(connection), found


def _work(connection: Connection) -> None:
    # who presses Ctrl-C means the caller, which then closes the connection
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task: Task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer: list[bytes] | Exception = task.done()
        except Exception as error:
            answer = error
        try:
            connection.send(answer)
        except OSError:
            return
