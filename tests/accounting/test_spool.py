"""The spool: what was written is there, in order, whatever happens to file and disk."""

import json
import signal
import sqlite3
import subprocess
import sys
import textwrap
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounting.journal import Item
from accounting.spool import FIELDS, Spool, SpoolError, SpoolInUseError, decode_items, encode_items, open_spool
from tests.accounting.ledger import HandLedger, call_ended
from tests.accounting.strategies import any_item


def groups(count: int, first: int = 0) -> list[list[Item]]:
    """One call each: connected, hung up, ended."""
    items: list[Item] = []
    hand = HandLedger(append=items.append)
    for number in range(first + count):
        hand.connected(5.0, f"{number}", facts={"caller": "+4930123456"})
        hand.hung_up(6.0, f"{number}")
        hand.ended(call_ended(f"{number}", ended=6.0))
    return [items[index : index + 3] for index in range(3 * first, len(items), 3)]


def contents(spool: Spool) -> list[list[Item]]:
    return [items for _, items in spool.read(0, 10**9)]


class Damages(list[tuple[Path, int]]):
    def __call__(self, aside: Path, saved: int) -> None:
        self.append((aside, saved))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spool.db"


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    made = Spool(path, reserve=0)
    yield made
    made.close()


@given(st.lists(any_item(), max_size=4))
def test_any_record_is_read_back_as_it_was(items: list[Item]) -> None:
    assert decode_items(encode_items(items)) == items


def test_groups_come_back_in_order_until_they_are_forgotten(spool: Spool) -> None:
    written = groups(5)
    assert [spool.append(group) for group in written] == [1, 2, 3, 4, 5]
    assert contents(spool) == written
    assert [number for number, _ in spool.read(1, 4)] == [2, 3]
    assert [number for number, _ in spool.read(1, 1)] == [2]
    spool.forget(2)
    assert (contents(spool), spool.records) == (written[2:], 9)
    spool.append(written[0], delivered=4)
    assert (contents(spool), spool.records) == ([written[4], written[0]], 6)


def test_another_process_finds_what_one_left(path: Path) -> None:
    first = Spool(path, reserve=0)
    for group in groups(3):
        first.append(group)
    first.forget(1)
    first.close()
    second = Spool(path, reserve=0)
    assert (contents(second), second.records) == (groups(3)[1:], 6)
    assert second.append(groups(1)[0]) == 4, "numbers go on"
    second.close()


def test_one_spool_is_one_servers(spool: Spool) -> None:
    with pytest.raises(SpoolInUseError, match="another server's"):
        Spool(spool.path)


