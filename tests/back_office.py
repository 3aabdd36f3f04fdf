"""A back office in a folder: configuration, contracts, and a month of calls in the database. For tests of commands."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from typer.testing import CliRunner, Result

from accounting.journal import Item, Ledger
from accounting.store import open_engine, write_batch
from b2bua.cli import app
from tests.accounting.ledger import ANCHOR, SECOND, call_ended

CONFIG = """\
[[listeners]]
name = "main"

[statements]
issuer = ["Antwort & Söhne GmbH", "Hauptstraße 12", "10827 Berlin"]
footer = ["USt-IdNr. DE123456789", "IBAN DE02 1203 0000 0000 2020 51"]
payment_days = 14

[datev]
consultant = 29098
client = 55003
debtors = { "c-1" = "10001" }
"""

TARIFF = """\
[[tariffs]]
name = "standard"
currency = "EUR"
per_minute = "0.89"
increment = "60/60"
base_fee = "19.90"
vat = "19"

[[agents]]
id = "anna"
name = "Anna"
endpoints = [{ contact = "sip:anna@192.0.2.20" }]
"""

CONTRACT = """
[[contracts]]
id = "{id}"
customer = "{customer}"
language = "{language}"
tariff = "standard"
target_numbers = ["+4930200{index:04}"]
plan = [{{ agent = "anna", ring_seconds = 20 }}]
"""


@dataclass(frozen=True, slots=True)
class Call:
    """``at`` and ``talked`` are seconds; ``at`` counts from midnight of 1 July 2025 in Berlin."""

    call_id: str
    at: float
    talked: float
    contract: str = "c-1"
    caller: str = "+4930123456"
    billable: bool = True
    result: str = "answered"


def furnish(folder: Path, customers: Iterable[tuple[str, str, str]]) -> None:
    """Write configuration and contracts (id, name, language), and import them; the folder is the working directory."""
    (folder / "b2bua.toml").write_text(CONFIG, encoding="utf-8")
    contracts = [
        CONTRACT.format(id=name, customer=customer, language=language, index=index)
        for index, (name, customer, language) in enumerate(customers)
    ]
    (folder / "contracts.toml").write_text(TARIFF + "".join(contracts), encoding="utf-8")
    done = b2bua("import", "contracts.toml")
    assert done.exit_code == 0, done.output


def book(folder: Path, *calls: Call, run: str = "run") -> None:
    """The calls as the server would have written them."""
    items: list[Item] = []
    ledger = Ledger(items.append, ANCHOR, run)
    for call in calls:
        end = call.at + call.talked
        if call.result == "answered":
            ledger.connected(
                call_id=call.call_id, contract=call.contract, tariff="standard", agent="anna", billable=call.billable,
                at_ns=round(call.at * SECOND), facts={"caller": call.caller, "forwarded_from": "+498912345"},
            )  # fmt: skip
            ledger.hung_up(call_id=call.call_id, at_ns=round(end * SECOND), side="caller_hung_up")
        ended = call_ended(
            call.call_id, contract=call.contract, caller=call.caller, result=call.result, billable=call.billable,
            started=call.at - 1, answered=call.at, ended=end,
        )  # fmt: skip
        ledger.ended(ended)
    engine = open_engine(f"sqlite:///{folder / 'b2bua.db'}")
    with engine.begin() as connection:
        write_batch(connection, items)
    engine.dispose()


def b2bua(*arguments: str) -> Result:
    """Run a command."""
    return CliRunner().invoke(app, list(arguments))
