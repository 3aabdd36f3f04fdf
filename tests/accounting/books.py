"""Books to audit: a journal with all that happens, in a database, exported, and tampered with."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, Engine

from accounting.archive import read_archive, read_entries, write_archive
from accounting.audit import Findings, audit
from accounting.checkpoint import PublicKeys, Signer
from accounting.checkpoint_store import checkpoint, issue
from accounting.journal import CallEnded
from accounting.month import Month
from accounting.rating import rate_month
from accounting.recovery import recover
from accounting.store import (
    create_tables,
    declare,
    declare_tariffs,
    lock_chain,
    open_engine,
    read_calls,
    read_tariffs,
    write_batch,
)
from accounting.tariff import Increment, Tariff, TariffVersion
from tests.accounting.ledger import ANCHOR, HandLedger, call_ended

HOUR_NS = 3_600_000_000_000
JULY = Month(2025, 7)
STANDARD = Tariff(
    "standard", "EUR", (TariffVersion(per_minute=Decimal("0.89"), increment=Increment(60, 60), vat=Decimal(19)),)
)  # fmt: skip


def new_signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def july_statement(connection: Connection, contract: str = "c-1") -> dict[str, Any]:
    """The content of a statement."""
    lock_chain(connection)
    bill = rate_month(read_calls(connection, contract=contract), read_tariffs(connection), JULY)
    lines = [
        {
            "call_id": line.call.call_id, "amount": str(line.rated.amount), "units": line.rated.units,
            "billed_seconds": line.rated.billed_seconds, "talked_ns": line.call.talked_ns,
        }
        for line in bill.lines
    ]  # fmt: skip
    return {
        "contract": contract, "month": str(JULY), "number": f"{JULY}-{contract}", "currency": bill.currency,
        "net": str(bill.net), "vat": str(bill.tax), "gross": str(bill.gross), "lines": lines,
        "timezone": bill.timezone,
    }  # fmt: skip


def write_books(engine: Engine, signer: Signer) -> dict[str, Any]:
    """A day: calls with holds and transfers, calls nobody took, a crash, a correction, a statement, checkpoints.

    Returns the statement, content and proof.
    """
    with engine.begin() as connection:
        declare_tariffs(connection, [STANDARD], ANCHOR)
    hand = HandLedger("node-a", ANCHOR)
    other = HandLedger("node-b", ANCHOR + 17)
    hand.connected(5.0, "plain", facts={"caller": "+4930111", "forwarded_from": "+49891", "started_ns": 3})
    hand.heartbeat(6.0)
    other.connected(6.5, "else", agent="bert", facts={"caller": "+4930222", "forwarded_from": ""})
    hand.turned(20.0, "plain", activity="hold")
    hand.turned(25.0, "plain", activity="talk")
    hand.connected(40.0, "plain", agent="bert")
    _batch(engine, hand, other)
    hand.hung_up(65.2, "plain")
    hand.ended(replace(_call("plain", 5.0, 65.2), agent="bert"))
    other.hung_up(70.0, "else")
    other.ended(_call("else", 6.5, 70.0))
    other.ended(call_ended("nobody", result="abandoned", started=71.0, ended=99.0))
    hand.connected(80.0, "crashed", facts={"caller": "", "forwarded_from": "+49893"})
    hand.turned(81.0, "crashed", activity="consultation")
    hand.heartbeat(90.0)
    _batch(engine, hand, other)
    with engine.begin() as connection:
        checkpoint(connection, signer, ANCHOR + HOUR_NS, "hourly")
        recover(connection, living=["node-b"])
    other.connected(100.0, "test", billable=False)
    other.ended(replace(_call("test", 100.0, 130.0), billable=False))
    other.connected(140.0, "later")
    _batch(engine, hand, other)
    with engine.begin() as connection:
        declare(connection, "correction", "else", ANCHOR, {"talked_ns": 30 * 10**9, "reason": "noise", "by": "eva"})
        content = july_statement(connection)
        proof = issue(connection, signer, content, ANCHOR + 2 * HOUR_NS)
    other.ended(_call("later", 140.0, 150.0))
    _batch(engine, hand, other)
    with engine.begin() as connection:
        checkpoint(connection, signer, ANCHOR + 3 * HOUR_NS, "hourly")
    other.connected(160.0, "open", facts={"caller": "+4930333", "forwarded_from": ""})
    other.heartbeat(161.0)
    _batch(engine, hand, other)
    return {"content": content, "proof": proof}


def small_export(folder: Path, signer: Signer) -> Path:
    """An export with all that an export has, numbers too, and nothing twice: tariffs, one call, a checkpoint."""
    engine = open_engine(f"sqlite:///{folder / 'small.db'}")
    create_tables(engine)
    hand = HandLedger("node-a", ANCHOR)
    hand.connected(5.0, "plain", facts={"caller": "+4930111", "forwarded_from": ""})
    hand.hung_up(65.2, "plain")
    hand.ended(_call("plain", 5.0, 65.2))
    with engine.begin() as connection:
        declare_tariffs(connection, [STANDARD], ANCHOR)
        write_batch(connection, hand.items)
        checkpoint(connection, signer, ANCHOR + HOUR_NS, "hourly")
    path = export(engine, folder / "small.jsonl")
    engine.dispose()
    return path


def _call(call_id: str, answered: float, ended: float) -> CallEnded:
    return call_ended(call_id, started=answered - 2, answered=answered, ended=ended)


def _batch(engine: Engine, *hands: HandLedger) -> None:
    for hand in hands:
        with engine.begin() as connection:
            write_batch(connection, hand.items)
        hand.items.clear()


def export(engine: Engine, path: Path, *, personal: bool = True) -> Path:
    with engine.connect() as connection:
        write_archive(path, read_entries(connection), ANCHOR, personal=personal)
    return path


def audited(path: Path, *signers: Signer, **options: Any) -> Findings:
    return audit(read_archive(path), PublicKeys(signer.public_key for signer in signers), **options)