def test_a_file_that_is_something_else_is_left_alone(path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE precious (thing TEXT)")
    other.commit()
    other.close()
    damages = Damages()
    with pytest.raises(SpoolError, match="no spool"):
        open_spool(path, damages)
    assert damages == []
    with pytest.raises(SpoolError, match="cannot be opened"):
        Spool(path.parent / "missing" / "spool.db")


def test_records_of_another_version_are_read_by_their_names(path: Path, spool: Spool) -> None:
    (group,) = groups(1)
    spool.append(group)
    spool.close()
    changed = sqlite3.connect(path)
    names = {kind: list(names) for kind, names in FIELDS.items()}
    # an earlier version without activities
    names["entry"].remove("activity")
    changed.execute("UPDATE fields SET names = ?", (json.dumps(names),))
    values = [[kind, values[: len(names[kind])]] for kind, values in json.loads(encode_items(group[:2]))]
    text = json.dumps(values).encode()
    changed.execute("UPDATE batches SET count = 2, records = ?, checksum = ?", (text, zlib.crc32(text)))
    changed.commit()
    changed.close()
    again = Spool(path, reserve=0)
    assert contents(again) == [group[:2]]
    again.forget(1)
    again.use_present_fields()
    again.append(group)
    assert contents(again) == [group]
    again.close()


# -- damage ----------------------------------------------------------------------------------------------


def _filled(path: Path, count: int = 40) -> list[list[Item]]:
    spool = Spool(path, reserve=0)
    written = groups(count)
    for group in written:
        spool.append(group)
    spool.close()
    return written


def _wrong_checksum(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE batches SET records = replace(records, 'anna', 'bert') WHERE id = 7")
    connection.commit()
    connection.close()


def _truncated(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size * 2 // 3)


def _garbage_in_the_middle(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 6000)


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all, " * 300)


def _log_without_a_database(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(path.read_bytes())
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "least"),
    [
        (_wrong_checksum, 39),
        (_truncated, 5),
        (_garbage_in_the_middle, 5),
        (_garbage, 0),
        (_log_without_a_database, 0),
    ],
)
def test_a_damaged_spool_is_set_aside_and_told(path: Path, spoil: Callable[[Path], None], least: int) -> None:
    written = _filled(path)
    spoil(path)
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    damages = Damages()
    spool = open_spool(path, damages)
    ((aside, saved),) = damages
    assert saved == spool.records
    assert len(written) > len(contents(spool)) >= least
    assert [group for group in written if group in contents(spool)] == contents(spool), "what is saved is in order"
    assert sum(file.stat().st_size for file in path.parent.glob(aside.name + "*")) >= size, "nothing is deleted"
    spool.append(written[0])
    spool.close()
    again = Damages()
    open_spool(path, again).close()
    assert again == [], "the new one is whole"


def test_a_second_damage_gets_a_second_name(path: Path) -> None:
    damages = Damages()
    for _ in range(2):
        _filled(path)
        _garbage(path)
        open_spool(path, damages).close()
    assert [aside.name for aside, _ in damages] == ["spool.db.damaged-1", "spool.db.damaged-2"]


def test_a_start_that_died_while_it_mended_is_repeated(path: Path) -> None:
    _filled(path)
    _garbage(path)
    path.with_name("spool.db.new").write_bytes(b"half a file")
    damages = Damages()
    open_spool(path, damages).close()
    assert len(damages) == 1
    assert not path.with_name("spool.db.new").exists()


# -- the disk --------------------------------------------------------------------------------------------


def test_a_full_spool_raises_and_keeps_what_it_has(spool: Spool) -> None:
    written = groups(100)
    spool.append(written[0])
    spool._connection.execute("PRAGMA max_page_count = 15")
    taken = [written[0]]

    def fill() -> None:
        for group in written[1:]:
            spool.append(group)
            taken.append(group)

    with pytest.raises(SpoolError, match="full"):
        fill()
    assert contents(spool) == taken
    spool.forget(len(taken))
    assert spool.append(written[50]) == len(taken) + 1, "room again"


_CHILD = """
import os, resource, signal, sys
from pathlib import Path
from accounting.spool import Spool, SpoolError
from tests.accounting.test_spool import groups
spool = Spool(Path(sys.argv[1]), reserve=int(sys.argv[2]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
size = max(file.stat().st_size for file in spool.path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))  # from here on no file grows: a full disk
done = 0
try:
    ten_calls = sum(groups(10), [])
    for _ in range(4000):
        spool.append(ten_calls)
        done += 1
except SpoolError as error:
    print("refused", error, file=sys.stderr)
print(done, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("reserve", "least"), [(0, 0), (4 * 1024 * 1024, 500)])
def test_a_full_disk_leaves_the_reserve_and_kill_9_loses_nothing(path: Path, reserve: int, least: int) -> None:
    command = [sys.executable, "-c", textwrap.dedent(_CHILD), str(path), str(reserve)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    done = int(ended.stdout)
    assert least <= done < 4000
    assert "refused" in ended.stderr
    spool = open_spool(path, lambda aside, saved: pytest.fail("not damaged"))
    assert len(contents(spool)) == done
    spool.close()
