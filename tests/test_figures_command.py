"""``b2bua figures``, as it is typed."""

import csv
import io
import json
from pathlib import Path

import pytest

from accounting.journal import CallEnded, Item, Ledger
from accounting.store import open_engine, write_batch
from tests.test_reconcile_command import NOON, ROOT, SECOND, run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The examples and three calls on 2026-07-01: anna's after 5 s, ben's after 25 s, one given up after 40 s."""
    for name in ("b2bua.toml", "contracts.toml"):
        (tmp_path / name).write_text((ROOT / "examples" / name).read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "220")
    assert run("import", "contracts.toml").exit_code == 0
    items: list[Item] = []
    ledger = Ledger(items.append, NOON, "run")
    for index, (agent, waited) in enumerate((("anna", 5), ("ben", 25), ("", 40)), 1):
        began = index * 3600 * SECOND
        at = began + waited * SECOND
        name, contract = f"call{index}", "kanzlei-berger"
        if agent:
            ledger.connected(
                call_id=name, contract=contract, tariff="minute-2025", agent=agent, billable=True, at_ns=at
            )
        end = at + 60 * SECOND if agent else at
        ledger.ended(
            CallEnded(
                name, "trunk:carrier", contract, "minute-2025", agent, "+49302000100", "+49302000100", "", "", "",
                "answered" if agent else "abandoned", "caller_hung_up", 200, True, began, began,
                at if agent else 0, end,
            )
        )  # fmt: skip
    engine = open_engine(f"sqlite:///{tmp_path / 'b2bua.db'}")
    with engine.begin() as connection:
        write_batch(connection, items)
    engine.dispose()
    return tmp_path


JULY = ("--since", "2026-07", "--until", "2026-07")


def test_figures_as_json(folder: Path) -> None:
    shown = run("figures", "--by", "agent", *JULY, "--format", "json")
    assert shown.exit_code == 0, shown.output
    made = json.loads(shown.output)
    rows = {row["agent"]: row for row in made["rows"]}
    assert (rows["anna"]["accepted"], rows["anna"]["waited_mean"], rows["anna"]["talk"]) == (1, 5.0, 60.0)
    assert (rows[""]["abandoned"], rows[""]["abandoned_after_mean"]) == (1, 40.0)
    assert made["total"]["service_level"] == 33.3
    assert made["total"]["service_level_reached"] is False
    assert made["since"] == "2026-07-01T00:00:00+02:00"
    assert made["until"] == "2026-08-01T00:00:00+02:00"


def test_the_service_level_is_a_setting(folder: Path) -> None:
    for level, percent, reached in (("30", 66.7, False), ("60/30", 66.7, True)):
        made = json.loads(run("figures", *JULY, "--service-level", level, "--format", "json").output)
        assert made["total"]["service_level"] == percent
        assert made["total"]["service_level_reached"] is reached


def test_figures_as_csv_and_as_table(folder: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(run("figures", "--by", "hour", *JULY, "--format", "csv").output)))
    assert [row["hour"] for row in rows] == [
        "2026-07-01 13:00+0200", "2026-07-01 14:00+0200", "2026-07-01 15:00+0200", "total",
    ]  # fmt: skip
    assert [row["offered"] for row in rows] == ["1", "1", "1", "3"]
    for by in ("hour", "hour-of-day", "day", "agent", "group", "contract"):
        table = run("figures", "--by", by, *JULY)
        assert table.exit_code == 0, table.output
        assert "0:02:00" in table.output


def test_days_and_moments_bound_what_is_counted(folder: Path) -> None:
    def offered(*arguments: str) -> int:
        shown = run("figures", *arguments, "--format", "json")
        assert shown.exit_code == 0, shown.output
        return int(json.loads(shown.output)["total"]["offered"])

    assert offered("--since", "2026-07-01", "--until", "2026-07-01") == 3
    assert offered("--since", "2026-07-02", "--until", "2026-07-03") == 0
    assert offered("--since", "2026-07-01T13:30", "--until", "2026-07-01T15:00") == 1
    assert offered(*JULY, "--contract", "nobody") == 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("--since", "yesterday"), ("--since", "2026-07-02", "--until", "2026-07-01T00:00"),
        ("--service-level", "most"), ("--service-level", "120/20"), ("--since", "2026-13"),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_is_said(folder: Path, wrong: tuple[str, ...]) -> None:
    shown = run("figures", *wrong)
    assert shown.exit_code == 1
    assert "Traceback" not in shown.output
