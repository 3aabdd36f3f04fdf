"""The month's run: a statement for each contract, issued and written, one after the other, and DATEV's bookings.

It may be killed at any instant and started again. A statement is issued first, then its files are written, then the
manifest says so: what was issued and not written is made again to the letter (:mod:`accounting.issuing`).
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from accounting.checkpoint import Signer
from accounting.datev import CURRENCY, Accounts, Booking, to_datev
from accounting.issuing import Customer, IssuedBeforeError, draft, issue_statement
from accounting.month import BERLIN, Month
from accounting.statement import StatementContent, StatementError, file_name, is_empty
from b2bua.statements.customers import Recipient, recipients
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.manifest import Manifest, write_whole
from b2bua.statements.renderers import Task, render_all
from b2bua.statements.rendering import Format

Entry = dict[str, Any]
#: So many statements take longer than it takes to start processes.
_WORTH_PROCESSES = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do. ``language`` is empty for each contract's own; without a ``signer`` it makes drafts.

    ``jobs`` is the number of processes that render; 0 means one for each core, if there is enough to do.
    """

    month: Month
    folder: Path
    formats: tuple[Format, ...]
    language: str
    signer: Signer | None
    letterhead: Letterhead
    accounts: Accounts
    corrected: bool = False
    jobs: int = 0


@dataclass(slots=True)
class Summary:
    """What came of it. ``before``: statements that an earlier start had finished; sums are over all, by currency."""

    statements: int = 0
    before: int = 0
    revisions: int = 0
    nothing: int = 0
    calls: int = 0
    net: dict[str, Decimal] = field(default_factory=dict)
    vat: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    gross: dict[str, Decimal] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    datev: list[str] = field(default_factory=list)


def invoice_run(engine: Engine, plan: Plan, progress: Callable[[int, int], None]) -> Summary:
    """Do what is left of the run. ``progress`` is told how many contracts are done, and of how many.

    Raises :class:`b2bua.statements.manifest.ManifestError`, :class:`accounting.datev.DatevError`,
    :class:`accounting.chain.Disagreement` and ``OSError``; a contract whose bill cannot be made does not stop the run.
    """
    summary = Summary()
    run = {
        "month": str(plan.month), "formats": [style.value for style in plan.formats], "language": plan.language,
        "draft": plan.signer is None, "began": datetime.now(BERLIN).isoformat(timespec="milliseconds"),
    }  # fmt: skip
    with Manifest(plan.folder, run) as manifest:
        with engine.connect() as connection:
            everyone = recipients(connection, plan.month)
        done = manifest.done()
        left = [one for one in everyone if plan.corrected or one.customer.contract not in done]
        summary.before = sum("number" in done.get(one.customer.contract, {}) for one in everyone)
        finished = len(everyone) - len(left)
        tasks = _tasks(engine, plan, left, manifest, summary)
        jobs = plan.jobs or (os.cpu_count() or 1 if len(left) >= _WORTH_PROCESSES else 1)
        for task, files in render_all(tasks, jobs):
            _keep(plan, task, files, manifest)
            before = done.get(task.content["contract"], {}).get("number")
            summary.before -= before is not None
            summary.revisions += before is not None
            finished += 1
            progress(finished, len(everyone))
        progress(len(everyone), len(everyone))
        if not summary.failed and plan.signer is not None:
            _book(manifest, plan)
        _sum_up(manifest, summary)
    return summary


def _tasks(
    engine: Engine, plan: Plan, left: Iterable[Recipient], manifest: Manifest, summary: Summary
) -> Iterator[Task]:
    """Issue one statement after the other, as they are asked for: those that are to be written."""
    done = manifest.done()
    for one in left:
        entry = done.get(one.customer.contract)
        try:
            content, proof = _made(engine, plan, one.customer)
        except IssuedBeforeError as error:
            if entry is None or entry.get("number") != error.number:
                summary.failed.append(str(error))
            continue
        except StatementError as error:
            summary.failed.append(str(error))
            continue
        if content is None:
            if entry is None:
                manifest.add({"contract": one.customer.contract, "nothing": True})
        elif entry is None or entry.get("number") != content["number"]:
            yield Task(content, proof, plan.formats, plan.language or one.language, plan.letterhead)


