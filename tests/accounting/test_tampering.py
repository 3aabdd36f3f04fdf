"""Whatever is done to an exported journal is found, and the record named at which it begins."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from accounting.archive import ArchiveError, read_archive
from accounting.audit import audit
from accounting.chain import GENESIS, ChainedRecord, Disagreement, canonical, record_hash
from accounting.checkpoint import Checkpoint, PublicKeys, Signer, read_checkpoint
from accounting.statement_file import statement_of
from accounting.store import create_tables, open_engine
from tests.accounting.books import export, new_signer, small_export, write_books


class Exported:
    """An export's lines: header, records and checkpoints, end."""

    def __init__(self, path: Path, signer: Signer, statement: dict[str, Any]) -> None:
        self.lines = path.read_bytes().splitlines(keepends=True)
        self.path = path
        self.signer = signer
        self.statement = statement

    @property
    def records(self) -> list[int]:
        """The places of the lines that are records; the record at ``places[n]`` has position n + 1."""
        return [place for place, line in enumerate(self.lines) if line.startswith(b'{"record"')]

    @property
    def checkpoints(self) -> list[int]:
        return [place for place, line in enumerate(self.lines) if line.startswith(b'{"checkpoint"')]

    def found(self, lines: list[bytes], **options: Any) -> Disagreement | ArchiveError:
        """What the audit says of these lines; something it must say."""
        self.path.write_bytes(b"".join(lines))
        with pytest.raises((Disagreement, ArchiveError)) as found:
            audit(read_archive(self.path), PublicKeys([self.signer.public_key]), **options)
        assert isinstance(found.value, Disagreement | ArchiveError)
        return found.value


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    folder = tmp_path_factory.mktemp("books")
    engine = open_engine(f"sqlite:///{folder / 'b2bua.db'}")
    create_tables(engine)
    signer = new_signer()
    statement = write_books(engine, signer)
    path = export(engine, folder / "journal.jsonl")
    engine.dispose()
    return Exported(path, signer, statement)


def with_new_end(lines: list[bytes]) -> list[bytes]:
    """As somebody who knows the format would end the file."""
    position, end, signed = 0, GENESIS, 0
    made = {name: orjson.loads(lines[0])["header"][name] for name in ("personal", "wall_ns")}
    for line in lines[1:-1]:
        ((name, fields),) = orjson.loads(line).items()
        if name == "record":
            position, end = fields["position"], fields["hash"]
        signed += name == "checkpoint"
    return [
        *lines[:-1],
        canonical({"end": {"position": position, "hash": end, "checkpoints": signed, **made}}).encode() + b"\n",
    ]


@pytest.mark.parametrize("part", range(8))
def test_every_octet_of_an_export(tmp_path: Path, part: int) -> None:
    """All of them, one after the other, from the header to the last line's end; no sample."""
    signer = new_signer()
    keys = PublicKeys([signer.public_key])
    path = small_export(tmp_path, signer)
    whole = path.read_bytes()
    audit(read_archive(path), keys)
    for at in range(part, len(whole), 8):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at // 8 % 8]) + whole[at + 1 :])
        with pytest.raises((Disagreement, ArchiveError)):
            audit(read_archive(path), keys)


@given(st.data())
def test_any_bit_of_any_record(exported: Exported, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, len(exported.records)), "position")
    place = exported.records[position - 1]
    line = bytearray(exported.lines[place])
    octet = data.draw(st.integers(0, len(line) - 1), "octet")
    line[octet] ^= data.draw(st.integers(1, 255), "bits")
    found = exported.found([*exported.lines[:place], bytes(line), *exported.lines[place + 1 :]])
    assert found.position == position


@given(st.data())
def test_any_bit_of_any_checkpoint(exported: Exported, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(exported.checkpoints), "place")
    line = bytearray(exported.lines[place])
    line[data.draw(st.integers(0, len(line) - 1), "octet")] ^= data.draw(st.integers(1, 255), "bits")
    exported.found([*exported.lines[:place], bytes(line), *exported.lines[place + 1 :]])


