"""The directory: who has which number, and all agents and groups, as one unchanging snapshot.

A new one is built when the business data change and takes the old one's place in a single assignment;
live calls keep the contract objects they have.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from routing.contract import Agent, Contract, ContractNumber, Endpoint, Group, Validity
from routing.lines import Line
from routing.numbers import NumberReader, TargetNumber, is_literal

_Named = TypeVar("_Named", Contract, Agent, Group)


@dataclass(frozen=True, slots=True)
class Found:
    """The number belongs to this contract now."""

    number: TargetNumber
    contract: Contract


@dataclass(frozen=True, slots=True)
class Expired:
    """The number was or will be a contract's, but is nobody's now. ``contract`` is for the log only."""

    number: TargetNumber
    contract: Contract
    validity: Validity


@dataclass(frozen=True, slots=True)
class Unknown:
    """No contract has the number; ``number`` is None if what was dialled is no number at all."""

    number: TargetNumber | None


@dataclass(frozen=True, slots=True)
class Assignment:
    """A number in the hands of a contract: ``validity`` is the contract's and the number's together."""

    contract: Contract
    validity: Validity


class Directory:
    """A snapshot of the business data, at one ``revision`` of the store."""

    __slots__ = (
        "_lines_by_username", "agents", "contracts", "endpoints", "groups", "lines", "literals", "numbers", "revision",
    )  # fmt: skip

    def __init__(
        self,
        contracts: Iterable[Contract] = (),
        agents: Iterable[Agent] = (),
        groups: Iterable[Group] = (),
        revision: int = 0,
        lines: Iterable[Line] = (),
    ) -> None:
        self.revision = revision
        #: our own lines by number
        self.lines: Mapping[str, Line] = MappingProxyType({line.number: line for line in lines})
        self._lines_by_username = {line.endpoint.username: line for line in self.lines.values()}
        self.contracts: Mapping[str, Contract] = _by_id(contracts)
        self.agents: Mapping[str, Agent] = _by_id(agents)
        self.groups: Mapping[str, Group] = _by_id(groups)
        #: registering endpoints by username
        self.endpoints: Mapping[str, Endpoint] = MappingProxyType(
            {
                endpoint.username: endpoint
                for agent in self.agents.values()
                for endpoint in agent.endpoints
                if endpoint.username
            }
            | {username: line.endpoint for username, line in self._lines_by_username.items()}
        )
        numbers: dict[str, tuple[Assignment, ...]] = {}
        for contract in self.contracts.values():
            for held in contract.target_numbers:
                assignment = Assignment(contract, _effective(contract, held))
                numbers[held.number] = (*numbers.get(held.number, ()), assignment)
        self.numbers: Mapping[str, tuple[Assignment, ...]] = MappingProxyType(numbers)
        self.literals = frozenset(number for number in numbers if is_literal(number))

    @classmethod
    def empty(cls) -> "Directory":
        """Nobody's numbers: what a server has before it has read any business data."""
        return cls()

    def lookup(self, number: TargetNumber, at: datetime) -> Found | Expired | Unknown:
        """Whose number it is at this moment (an aware datetime). Exact: no prefix ever matches."""
        assignments = self.numbers.get(number)
        if assignments is None:
            return Unknown(number)
        for assignment in assignments:
            if assignment.validity.covers(at):
                return Found(number, assignment.contract)
        nearest = _nearest(assignments, at)
        return Expired(number, nearest.contract, nearest.validity)

    def resolve(self, reader: NumberReader, dialled: str, at: datetime) -> Found | Expired | Unknown:
        """``lookup`` of what was dialled (a URI or a number), read by a trunk's rules."""
        if dialled.startswith("sip:+"):
            # a number in E.164 is the same by any trunk's rules, and most carriers write it so
            written = dialled[4:].partition("@")[0].partition(";")[0]
            if written in self.numbers:
                return self.lookup(TargetNumber(written), at)
        number = reader.read(dialled, self.literals)
        return Unknown(None) if number is None else self.lookup(number, at)

    def endpoint(self, username: str) -> Endpoint | None:
        """The registering endpoint of that name."""
        return self.endpoints.get(username)

    def line_of(self, username: str) -> Line | None:
        """The line whose phones register under that name; None for an agent's."""
        return self._lines_by_username.get(username)


def _effective(contract: Contract, held: ContractNumber) -> Validity:
    return held.validity.within(contract.validity)


def _nearest(assignments: tuple[Assignment, ...], at: datetime) -> Assignment:
    """Whose number it was last; if it was nobody's yet, whose it will be first."""
    past = [held for held in assignments if held.validity.until is not None and held.validity.until <= at]
    if past:
        return max(past, key=lambda held: held.validity.until or at)
    return min(assignments, key=lambda held: held.validity.since or at)


def _by_id(items: Iterable[_Named]) -> Mapping[str, _Named]:
    return MappingProxyType({item.id: item for item in items})
