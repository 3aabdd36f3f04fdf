"""From what was dialled to a number of ours: E.164 (``+4930...``), exact, or nothing.

Nothing here raises on input, and nothing that is returned holds anything but what was checked: a number is
``+`` and digits, a literal is one of those the caller named.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from typing import NewType
from urllib.parse import unquote

import phonenumbers
from phonenumbers import NumberParseException, PhoneMetadata, PhoneNumberFormat

#: ``+`` and 2 to 15 digits (E.164), or a literal of the directory such as ``1001``.
TargetNumber = NewType("TargetNumber", str)

#: A Request-URI that names a number is far shorter; the bound also bounds the memory of the cache.
_LONGEST = 256
_PRINTABLE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_ESCAPE_FAULT = re.compile(r"%(?![0-9A-Fa-f]{2})")
# RFC 3966 section 3: visual separators; humans and PBXs add the space and the slash
_SEPARATORS = str.maketrans("", "", "-.()/ ")
_DIGITS = re.compile(r"\+?[0-9]{1,24}", re.ASCII)
_E164 = re.compile(r"\+[1-9][0-9]{1,14}", re.ASCII)

#: Target numbers that are none in E.164: an internal number without a leading 0, or a name.
_LITERAL = re.compile(r"[1-9][0-9]{0,7}|[A-Za-z][A-Za-z0-9_.-]{0,31}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NumberRules:
    """How a trunk writes numbers.

    ``region`` (ISO 3166) gives the country's prefixes. ``area_code`` (without trunk prefix, ``"30"``)
    completes numbers dialled without any. ``prefixes`` are (prefix, replacement): the longest that fits is
    replaced before all else, for example ``("49", "+49")`` for a carrier that leaves the ``+`` away or
    ``("9", "")`` for a PBX's outside line.
    """

    region: str = "DE"
    area_code: str = ""
    prefixes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one dialled text means; ``literal`` counts only if the directory has it."""

    number: TargetNumber | None
    literal: str


_NOTHING = _Reading(None, "")


class NumberReader:
    """Reads dialled numbers by one trunk's rules and remembers what they meant.

    phonenumbers takes some 50 us for a number, a remembered one less than one. Two generations of at most
    ``remembered`` texts each are kept, so that a flood of random numbers cannot fill the memory, nor push
    the numbers in daily use out of it at once.
    """

    __slots__ = ("_older", "_recent", "_remembered", "rules")

    def __init__(self, rules: NumberRules | None = None, remembered: int = 4096) -> None:
        self.rules = rules or NumberRules()
        self._remembered = remembered
        self._recent: dict[str, _Reading] = {}
        self._older: dict[str, _Reading] = {}

    def read(self, dialled: str, literals: Container[str] = ()) -> TargetNumber | None:
        """The number meant by ``dialled``: a SIP or tel URI, or a bare number; None if it is no number.

        ``literals`` are the directory's numbers outside E.164; they match exactly, as written.
        """
        reading = self._recent.get(dialled)
        if reading is None:
            reading = self._recall(dialled)
        if reading.literal and reading.literal in literals:
            return TargetNumber(reading.literal)
        return reading.number

    def _recall(self, dialled: str) -> _Reading:
        if len(dialled) > _LONGEST:
            return _NOTHING
        reading = self._older.get(dialled)
        if reading is None:
            reading = _read(dialled, self.rules)
        if len(self._recent) >= self._remembered:
            self._older = self._recent
            self._recent = {}
        self._recent[dialled] = reading
        return reading


def target_number(text: str) -> TargetNumber | None:
    """A target number as the back office writes it: international with ``+``, or a literal; else None.

    A national number is refused, not guessed: it would mean another line in another country.
    """
    if _LITERAL.fullmatch(text):
        return TargetNumber(text)
    digits = text.translate(_SEPARATORS)
    if not digits.startswith("+") or not _DIGITS.fullmatch(digits):
        return None
    return _parsed(digits, None)


def is_literal(number: str) -> bool:
    """True for a target number outside E.164, such as ``1001``."""
    return not number.startswith("+")