@given(st.data())
def test_records_that_are_taken_out(exported: Exported, data: st.DataObject) -> None:
    last_signed = 24
    first = data.draw(st.integers(1, last_signed), "first")
    count = data.draw(st.integers(1, last_signed - first + 1), "count")
    gone = set(exported.records[first - 1 : first - 1 + count])
    lines = [line for place, line in enumerate(exported.lines) if place not in gone]
    found = exported.found(with_new_end(lines) if data.draw(st.booleans(), "new end") else lines)
    assert found.position == first
    if first - 1 + count < last_signed:
        assert isinstance(found, Disagreement)
        assert found.how == "removed"


@given(st.data())
def test_a_record_that_is_put_in_twice(exported: Exported, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, len(exported.records)), "position")
    at = data.draw(st.integers(1, len(exported.lines) - 1), "at")
    # Right before a checkpoint it is rather the checkpoint that seems to be late.
    assume(not (at in exported.checkpoints and exported.records[position - 1] == at + 1))
    lines = [*exported.lines[:at], exported.lines[exported.records[position - 1]], *exported.lines[at:]]
    found = exported.found(with_new_end(lines))
    assert isinstance(found, Disagreement)
    assert (found.position, found.how) == (position, "added")


@given(st.data())
def test_records_that_are_exchanged(exported: Exported, data: st.DataObject) -> None:
    first = data.draw(st.integers(1, len(exported.records) - 1), "first")
    second = data.draw(st.integers(first + 1, len(exported.records)), "second")
    lines = list(exported.lines)
    one, other = exported.records[first - 1], exported.records[second - 1]
    lines[one], lines[other] = lines[other], lines[one]
    found = exported.found(lines)
    assert isinstance(found, Disagreement)
    assert (found.position, found.how) == (first, "moved")


@given(st.data())
def test_a_tail_that_is_cut_off(exported: Exported, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, sum(map(len, exported.lines)) - 1), "octets")
    whole = b"".join(exported.lines)[:kept]
    found = exported.found([whole])
    assert found.position == sum(line.startswith(b'{"record"') for line in whole.splitlines(keepends=True) if
                                 line.endswith(b"\n")) + 1  # fmt: skip


@given(st.data())
def test_a_tail_cut_off_before_a_statement_that_its_customer_has(exported: Exported, data: st.DataObject) -> None:
    """Nobody can see from a file alone that later checkpoints were left out; but who has one, can."""
    place = next(place for place in exported.checkpoints if b'"purpose":"statement"' in exported.lines[place])
    statement = statement_of(exported.statement, "statement.json")
    kept = data.draw(st.integers(1, exported.checkpoints[0] + 1), "lines")
    assert kept < place
    found = exported.found(with_new_end([*exported.lines[:kept], b""]), statements=[statement])
    assert "is not in this journal" in str(found)


def rewritten(exported: Exported, change: Callable[[ChainedRecord], ChainedRecord], sign: Signer | None) -> list[bytes]:
    """The journal as its keeper could write it anew, hashes and all; with ``sign``, checkpoints too."""
    lines = exported.lines[:1]
    end = GENESIS
    before: Checkpoint | None = None
    for line in exported.lines[1:-1]:
        ((name, fields),) = orjson.loads(line).items()
        if name == "record":
            record = change(ChainedRecord(**fields))
            end = record_hash(
                end, record.position, record.run, record.sequence, record.kind, record.call_id, record.at_ns,
                record.wall_ns, record.content,
            )  # fmt: skip
            fields = asdict(replace(record, hash=end))
        elif sign is not None:
            made = read_checkpoint(fields)
            before = sign.sign(made.position, end, made.wall_ns, made.purpose, made.statement, before)
            fields = {**before.body, "signature": before.signature}
        lines.append(canonical({name: fields}).encode() + b"\n")
    return with_new_end([*lines, b""])


@given(st.data())
def test_a_chain_written_anew_is_not_the_one_that_was_signed(exported: Exported, data: st.DataObject) -> None:
    position = data.draw(st.integers(1, 24), "position")

    def later(record: ChainedRecord) -> ChainedRecord:
        return replace(record, call_id=record.call_id + "x") if record.position == position else record

    found = exported.found(rewritten(exported, later, None))
    assert isinstance(found, Disagreement)
    # Either it contradicts the records before it, or the next checkpoint; only that much can be known.
    assert found.position <= min(signed for signed in (15, 22, 24) if signed >= position)
    found = exported.found(rewritten(exported, later, new_signer()))
    assert isinstance(found, Disagreement)


