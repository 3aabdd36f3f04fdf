"""A call to a line of ours: while its phones ring it has no contract, and nobody pays for it.

When the line is forwarded to a contract it becomes that contract's call, as if a carrier had brought it so.
"""

from typing import TYPE_CHECKING, Protocol

from b2bua.call.leg import CALLER
from b2bua.call.states import Input
from b2bua.sip.diversion import Forwarding
from routing.contract import Contract
from routing.floor import DeclineReason
from routing.line_floor import LineSearch
from routing.line_route import LineRoute, ToContract

if TYPE_CHECKING:
    from b2bua.call.call import Call


class CallFloor(Protocol):
    """Who finds the other party of a call: the floor for a contract's, a :class:`LineSearch` for a line's."""

    def caller_entered(self, call_id: str, contract: Contract, now: float) -> None:
        """The caller can be offered to phones now."""

    def offer_declined(self, call_id: str, agent_id: str, reason: DeclineReason, now: float) -> None:
        """No phone took the offer."""

    def offer_answered(self, call_id: str, agent_id: str, now: float) -> None:
        """A phone answered."""

    def caller_left(self, call_id: str, now: float) -> None:
        """The caller gave up."""

    def call_ended(self, call_id: str, now: float) -> None:
        """The call is over."""


def without_contract(name: str, language: str) -> Contract:
    """What stands in the place of a contract while there is none; its id is empty."""
    return Contract(id="", customer=name, language=language)


def forwarding_of(route: LineRoute) -> Forwarding | None:
    """The last forwarding on the way, as a carrier's Diversion would have said it."""
    if not route.diverted:
        return None
    last = route.diverted[-1]
    return Forwarding(last.line, last.kind, route.hops, "own_line")


def enter_contract(call: "Call", at: int, way: object) -> None:
    """The line is forwarded to a target number: from here on the call is the contract's."""
    assert isinstance(way, ToContract)
    search = call.floor
    assert isinstance(search, LineSearch)
    summary = call.summary
    summary.without_contract = False
    summary.target_number = way.number
    summary.forwarding = forwarding_of(search.route)
    call.contract = way.contract
    call.floor = call.ports.floor
    if call.invite_body and way.contract.waiting.answering == "answer_at_once":
        call.media.answer_alone(call.id, CALLER, call.invite_body)
    else:
        # what the line's phones were offered, agents can be offered too
        call.step(Input.DESCRIPTION_FOR_AGENT, at)
