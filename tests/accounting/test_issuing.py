"""Statements issued: on both databases, once each, and again to the letter."""

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Engine

from accounting.audit import audit_database
from accounting.checkpoint import PublicKeys, Signer
from accounting.issuing import Customer, Issued, draft, issue_statement, last_issued, open_calls_before
from accounting.month import Month
from accounting.store import declare
from tests.accounting.books import JULY, new_signer, write_books
from tests.accounting.ledger import ANCHOR

NOW = ANCHOR + 40 * 86_400 * 10**9
MINE = Customer("c-1", "Müller", "standard")


@pytest.fixture
def signer(engine: Engine) -> Signer:
    """Whose books are in the database; the statement that is in them was issued by another program."""
    made = new_signer()
    write_books(engine, made)
    return made


def issue(engine: Engine, signer: Signer, customer: Customer = MINE, month: Month = JULY) -> Issued | None:
    with engine.begin() as connection:
        return issue_statement(connection, signer, customer, month, NOW)


def issued(engine: Engine, signer: Signer, customer: Customer = MINE) -> Issued:
    made = issue(engine, signer, customer)
    assert made is not None
    return made


def test_the_same_again(engine: Engine, signer: Signer) -> None:
    first = issued(engine, signer)
    assert (first.content["number"], first.content["issued"], first.new) == (
        "2025-07-c-1-1", "2025-08-10T00:00:00+02:00", True,
    )  # fmt: skip
    again = issued(engine, signer, Customer("c-1", "Schmidt", "another"))
    assert (again.content, dict(again.proof), again.new) == (first.content, dict(first.proof), False)
    with engine.connect() as connection:
        findings = audit_database(connection, PublicKeys([signer.public_key]))
    assert findings.statements == 2


def test_what_is_corrected_is_another_revision(engine: Engine, signer: Signer) -> None:
    first = issued(engine, signer)
    with engine.begin() as connection:
        declare(connection, "correction", "plain", NOW, {"talked_ns": 1, "reason": "noise", "by": "eva"})
    second = issued(engine, signer)
    assert (second.content["number"], second.content["replaces"]) == ("2025-07-c-1-2", first.content["number"])
    assert second.content["lines"][0]["corrected"]
    assert issued(engine, signer).content == second.content
    with engine.connect() as connection:
        known: Mapping[str, Any] = last_issued(connection, "c-1", JULY)
    with engine.connect() as connection:
        findings = audit_database(connection, PublicKeys([signer.public_key]))
    assert (known["revision"], known["taxes"]) == (2, second.content["taxes"])
    assert findings.statements == 3


def test_a_draft_is_what_would_be_issued(engine: Engine, signer: Signer) -> None:
    with engine.connect() as connection:
        drafted = draft(connection, MINE, JULY)
    made = issued(engine, signer).content
    assert drafted["billed"] == made["billed"]
    assert drafted["lines"] == made["lines"]
    assert (drafted["number"], drafted["issued"]) == ("", "")


def test_nothing_to_bill_is_not_issued(engine: Engine, signer: Signer) -> None:
    assert issue(engine, signer, Customer("c-2")) is None
    assert issue(engine, signer, month=Month(2025, 6)) is None


def test_open_calls_are_counted(engine: Engine, signer: Signer) -> None:
    """The books end with one, connected in the third minute."""
    with engine.connect() as connection:
        assert open_calls_before(connection, ANCHOR + 100 * 10**9) == 0
        assert open_calls_before(connection, NOW) == 1