def with_content(record: ChainedRecord, changes: dict[str, Any]) -> ChainedRecord:
    return replace(record, content=canonical({**orjson.loads(record.content), **changes}))


@pytest.mark.parametrize(
    ("kind", "call_id", "changes", "reason"),
    [
        ("ended", "plain", {"talked_ns": 61_200_000_000}, "says 61.200000000 s talked, but its parts are 60.2"),
        ("ended", "plain", {"segments": [["anna", "talk", 5_000_000_000, 65_200_000_000]]},
         "says anna, talk, 60.200000000 s as part 1, but the records say anna, talk, 15.000000000 s"),
        ("ended", "plain", {"tariff": "dear"}, "says tariff 'dear', but record 2 said 'standard'"),
        ("ended", "plain", {"contract": "c-2"}, "says contract 'c-2', but record 2 said 'c-1'"),
        ("ended", "test", {"billable": True}, "says billable True"),
        ("ended", "crashed", {"segments": [["anna", "talk", 80 * 10**9, 81 * 10**9],
                                           ["anna", "consultation", 81 * 10**9, 91 * 10**9]], "talked_ns": 11 * 10**9},
         "was recovered 1.000000000 s beyond the last instant that the journal proves"),
        ("ended", "nobody", {"segments": [["anna", "talk", 1, 2]], "talked_ns": 1},
         "says 0.000000001 s talked, but no record says that it was connected"),
        ("ended", "plain", {"wall_anchor_ns": 5}, "has another time than the call's end"),
        ("hung_up", "plain", {"more": 1}, ""),
        ("statement", "2025-07-c-1", {"net": "4.45"}, "says net 4.45, but the journal says 3.56"),
        ("statement", "2025-07-c-1", {"calls": 4}, "says 4 calls, but the journal says 3"),
        ("statement", "2025-07-c-1", {"month": "2025-13"}, "cannot be understood"),
        ("tariffs", "", {"tariffs": []}, "cannot be rated: call"),
        ("connected", "plain", {"facts": {"caller": "00", "forwarded_from": ""}}, "has other numbers beside it"),
    ],
)  # fmt: skip
def test_books_that_were_wrong_when_they_were_signed(
    exported: Exported, kind: str, call_id: str, changes: dict[str, Any], reason: str
) -> None:
    """By a fault of the program, or by somebody with the key: the journal contradicts itself."""

    def wrong(record: ChainedRecord) -> ChainedRecord:
        mine = record.kind == kind and record.call_id == call_id
        return with_content(record, changes) if mine else record

    lines = rewritten(exported, wrong, exported.signer)
    if not reason:
        exported.path.write_bytes(b"".join(lines))
        audit(read_archive(exported.path), PublicKeys([exported.signer.public_key]))
        return
    found = exported.found(lines)
    assert isinstance(found, Disagreement)
    assert reason in str(found)


def test_a_key_that_was_given_out_before(exported: Exported) -> None:
    def again(record: ChainedRecord) -> ChainedRecord:
        return replace(record, sequence=1) if record.run == "node-a" else record

    found = exported.found(rewritten(exported, again, exported.signer))
    assert isinstance(found, Disagreement)
    assert found.how == "added"
    assert "has the key node-a/1, which was given out before" in str(found)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"end":{}}\n', "the file must begin with its header"),
        (b'{"header":{"format":"other"}}\n', "no b2bua journal"),
        (b"PK\3\4\n", "no JSON"),
        (b'{"header":{"format":"b2bua journal","personal":true,"version":2,"wall_ns":1}}\n', "of version 1"),
        (b'[1]\n', "each line is an object"),
        (b"", "ends without its last line"),
    ],
)  # fmt: skip
def test_files_that_are_no_exports(exported: Exported, line: bytes, reason: str) -> None:
    assert reason in str(exported.found([line]))
