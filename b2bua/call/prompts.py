"""What callers are told, by the names of the sounds: ``de/position/3``. The language is the contract's.

``examples/make_sounds.py`` makes a sound for every name.
"""

from collections.abc import Iterable, Iterator

from routing.contract import Contract
from routing.plan import Announce, Callback, Overflow, Refusal, Voicemail

#: Places in a queue that can be said; who is further behind is told so.
POSITIONS = range(1, 21)
#: Expected waits that can be said, minutes.
MINUTES = (1, 2, 3, 4, 5, 10, 15, 20, 30)
_BEEP = "tone/record"
_DONE = _BEEP


def position(contract: Contract, place: int, expected_seconds: int) -> list[str]:
    """ "You are caller number three. Your expected wait is two minutes." Nothing of what is not known, 0."""
    language = _language(contract)
    said = []
    if place in POSITIONS:
        said.append(f"{language}/position/{place}")
    elif place:
        said.append(f"{language}/position/many")
    if expected_seconds:
        # never less than it may be
        minutes = next((known for known in MINUTES if 60 * known >= expected_seconds), None)
        said.append(f"{language}/wait/{minutes or 'long'}")
    return said


def leave_message(contract: Contract) -> list[str]:
    """Asks for a message; the tone is the last."""
    return [f"{_language(contract)}/voicemail/record", _BEEP]


def message_kept(contract: Contract) -> list[str]:
    """Who has ended the message with a key hears that it is there."""
    return [f"{_language(contract)}/voicemail/thanks"]


def callback_noted(contract: Contract) -> list[str]:
    """The caller will be called back."""
    return [f"{_language(contract)}/callback/thanks"]


def nobody_available(contract: Contract) -> list[str]:
    """For a caller whom we have answered, and whom no agent takes."""
    return [f"{_language(contract)}/busy"]


def confirmation(contract: Contract, said: Iterable[str]) -> list[str]:
    """A code was taken: ``said`` is without the language; the tone says so where nobody has recorded it."""
    return [*(f"{_language(contract)}/{sound}" for sound in said), _DONE]


def sounds_of(contract: Contract) -> Iterator[str]:
    """Every sound that a call of this contract may want; some come twice."""
    waiting = contract.waiting
    yield from (
        name for name in (contract.whisper, waiting.greeting_sound, waiting.music, waiting.comfort_sound) if name
    )
    if waiting.position_seconds:
        places = (*POSITIONS, POSITIONS[-1] + 1)
        for place in places:
            yield from position(contract, place, 0)
        for minutes in (*MINUTES, MINUTES[-1] + 1):
            yield from position(contract, 0, 60 * minutes)
    if waiting.answering == "answer_at_once":
        yield from nobody_available(contract)
    yield from _on_the_way_out(contract, ways_out(contract))
    for blocked in contract.conditions.blocked_callers:
        if blocked.announcement:
            yield blocked.announcement


def ways_out(contract: Contract) -> Iterator[Overflow | None]:
    """Everywhere a caller of this contract may go whom no agent takes."""
    yield contract.overflow
    waiting = contract.waiting
    yield from (waiting.if_full, waiting.if_too_long, *waiting.exits.values())
    yield from (variant.overflow for variant in contract.conditions.variants)


def _on_the_way_out(contract: Contract, ways: Iterable[Overflow | None]) -> Iterator[str]:
    for way in ways:
        match way:
            case Announce(announcement):
                yield announcement
            case Voicemail():
                yield from leave_message(contract)
                yield from message_kept(contract)
            case Callback():
                yield from callback_noted(contract)
            case Refusal():
                yield from nobody_available(contract)
            case _:
                pass


def _language(contract: Contract) -> str:
    """``de`` of ``de-AT``: nobody records a prompt twice for that."""
    return contract.language.partition("-")[0]