def _read(dialled: str, rules: NumberRules) -> _Reading:
    if not _PRINTABLE.fullmatch(dialled):
        return _NOTHING
    written, parameters = _subscriber(dialled)
    if not written or _ESCAPE_FAULT.search(written):
        return _NOTHING
    # decoded once only, and after the parameters were cut off: an escaped ";" belongs to the number (RFC 3261 19.1.4)
    plain = unquote(written, errors="replace")
    literal = plain if _LITERAL.fullmatch(plain) else ""
    digits = plain.translate(_SEPARATORS)
    if not _DIGITS.fullmatch(digits):
        # also catches CR, LF, NUL and foreign digits that were hidden by percent signs
        return _Reading(None, literal)
    return _Reading(_complete(digits, parameters, rules), literal)


def _subscriber(dialled: str) -> tuple[str, str]:
    """The number's text, still escaped, and the parameters that stand with it."""
    scheme, colon, rest = dialled.partition(":")
    if not colon:
        user = dialled
    elif scheme.lower() in ("sip", "sips"):
        user, at, _ = rest.partition("@")
        if not at:
            return "", ""
        user = user.partition(":")[0]
    elif scheme.lower() == "tel":
        user = rest
    else:
        return "", ""
    # RFC 3261 19.1.6: the telephone-subscriber's parameters stand in the user part: npdi, rn, cic, isub ...
    number, _, parameters = user.partition(";")
    return number, parameters


def _complete(digits: str, parameters: str, rules: NumberRules) -> TargetNumber | None:
    if digits.startswith("+"):
        return _parsed(digits, None)
    context = _phone_context(parameters)
    if context is not None:
        return _in_context(digits, context)
    rewritten = _rewritten(digits, rules)
    if rewritten.startswith("+"):
        return _parsed(rewritten, None)
    metadata = PhoneMetadata.metadata_for_region(rules.region, None)
    if metadata is None:
        return None
    national_prefix = metadata.national_prefix or ""
    if re.match(metadata.international_prefix or r"\Z.", rewritten) or (
        national_prefix and rewritten.startswith(national_prefix)
    ):
        return _parsed(rewritten, rules.region)
    if rules.area_code:
        return _parsed(national_prefix + rules.area_code + rewritten, rules.region)
    country = str(metadata.country_code)
    if rewritten.startswith(country):
        # most carriers of the world write E.164 without its "+"
        number = _parsed("+" + rewritten, None, strict=True)
        if number is not None:
            return number
    if national_prefix in ("", country):
        # no prefix is dialled within such a country: the bare number is the national one
        return _parsed(rewritten, rules.region)
    return None


def _rewritten(digits: str, rules: NumberRules) -> str:
    fitting = [rule for rule in rules.prefixes if digits.startswith(rule[0])]
    if not fitting:
        return digits
    prefix, replacement = max(fitting, key=lambda rule: len(rule[0]))
    return replacement + digits[len(prefix) :]


def _phone_context(parameters: str) -> str | None:
    """The global prefix that a local number belongs to; "" for a domain, None without a phone-context."""
    for parameter in parameters.split(";"):
        name, equals, value = parameter.partition("=")
        if equals and name.lower() == "phone-context":
            context = unquote(value, errors="replace").translate(_SEPARATORS)
            return context if _E164.fullmatch(context) else ""
    return None


def _in_context(digits: str, context: str) -> TargetNumber | None:
    if not context:
        # RFC 3966 5.1.5: a number of somebody's private plan; only a literal can match it
        return None
    try:
        country = int(context[1:])
    except ValueError:
        return None
    region = phonenumbers.region_code_for_country_code(country) if len(context) <= 4 else "ZZ"
    if region not in ("ZZ", "001"):
        return _parsed(digits, region)
    return _parsed(context + digits, None)


def _parsed(text: str, region: str | None, strict: bool = False) -> TargetNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number) or (strict and not phonenumbers.is_valid_number(number)):
        return None
    formatted = phonenumbers.format_number(number, PhoneNumberFormat.E164)
    return TargetNumber(formatted) if _E164.fullmatch(formatted) else None
