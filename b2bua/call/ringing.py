"""An agent is rung for a caller: all phones together, or one endpoint after the other.

The floor knows of one offer, whichever phones ring for it: so an agent has one call at a time at all of them.
"""

from functools import partial
from typing import TYPE_CHECKING

from b2bua.call.leg import Leg, Offer
from b2bua.call.states import Input, State

if TYPE_CHECKING:
    from b2bua.call.call import Call

ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
#: What a withdrawn offer tells the agent's phone (RFC 3326).
_WITHDRAWAL_REASONS = {"answered_elsewhere": ELSEWHERE}


def ring_agent(call: "Call", at: int, agent_id: object) -> None:
    """The floor offers the caller to this agent."""
    assert isinstance(agent_id, str)
    offer = Offer(agent_id)
    call.offers[agent_id] = offer
    offer.turns, offer.turn_seconds = call.ports.turns(call, agent_id, at)
    if not _ring_next(call, offer, at):
        del call.offers[agent_id]
        call.floor.offer_declined(call.id, agent_id, "unreachable", at / 1e9)


def _ring_next(call: "Call", offer: Offer, at: int) -> bool:
    """Ring the phones whose turn it is; False if there are none any more."""
    offer.end_turn()
    while offer.turns:
        offer.legs = call.ports.ring(call, offer.agent_id, offer.turns.pop(0), at)
        if offer.legs:
            if offer.turns:
                # the last ones ring as long as the floor lets them
                over = at / 1e9 + offer.turn_seconds
                offer.timer = call.ports.start_timer(over, partial(_turn_over, call, offer))
            return True
    return False


def _turn_over(call: "Call", offer: Offer, now: float) -> None:
    """Nobody answered there: the next endpoint. An answer that crosses our CANCEL is hung up on; the offer stands."""
    offer.timer = None
    if call.state is not State.SEEKING or call.offers.get(offer.agent_id) is not offer:
        return
    at = round(now * 1e9)
    legs, offer.legs = offer.legs, []
    for leg in legs:
        call.cancel(leg, "", at)
    if not _ring_next(call, offer, at):
        call.step(Input.LEG_FAILED, at, offer)


def phone_failed(call: "Call", offer: Offer, leg: Leg, status: int, at: int) -> None:
    """One of the phones that ring refused, with this status."""
    if status >= 600:
        # RFC 3261 21.6: this agent does not want the call at any phone
        offer.end_turns()
        for other in [other for other in offer.legs if other is not leg]:
            call.cancel(other, "", at)
        offer.legs[:] = [leg]
    if not offer.note_failure(leg, status):
        return
    if call.state is not State.SEEKING or not _ring_next(call, offer, at):
        call.step(Input.LEG_FAILED, at, offer)


def note_leg_failure(call: "Call", at: int, offer: object) -> None:
    """No phone of the agent rings any more."""
    assert isinstance(offer, Offer)
    if call.offers.pop(offer.agent_id, None) is not None:
        offer.end_turns()
        call.floor.offer_declined(call.id, offer.agent_id, offer.failure, at / 1e9)


def stop_ringing(call: "Call", at: int, subject: object) -> None:
    """``subject`` is (agent, cause): an offer withdrawn, or an answer that came too late."""
    assert isinstance(subject, tuple)
    agent_id, cause = subject
    offer = call.offers.pop(agent_id, None)
    if offer is not None:
        offer.end_turns()
        reason = _WITHDRAWAL_REASONS.get(cause, "")
        for leg in offer.legs:
            call.cancel(leg, reason, at)


def report_answer(call: "Call", at: int, leg: object) -> None:
    """A phone answered."""
    assert isinstance(leg, Leg)
    offer = call.offers.get(leg.agent_id)
    if offer is None:
        call.cancel(leg, ELSEWHERE, at)
        return
    # the agent's other phones stop ringing whoever wins
    offer.end_turns()
    for other in [other for other in offer.legs if other is not leg]:
        call.cancel(other, ELSEWHERE, at)
    offer.legs[:] = [leg]
    call.floor.offer_answered(call.id, leg.agent_id, at / 1e9)
