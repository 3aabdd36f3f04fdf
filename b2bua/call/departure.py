"""Where a caller goes whom no agent takes: an announcement, voicemail, a note to call back, another number.

Nothing of this is paid for.
"""

from typing import TYPE_CHECKING

from b2bua.call import prompts
from b2bua.call.leg import AGENT, CALLER, Leg, Offer
from b2bua.call.states import Input
from b2bua.call.summary import CODE
from b2bua.call.waiting import pick_up
from routing.line_codes import Confirmation
from routing.plan import Announce, Callback, Destination, Dial, Refusal, Voicemail

if TYPE_CHECKING:
    from b2bua.call.call import Call

#: What an external party's offer is kept under: no agent has this name.
_OTHER = ""
_HEARD = "departure"
#: How long another number may ring; carriers give up sooner.
LONGEST_RINGING_NS = 90_000_000_000
_FAILURES = {"busy": 486, "declined": 603}


class Departure:
    """One caller's way out."""

    __slots__ = ("began", "destination", "recorded")

    def __init__(self, destination: Destination | Confirmation, at: int) -> None:
        self.destination = destination
        self.began = at
        #: of a message: None before the tone, False while the caller speaks
        self.recorded: bool | None = None


def leave_queue(call: "Call", at: int, destination: object) -> None:
    """The floor has let the caller go there."""
    assert isinstance(destination, Refusal | Dial | Announce | Voicemail | Callback | Confirmation)
    call.departure = Departure(destination, at)
    if not (call.summary.without_contract and isinstance(destination, Dial)):
        # for a call of a line, another number is where it was to go
        call.summary.left_for = _names(destination)
        call.summary.end_reason = call.summary.left_for
    if isinstance(destination, Dial):
        _dial(call, destination.number, at)
    elif call.summary.accepted_at:
        _begin(call)
    elif call.invite_body:
        call.media.answer_alone(call.id, CALLER, call.invite_body)
    else:
        # an INVITE without an offer cannot be answered by a player: it has chosen no codec yet
        call.step(Input.GONE_THROUGH, at)


def _names(destination: Destination | Confirmation) -> str:
    match destination:
        case Dial():
            return "other_number"
        case Announce():
            return "announcement"
        case Voicemail():
            return "voicemail"
        case Callback():
            return "callback"
        case Confirmation():
            return CODE
        case Refusal():
            return "nobody_available"


def accept_to_leave(call: "Call", at: int, sdp: object) -> None:
    """A caller who only heard it ring is answered for this; another number may be heard before it answers."""
    if call.departure is not None and isinstance(call.departure.destination, Dial):
        assert isinstance(sdp, bytes)
        call.caller.talking_to.ring(at / 1e9, 183, sdp)
        return
    pick_up(call, at, sdp)
    _begin(call)


def _begin(call: "Call") -> None:
    assert call.departure is not None
    match call.departure.destination:
        case Announce(announcement):
            sounds = [announcement]
        case Voicemail():
            sounds = prompts.leave_message(call.contract)
        case Callback():
            sounds = prompts.callback_noted(call.contract)
            call.ports.callback_wanted(call)
        case Confirmation(said):
            sounds = prompts.confirmation(call.contract, said)
        case _:
            sounds = prompts.nobody_available(call.contract)
    call.media.play(call.id, CALLER, sounds, tag=_HEARD)


def depart_on(call: "Call", at: int, tag: object) -> None:
    """What was to be heard has been heard."""
    departure = call.departure
    if departure is None or tag != _HEARD:
        return
    if isinstance(departure.destination, Voicemail) and departure.recorded is None:
        departure.recorded = False
        call.media.listen(call.id, CALLER)
        call.ports.record_message(call, departure.destination.mailbox, at)
    else:
        call.step(Input.GONE_THROUGH, at)


def digit_pressed(call: "Call", digit: str) -> None:
    """A key ends the message, as the caller was told."""
    departure = call.departure
    if departure is not None and departure.recorded is False and digit == "#":
        call.media.finish(call.id, CALLER)


def thank(call: "Call", at: int, subject: object) -> None:
    """The message is there; who is gone by now is not in this state any more."""
    assert call.departure is not None
    call.departure.recorded = True
    call.media.play(call.id, CALLER, prompts.message_kept(call.contract), tag=_HEARD)


def say_goodbye(call: "Call", at: int, subject: object) -> None:
    """Hang up; a caller whom we never answered is told a status instead."""
    departure = call.departure
    refusal = departure.destination if departure is not None else None
    call.refuse_caller(refusal.status if isinstance(refusal, Refusal) else 480, at)
    call.close(at)


# -- another number --------------------------------------------------------------------------------------


def _dial(call: "Call", number: str, at: int) -> None:
    offer = call.offers[_OTHER] = Offer(_OTHER)
    offer.legs = call.ports.dial(call, number, at)
    if not offer.legs:
        call.step(Input.LEG_FAILED, at, offer)


def tick(call: "Call", at: int) -> None:
    """About once a second: another number does not ring for ever."""
    departure = call.departure
    offer = call.offers.get(_OTHER)
    if departure is not None and offer is not None and at - departure.began > LONGEST_RINGING_NS:
        for leg in offer.legs:
            call.cancel(leg, "", at)
        call.step(Input.LEG_FAILED, at, offer)


def join_other(call: "Call", at: int, leg: object) -> None:
    """The other number answered: the two talk, and it is not an agent's call."""
    assert isinstance(leg, Leg)
    call.offers.pop(_OTHER, None)
    call.agent = leg
    if call.description:
        call.media.answer(call.id, AGENT, CALLER, leg.early_body)
    else:
        call.media.offer(call.id, AGENT, CALLER, leg.early_body)


def fail_other(call: "Call", at: int, offer: object) -> None:
    """Nobody is there either."""
    assert isinstance(offer, Offer)
    call.offers.pop(_OTHER, None)
    call.summary.end_reason = "other_number_failed"
    # who dialled the number is told why; who was sent there is not
    status = _FAILURES.get(offer.failure, 480) if call.summary.without_contract else 480
    assert call.departure is not None
    call.departure.destination = Refusal(status)
    if call.summary.accepted_at:
        call.media.play(call.id, CALLER, prompts.nobody_available(call.contract), tag=_HEARD)
    else:
        call.step(Input.GONE_THROUGH, at)
