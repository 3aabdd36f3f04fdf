"""What the agent's phone shows before the first word: whose call it is, and how to greet."""

from b2bua.call.summary import CallSummary
from b2bua.sip.headers import quote_display
from routing.contract import Contract

#: Longer values are cut: a phone shows a line or two, and a UDP request must stay small.
MAX_HEADER_TEXT = 200


class Presentation:
    """Fills the configured templates (see ``PresentationSection``) for one call."""

    __slots__ = ("_display_name", "_headers", "domain")

    def __init__(self, display_name: str, headers: dict[str, str], domain: str) -> None:
        self._display_name = display_name
        self._headers = tuple(headers.items())
        self.domain = domain

    def from_value(self, contract: Contract, summary: CallSummary) -> str:
        """From for the agent's leg: the contract as the name, the caller as the number.

        An anonymous caller stays anonymous to the agent too (RFC 3323 section 4.1.1.3).
        """
        name = quote_display(one_line(self._display_name.format_map(_facts(contract, summary))))
        caller = summary.caller
        if caller.anonymous:
            return f"{name} <sip:anonymous@anonymous.invalid>"
        return f"{name} <sip:{_user(caller.user)}@{self.domain}>"

    def headers(self, contract: Contract, summary: CallSummary) -> list[tuple[str, str]]:
        """The configured headers; what comes out empty is left away."""
        facts = _facts(contract, summary)
        filled = []
        for name, template in self._headers:
            value = one_line(template.format_map(facts))
            if value:
                filled.append((name, value))
        return filled


def _facts(contract: Contract, summary: CallSummary) -> dict[str, str]:
    forwarding = summary.forwarding
    return {
        "customer": contract.customer,
        "contract": contract.id,
        "greeting": contract.greeting,
        "caller": "" if summary.caller.anonymous else summary.caller.user,
        "target": summary.target_number,
        "forwarded_from": forwarding.line if forwarding is not None else "",
        "forwarding_kind": forwarding.kind if forwarding is not None else "",
    }


def one_line(text: str) -> str:
    """A text that can stand in a header: control characters become spaces, the length is bounded."""
    if text.isprintable():
        return text[:MAX_HEADER_TEXT]
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_HEADER_TEXT].strip(" ")


def _user(text: str) -> str:
    """A caller's number as a URI's user part; what does not belong there is percent-encoded."""
    if text.isascii() and text.replace("+", "").replace("-", "").replace(".", "").isalnum():
        return text
    allowed = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.!~*'()&=+$,"
    octets = text.encode("utf-8", "surrogateescape")
    return "".join(chr(octet) if octet in allowed else f"%{octet:02X}" for octet in octets)
