"""Ways out in the business file: where a caller goes whom no agent takes."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, StringConstraints, model_validator

from routing.business_fields import STRICT, Name
from routing.numbers import target_number
from routing.plan import Announce, Callback, Destination, Dial, Refusal, Voicemail
from routing.toml_text import Value

#: Named as in the sound library: a path below its folder without the ending.
Sound = Annotated[str, StringConstraints(max_length=128, pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*\z")]


def number_to_dial(value: str) -> str:
    """The number in E.164. Raises ``ValueError``."""
    number = target_number(value)
    if number is None or not number.startswith("+"):
        raise ValueError(f"{value!r} is no number to dial: write it international, such as +491713920012")
    return number


class DestinationTable(BaseModel):
    """Exactly one way out, such as ``{ voicemail = "info@example.com" }``."""

    model_config = STRICT

    dial: Annotated[str, StringConstraints(max_length=64), AfterValidator(number_to_dial)] | None = None
    announcement: Sound | None = None
    voicemail: Name | None = None
    callback: Literal[True] | None = None

    @model_validator(mode="after")
    def _is_one(self) -> "DestinationTable":
        if len(self.model_fields_set) != 1:
            raise ValueError(f"must name exactly one of {', '.join(type(self).model_fields)}")
        return self


def destination_of(table: DestinationTable) -> Destination:
    """The way out that the table names."""
    if table.dial is not None:
        return Dial(table.dial)
    if table.announcement is not None:
        return Announce(table.announcement)
    if table.voicemail is not None:
        return Voicemail(table.voicemail)
    return Callback()


def destination_value(destination: Destination) -> dict[str, Value]:
    """What :class:`DestinationTable` reads; a status has a key of its own, ``if_nobody``."""
    match destination:
        case Dial(number):
            return {"dial": number}
        case Announce(announcement):
            return {"announcement": announcement}
        case Voicemail(mailbox):
            return {"voicemail": mailbox}
        case Callback():
            return {"callback": True}
        case Refusal():
            return {}
