"""Processes that render: the same as without, errors come back, and nobody is left behind."""

import multiprocessing
from collections.abc import Iterator

import pytest

from accounting.statement import Heading, StatementContent, statement
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.renderers import Task, render_all
from b2bua.statements.rendering import Format
from tests.accounting.test_statement import JULY, TARIFFS, record


def task(number: int) -> Task:
    content = statement(
        [record(talked=number)], TARIFFS, Heading("c-1", number=str(number), issued="2025-08-01T00:00:00+02:00"), JULY
    )
    return Task(
        content,
        {"checkpoint": {"number": 1, "position": 1}, "key": "ab"},
        (Format.JSON, Format.HTML),
        "de",
        Letterhead(),
    )


def test_several_processes_make_what_one_makes() -> None:
    alone = {made.content["number"]: files for made, files in render_all(map(task, range(20)), 1)}
    together = {made.content["number"]: files for made, files in render_all(map(task, range(20)), 2)}
    assert len(alone) == 20
    assert together == alone
    assert not multiprocessing.active_children()


def test_no_more_tasks_are_taken_than_there_are_processes_and_one() -> None:
    taken = 0

    def tasks() -> Iterator[Task]:
        nonlocal taken
        for number in range(10):
            taken += 1
            yield task(number)

    done = 0
    for _ in render_all(tasks(), 2):
        done += 1
        assert taken - done <= 3
    assert done == 10


def test_an_error_comes_back() -> None:
    content: StatementContent = {**task(1).content, "month": "never"}
    with pytest.raises(ValueError, match="invalid literal"):
        list(render_all([Task(content, None, (Format.HTML,), "de", Letterhead())], 2))
    assert not multiprocessing.active_children()
