"""Issuing statements: each once, under a number and a checkpoint of its own; the same again for the same books."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from sqlalchemy import Connection, and_, func, select

from accounting.checkpoint import Checkpoint, Signer
from accounting.checkpoint_store import content_digest, issue
from accounting.month import BERLIN, Month
from accounting.statement import Heading, StatementContent, StatementError, is_empty, statement
from accounting.store import lock_chain, read_tariffs, stream_calls
from accounting.tables import calls, checkpoints, declarations, journal, open_calls

_SECOND = 1_000_000_000


class IssuedBeforeError(StatementError):
    """A statement was issued, bills what the books say, and cannot be made again to the letter; ``number`` is its."""

    def __init__(self, number: str) -> None:
        super().__init__(
            f"statement {number} bills the same as when it was issued, but cannot be made again to the letter: numbers "
            "of callers have been deleted since, or a newer version writes more. The file issued then is the statement"
        )
        self.number = number


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom a statement is for: the contract's id, the customer's name and the contract's tariff."""

    contract: str
    name: str = ""
    tariff: str = ""


@dataclass(frozen=True, slots=True)
class Issued:
    """A statement as it was issued, with its proof. ``new``: now, and not already before."""

    content: StatementContent
    proof: Mapping[str, Any]
    new: bool


def draft(connection: Connection, customer: Customer, month: Month, timezone: ZoneInfo = BERLIN) -> StatementContent:
    """The statement as it is now, without number and proof. Raises StatementError."""
    heading = Heading(customer.contract, customer.name, customer.tariff)
    return _made(connection, heading, month, timezone)


def issue_statement(
    connection: Connection,
    signer: Signer,
    customer: Customer,
    month: Month,
    wall_ns: int,
    timezone: ZoneInfo = BERLIN,
) -> Issued | None:
    """Issue a contract's statement for a month; the caller commits. None if there is nothing to bill.

    What was issued before is made again to the letter, with its number and its proof, as long as the books bill the
    same. Do they not (a call was corrected), a new revision is issued that says which one it replaces.

    Raises StatementError for a bill that cannot be made, IssuedBeforeError for an issued one that cannot be made again
    because numbers on it have been deleted; :class:`accounting.chain.Disagreement` for books that somebody changed.
    """
    # No call may come between those that are read here and the record that they were billed.
    lock_chain(connection)
    before = last_issued(connection, customer.contract, month)
    if not before:
        heading = Heading(customer.contract, customer.name, customer.tariff)
        return _issue(connection, signer, heading, month, wall_ns, timezone)
    heading = Heading(
        contract=customer.contract,
        customer=before["customer"],
        base_tariff=before["base_tariff"],
        number=before["number"],
        revision=before["revision"],
        replaces=before["replaces"],
        issued=before["issued"],
    )
    again = _made(connection, heading, month, ZoneInfo(before["timezone"]))
    if content_digest(again) == before["digest"]:
        return Issued(again, _proof(connection, before["digest"]), False)
    if again["billed"] == before["billed"]:
        raise IssuedBeforeError(before["number"])
    heading = Heading(
        customer.contract, customer.name, before["base_tariff"], replaces=before["number"],
        revision=before["revision"] + 1,
    )  # fmt: skip
    return _issue(connection, signer, heading, month, wall_ns, timezone)


def last_issued(connection: Connection, contract: str, month: Month) -> Mapping[str, Any]:
    """What the journal has of the newest revision of a statement; empty if none was issued."""
    newest: Mapping[str, Any] = {}
    revision = 1
    while found := _declared(connection, _number(contract, month, revision)):
        newest = found
        revision += 1
    return newest


def open_calls_before(connection: Connection, until_ns: int) -> int:
    """How many calls were connected before an instant and have not ended: they are not billed yet."""
    connected = and_(journal.c.run == open_calls.c.run, journal.c.sequence == open_calls.c.sequence)
    query = select(func.count()).select_from(open_calls.join(journal, connected)).where(journal.c.wall_ns < until_ns)
    return int(connection.execute(query).scalar_one())


def contracts_with_calls(connection: Connection, month: Month, timezone: ZoneInfo = BERLIN) -> list[str]:
    """Contracts that may have calls on a statement of this month."""
    since, until = month.window_ns(timezone)
    query = select(calls.c.contract).distinct().where(calls.c.started_at_ns >= since, calls.c.started_at_ns < until)
    return sorted(contract for contract in connection.execute(query).scalars() if contract)


def _number(contract: str, month: Month, revision: int) -> str:
    return f"{month}-{contract}-{revision}"


def _made(connection: Connection, heading: Heading, month: Month, timezone: ZoneInfo) -> StatementContent:
    since, until = month.window_ns(timezone)
    month_calls = stream_calls(
        connection, contract=heading.contract, since_ns=since, until_ns=until, order="oldest", media=False
    )
    return statement(month_calls, read_tariffs(connection), heading, month, timezone)


def _issue(
    connection: Connection,
    signer: Signer,
    heading: Heading,
    month: Month,
    wall_ns: int,
    timezone: ZoneInfo,
) -> Issued | None:
    numbered = Heading(
        contract=heading.contract,
        customer=heading.customer,
        base_tariff=heading.base_tariff,
        number=_number(heading.contract, month, heading.revision),
        revision=heading.revision,
        replaces=heading.replaces,
        issued=datetime.fromtimestamp(wall_ns // _SECOND, timezone).isoformat(),
    )
    content = _made(connection, numbered, month, timezone)
    if is_empty(content) and not heading.replaces:
        return None
    return Issued(content, issue(connection, signer, content, wall_ns), True)


def _declared(connection: Connection, number: str) -> Mapping[str, Any]:
    query = (
        select(journal.c.content)
        .join(declarations, declarations.c.position == journal.c.position)
        .where(declarations.c.kind == "statement", declarations.c.subject == number)
        .order_by(journal.c.position.desc())
    )
    found = connection.execute(query).scalars().first()
    content: Mapping[str, Any] = {} if found is None else orjson.loads(found)
    # one that another program issued, with less in it, cannot be made again
    return content if "billed" in content else {}


def _proof(connection: Connection, digest: str) -> Mapping[str, Any]:
    query = select(checkpoints).where(checkpoints.c.purpose == "statement", checkpoints.c.statement == digest)
    row = connection.execute(query.order_by(checkpoints.c.number)).first()
    if row is None:
        raise StatementError("the checkpoint of an issued statement is missing: `b2bua audit` says more")
    made = Checkpoint(*row)
    return {"checkpoint": made.body, "signature": made.signature, "key": made.key}
