"""Who gets a statement: the contracts of the business data, and those that are gone but had calls."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, select

from accounting.issuing import Customer, contracts_with_calls
from accounting.month import BERLIN, Month
from accounting.tables import calls
from routing.contract import Contract
from routing.store import load_directory

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Recipient:
    """A customer and the language of the contract."""

    customer: Customer
    language: str = "de"


def recipients(connection: Connection, month: Month) -> list[Recipient]:
    """All contracts that hold in the month or have calls in it, by id."""
    known = load_directory(connection).contracts
    since, until = (datetime.fromtimestamp(bound // _SECOND, UTC) for bound in month.bounds_ns(BERLIN))
    found = {
        contract.id: _recipient(contract)
        for contract in known.values()
        if (contract.validity.since is None or contract.validity.since < until)
        and (contract.validity.until is None or contract.validity.until > since)
    }
    for name in contracts_with_calls(connection, month):
        if name not in found:
            found[name] = _recipient(known[name]) if name in known else Recipient(Customer(name))
    return [found[name] for name in sorted(found)]


def recipient(connection: Connection, contract: str) -> Recipient | None:
    """One contract; None if there is none of that name, nor a call of it."""
    known = load_directory(connection).contracts.get(contract)
    if known is not None:
        return _recipient(known)
    called = connection.execute(select(calls.c.call_id).where(calls.c.contract == contract).limit(1)).first()
    return None if called is None else Recipient(Customer(contract))


def _recipient(contract: Contract) -> Recipient:
    return Recipient(Customer(contract.id, contract.customer, contract.tariff), contract.language)
