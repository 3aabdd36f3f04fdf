"""What a caller hears who was answered by us and waits for an agent: greeting, music, position, comfort.

None of it is paid for: the connected interval opens when an agent takes the call.
"""

from typing import TYPE_CHECKING

from b2bua.call import prompts
from b2bua.call.leg import AGENT, CALLER
from b2bua.call.states import State

if TYPE_CHECKING:
    from b2bua.call.call import Call

_SECOND = 1_000_000_000


class WaitingRoom:
    """Where one caller waits. ``position`` and ``expected_seconds`` are what the floor said last, 0 = nothing."""

    __slots__ = ("answering_again", "comforted_at", "expected_seconds", "position", "told_at", "told_something")

    def __init__(self, at: int) -> None:
        self.position = 0
        self.expected_seconds = 0
        self.told_at = at
        self.comforted_at = at
        #: greeting, position or comfort is being said: the next must wait
        self.told_something = False
        #: the caller's phone offered another description, whose answer comes from the media engine
        self.answering_again = False


def accept_caller(call: "Call", at: int, sdp: object) -> None:
    """The media engine has answered the caller's offer: pick up, greet, and look for an agent meanwhile."""
    pick_up(call, at, sdp)
    call.room = WaitingRoom(at)
    rules = call.contract.waiting
    if rules.exits:
        call.media.listen(call.id, CALLER)
    _say(call, [rules.greeting_sound] if rules.greeting_sound else [])
    call.media.offer_for(call.id, CALLER, AGENT)


def pick_up(call: "Call", at: int, sdp: object) -> None:
    """Answer the caller with a description of our own."""
    assert isinstance(sdp, bytes)
    call.summary.accepted_at = at
    call.caller.talking_to.answer(sdp, at / 1e9)


def hear_on(call: "Call", at: int, tag: object) -> None:
    """What was said is over: music again."""
    if call.room is not None and call.room.told_something:
        _say(call, [])


def queued(call: "Call", position: int, expected_seconds: int, at: int) -> None:
    """The floor says where the caller stands. Who has no room for that hears it ring, though no phone does yet."""
    if call.room is not None:
        call.room.position = position
        call.room.expected_seconds = expected_seconds
    else:
        call.let_ring(at)


def tick(call: "Call", at: int) -> None:
    """About once a second: is it time to say something?"""
    room = call.room
    if room is None or room.told_something or call.state is not State.SEEKING:
        return
    rules = call.contract.waiting
    if rules.position_seconds and at - room.told_at >= rules.position_seconds * _SECOND:
        room.told_at = room.comforted_at = at
        _say(call, prompts.position(call.contract, room.position, room.expected_seconds))
    elif rules.comfort_sound and rules.comfort_seconds and at - room.comforted_at >= rules.comfort_seconds * _SECOND:
        room.comforted_at = at
        _say(call, [rules.comfort_sound])


def _say(call: "Call", sounds: list[str]) -> None:
    assert call.room is not None
    call.room.told_something = bool(sounds)
    if sounds:
        call.media.play(call.id, CALLER, sounds, tag="said")
    else:
        music = call.contract.waiting.music
        call.media.play(call.id, CALLER, [music] if music else [], loop=True)


def offered_again(call: "Call", body: bytes, at: int) -> None:
    """The caller's phone renews its description while it waits: the music goes where it says."""
    room = call.room
    if room is None or not body:
        call.caller.talking_to.refuse_offer(491, at / 1e9)
        return
    room.answering_again = True
    call.media.answer_alone(call.id, CALLER, body)


def answered_again(call: "Call", sdp: bytes, at: int) -> bool:
    """The media engine's answer to that; False if it was not asked."""
    room = call.room
    if room is None or not room.answering_again:
        return False
    room.answering_again = False
    call.caller.talking_to.accept_offer(sdp, at / 1e9)
    return True
