"""The audit: everything that can be recomputed from the journal alone is, and compared with what was written.

It needs the records and checkpoints, of a database or an export, and the public keys; nothing else, no server and no
table but the journal. The first record that disagrees is named, and why.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from sqlalchemy import Connection, create_engine, func, select

from accounting.archive import ArchiveError, Entry, at_one_instant, read_entries
from accounting.audit_statements import StatementAudit
from accounting.chain import Chain, ChainedRecord, Disagreement, How, canonical, digest
from accounting.checkpoint import Checkpoint, PublicKeys
from accounting.content import PERSONAL, is_forgotten, read_item
from accounting.derived import Derivation, call_record
from accounting.journal import CallEnded, Declaration
from accounting.proven import ProvenCalls
from accounting.statement_file import StatementFile
from accounting.tables import calls, declarations, journal_head, open_calls

#: Derived rows are written, and progress is told, every so many records.
_BATCH = 1000


@dataclass(slots=True)
class Findings:
    """What was checked, and found right.

    ``unsigned`` counts the records after the last checkpoint, which nothing protects yet; ``forgotten`` those whose
    numbers were deleted by age; ``open_calls`` were connected when the journal ended. ``notices`` are sentences about
    what is no disagreement, and should be known.
    """

    records: int = 0
    checkpoints: int = 0
    unsigned: int = 0
    losses: int = 0
    calls: int = 0
    talked_ns: int = 0
    recovered: int = 0
    unproven: int = 0
    open_calls: int = 0
    forgotten: int = 0
    corrections: int = 0
    tariffs: int = 0
    statements: int = 0
    lines: int = 0
    rows: int = 0
    head: str = ""
    notices: list[str] = field(default_factory=list)


class Audit:
    """Takes an export's entries in order. :func:`audit` and :func:`audit_database` are easier to use.

    ``scratch`` is an empty database of its own, where the calls are derived anew: memory stays bounded.
    """

    def __init__(self, keys: PublicKeys, scratch: Connection, statements: Collection[StatementFile] = ()) -> None:
        self._keys = keys
        self._scratch = scratch
        self._chain = Chain()
        self._checkpoint: Checkpoint | None = None
        self._proven = ProvenCalls()
        self._derived = Derivation()
        self._statements = StatementAudit(scratch, {item.digest: item.content for item in statements})
        self._given = {item.digest: item.checkpoint for item in statements}
        #: the digest of the statement in the last record, until a checkpoint signs it
        self._unsigned_statement = ""
        self.findings = Findings()

    def run(self, entries: Iterable[Entry], progress: Callable[[int], None]) -> None:
        """All entries; raises :class:`Disagreement`."""
        rest = iter(entries)
        for entry in rest:
            if isinstance(entry, Checkpoint):
                self._signed(entry)
                continue
            if not self._chain.fits(entry):
                raise self._chain.explain(entry, _readable_records(rest))
            self._record(entry)
            if entry.position % _BATCH == 0:
                self._derived.write(self._scratch)
                progress(entry.position)
        self._finish()
        progress(self.findings.records)

    # -- records -----------------------------------------------------------------------------------------

    def _record(self, record: ChainedRecord) -> None:
        position = record.position
        self._expect_signature(position)
        try:
            item = read_item(record)
            content = orjson.loads(record.content)
            forgotten = is_forgotten(record)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Disagreement(position, "wrong", f"cannot be understood: {error!r}", record.call_id) from error
        self._check_personal(record, content)
        self.findings.records += 1
        self.findings.forgotten += forgotten
        self._proven.sequence(position, record.run, record.sequence)
        self._derived.take(position, item, forgotten=forgotten)
        if isinstance(item, CallEnded):
            self._ended(record, item)
        elif isinstance(item, Declaration):
            self._declared(position, item)
        else:
            self._proven.entry(position, item)

    def _check_personal(self, record: ChainedRecord, content: dict[str, Any]) -> None:
        """The numbers stand beside the chain, their salted digests in it."""
        if not record.personal:
            return
        found = content.get("facts", content)
        try:
            known = orjson.loads(record.personal)
            right = (
                set(known) == {*PERSONAL, "salt"}
                and canonical(known) == record.personal
                and all(digest(known["salt"], name, known[name]) == found[name] for name in PERSONAL)
            )
        except (ValueError, KeyError, TypeError):
            right = False
        if not right:
            raise Disagreement(
                record.position, "changed", "has other numbers beside it than those it was made of: they were changed",
                record.call_id,
            )  # fmt: skip

    def _ended(self, record: ChainedRecord, call: CallEnded) -> None:
        if record.wall_ns != call.wall_anchor_ns + call.ended_ns or record.at_ns != call.ended_ns:
            raise Disagreement(record.position, "wrong", "has another time than the call's end", call.call_id)
        self._proven.ended(record.position, call)
        self.findings.calls += 1
        self.findings.talked_ns += call.talked_ns
        self.findings.recovered += call.recovered

    def _declared(self, position: int, item: Declaration) -> None:
        if item.kind == "correction":
            self.findings.corrections += 1
            return
        if item.kind == "tariffs":
            self.findings.tariffs += 1
            self._statements.tariffs(position, item)
            return
        self._derived.write(self._scratch)
        self.findings.statements += 1
        self.findings.lines += self._statements.statement(position, item)
        self._unsigned_statement = str(item.content.get("digest", ""))

    # -- checkpoints -------------------------------------------------------------------------------------

    def _expect_signature(self, position: int) -> None:
        if self._unsigned_statement:
            raise Disagreement(
                position - 1, "removed", "is a statement without a checkpoint: its signature was removed"
            )

    def _signed(self, checkpoint: Checkpoint) -> None:
        self._keys.check(checkpoint)
        number, position = checkpoint.number, checkpoint.position
        before, chain = self._checkpoint, self._chain
        expected = 1 if before is None else before.number + 1
        if number != expected:
            how: How = "removed" if number > expected else "added"
            raise Disagreement(chain.position, how, f"checkpoint {expected} should be here, and {number} is")
        if before is not None and checkpoint.previous != before.digest:
            raise Disagreement(
                position, "changed", f"checkpoint {number} was signed after another checkpoint {number - 1} than this"
            )  # fmt: skip
        if position > chain.position:
            raise Disagreement(
                chain.position + 1, "removed", f"is missing: checkpoint {number} signs record {position} and all before"
            )  # fmt: skip
        if position < chain.position:
            raise Disagreement(position, "moved", f"checkpoint {number} is not after the record that it signs")
        if checkpoint.hash != chain.hash:
            first = 1 if before is None else before.position + 1
            raise Disagreement(
                first, "changed",
                f"this record or one after it, up to {position}, is not what checkpoint {number} signed: somebody "
                "changed it and wrote the hashes anew",
            )  # fmt: skip
        if checkpoint.statement != self._unsigned_statement:
            raise Disagreement(position, "wrong", f"checkpoint {number} signs a statement that is not here")
        given = self._given.get(checkpoint.statement, checkpoint)
        if given.digest != checkpoint.digest:
            raise Disagreement(
                position, "changed", f"checkpoint {number} is not the one that the statement carries: both are signed"
            )  # fmt: skip
        self._unsigned_statement = ""
        self._checkpoint = checkpoint
        self.findings.checkpoints += 1

    # -- the end -----------------------------------------------------------------------------------------

    def _finish(self) -> None:
        self._expect_signature(self._chain.position + 1)
        self._derived.write(self._scratch)
        found, proven = self.findings, self._proven
        for content in self._statements.wanted.values():
            raise Disagreement(0, "removed", f"statement {content.get('number')} is not in this journal")
        found.head = self._chain.hash
        found.unsigned = self._chain.position - (self._checkpoint.position if self._checkpoint is not None else 0)
        found.open_calls = proven.open_calls
        found.unproven = proven.unproven
        found.losses = proven.losses
        derived = self._scratch.execute(select(func.count()).select_from(calls)).scalar_one()
        if found.records and self._checkpoint is None:
            found.notices.append("no record is signed: whoever wrote the journal could have written another one")
        elif found.unsigned:
            found.notices.append(f"the last {found.unsigned} records are not signed yet")
        if proven.losses:
            found.notices.append(
                f"records were lost {proven.losses} times before they were written; "
                f"{found.unproven} calls have nothing but their summary"
            )
        if derived != found.calls:
            found.notices.append(f"{found.calls - derived} calls have a second summary, which is not billed")

    def compare(self, connection: Connection) -> None:
        """The rows of the database must be those that follow from its journal."""
        head = connection.execute(select(journal_head.c.position, journal_head.c.hash)).first()
        here = (self._chain.position, self._chain.hash)
        if head is None or tuple(head) != here:
            end = "nowhere" if head is None else str(head.position)
            raise Disagreement(
                self._chain.position + 1, "removed", f"is missing: the journal should end at record {end}"
            )  # fmt: skip
        ours = self._scratch.execute(select(calls).order_by(calls.c.call_id), execution_options={"yield_per": 500})
        for part in ours.partitions():
            rows = {row.call_id: row for row in part}
            query = select(calls).where(calls.c.call_id.in_(list(rows)))
            found = {row.call_id: row for row in connection.execute(query)}
            for call_id, row in rows.items():
                _compare_row(call_id, row, found.get(call_id))
            self.findings.rows += len(rows)
        total = connection.execute(select(func.count()).select_from(calls)).scalar_one()
        if total != self.findings.rows:
            raise Disagreement(0, "added", self._name_added(connection))

    def _name_added(self, connection: Connection) -> str:
        theirs = connection.execute(select(calls.c.call_id), execution_options={"yield_per": 500})
        for part in theirs.scalars().partitions():
            known = set(self._scratch.execute(select(calls.c.call_id).where(calls.c.call_id.in_(part))).scalars())
            for call_id in part:
                if call_id not in known:
                    return f"the list of calls has call {call_id}, of which the journal knows nothing"
        return "the list of calls has more rows than the journal"


def _readable_records(rest: Iterator[Entry]) -> Iterator[ChainedRecord]:
    """What comes after a disagreement only helps to explain it: where that cannot be read it does not matter."""
    with suppress(ArchiveError):
        for entry in rest:
            if isinstance(entry, ChainedRecord):
                yield entry


def _compare_row(call_id: str, ours: Any, theirs: Any) -> None:
    if theirs is None:
        raise Disagreement(0, "removed", f"the list of calls lacks call {call_id}, which the journal has", call_id)
    mine, other = call_record(ours), call_record(theirs)
    if mine != other:
        name = next(name for name in mine.__slots__ if getattr(mine, name) != getattr(other, name))
        raise Disagreement(
            0, "changed",
            f"the list of calls says {name} {_shown(name, other)} of call {call_id}, but the journal says "
            f"{_shown(name, mine)}: `b2bua accounting rebuild` makes the list anew",
            call_id,
        )  # fmt: skip


def _shown(name: str, record: object) -> str:
    """Audits are read by many: no numbers of callers."""
    return "(a number)" if name in PERSONAL else repr(getattr(record, name))


@contextmanager
def _scratch_database() -> Iterator[Connection]:
    with TemporaryDirectory(prefix="b2bua-audit-") as folder:
        engine = create_engine(f"sqlite:///{Path(folder) / 'derived.db'}", hide_parameters=True)
        try:
            with engine.connect() as connection:
                # lost with the process: nothing needs to reach the disk
                for pragma in ("journal_mode=OFF", "synchronous=OFF"):
                    connection.exec_driver_sql(f"PRAGMA {pragma}")
                for table in (calls, open_calls, declarations):
                    table.create(connection)
                yield connection
        finally:
            engine.dispose()


def _nothing(position: int) -> None:
    """Nobody wants to know."""


def audit(
    entries: Iterable[Entry],
    keys: PublicKeys,
    progress: Callable[[int], None] = _nothing,
    statements: Collection[StatementFile] = (),
) -> Findings:
    """Check an export, and that the ``statements`` follow from it.

    Raises :class:`Disagreement` with the first record that disagrees.
    """
    with _scratch_database() as scratch:
        made = Audit(keys, scratch, statements)
        made.run(entries, progress)
        return made.findings


def audit_database(
    connection: Connection,
    keys: PublicKeys,
    progress: Callable[[int], None] = _nothing,
    statements: Collection[StatementFile] = (),
) -> Findings:
    """Check a database: as :func:`audit`, and the list of calls too. Raises :class:`Disagreement`.

    Everything is read as it is at one instant; a server may go on writing meanwhile.
    """
    connection = at_one_instant(connection)
    with _scratch_database() as scratch:
        made = Audit(keys, scratch, statements)
        made.run(read_entries(connection), progress)
        made.compare(connection)
        return made.findings