def _keep(plan: Plan, task: Task, files: Iterable[bytes], manifest: Manifest) -> None:
    """Write the files, and that they are there."""
    content, digests = task.content, {}
    for style, file in zip(plan.formats, files, strict=True):
        name = f"{file_name(content)}.{style.ending}"
        write_whole(plan.folder / name, file)
        digests[name] = hashlib.sha256(file).hexdigest()
    manifest.add(
        {
            "contract": content["contract"], "customer": content["customer"], "number": content["number"],
            "revision": content["revision"], "calls": len(content["lines"]), "currency": content["currency"],
            "net": content["net"], "gross": content["gross"], "taxes": content["taxes"], "files": digests,
        }
    )  # fmt: skip


def _made(engine: Engine, plan: Plan, customer: Customer) -> tuple[StatementContent | None, Mapping[str, Any] | None]:
    """Content and proof, which a draft has not; nothing at all where there is nothing to bill."""
    if plan.signer is None:
        with engine.connect() as connection:
            content = draft(connection, customer, plan.month)
        return (None if is_empty(content) else content), None
    with engine.begin() as connection:
        made = issue_statement(connection, plan.signer, customer, plan.month, time.time_ns())
    return (None, None) if made is None else (made.content, made.proof)


# -- bookings --------------------------------------------------------------------------------------------


def _book(manifest: Manifest, plan: Plan) -> None:
    """Write the bookings of all statements that are in no file of bookings yet."""
    files = sum("datev" in entry for entry in manifest.entries)
    bookings = list(_bookings(manifest.entries))
    if not bookings:
        return
    name = f"EXTF_Buchungsstapel_{plan.month}{f'_{files + 1}' if files else ''}.csv"
    # by this the same run writes the same file, however often it was killed
    created = datetime.fromisoformat(manifest.run["began"])
    write_whole(plan.folder / name, to_datev(bookings, plan.accounts, plan.month, created))
    manifest.add({"datev": name, "bookings": len(bookings)})


def _bookings(entries: Sequence[Entry]) -> Iterator[Booking]:
    """A statement that replaces one that was booked takes that back first."""
    booked: dict[str, Entry] = {}
    fresh: dict[str, Entry] = {}
    for entry in entries:
        if "datev" in entry:
            booked |= fresh
            fresh = {}
        elif "number" in entry and entry["currency"] == CURRENCY:
            fresh[entry["contract"]] = entry
    for contract, entry in sorted(fresh.items()):
        if contract in booked:
            yield from _parts(booked[contract], cancels=True)
        yield from _parts(entry, cancels=False)


def _parts(entry: Entry, *, cancels: bool) -> Iterator[Booking]:
    for tax in entry["taxes"]:
        yield Booking(
            entry["contract"], entry["customer"], entry["number"], tax["rate"], Decimal(tax["gross"]), cancels
        )  # fmt: skip


def _sum_up(manifest: Manifest, summary: Summary) -> None:
    foreign = 0
    for entry in manifest.done().values():
        if "number" not in entry:
            summary.nothing += 1
            continue
        summary.statements += 1
        summary.calls += entry["calls"]
        currency = entry["currency"]
        foreign += currency != CURRENCY
        summary.net[currency] = summary.net.get(currency, Decimal(0)) + Decimal(entry["net"])
        summary.gross[currency] = summary.gross.get(currency, Decimal(0)) + Decimal(entry["gross"])
        for tax in entry["taxes"]:
            key = (currency, tax["rate"])
            summary.vat[key] = summary.vat.get(key, Decimal(0)) + Decimal(tax["vat"])
    summary.datev = [entry["datev"] for entry in manifest.entries if "datev" in entry]
    if foreign:
        summary.notices.append(f"{foreign} statements are not in {CURRENCY} and not in the bookings: book them by hand")
