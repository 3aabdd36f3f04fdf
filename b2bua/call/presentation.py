"""What the agent's phone shows before the first word: whose call it is, and how to greet."""

from b2bua.call.summary import CallSummary
from b2bua.sip.headers import quote_display
from b2bua.sip.identity import identity_headers
from b2bua.sip.uri import user_part
from routing.contract import Contract

#: Longer values are cut: a phone shows a line or two, and a UDP request must stay small.
MAX_HEADER_TEXT = 200


class Presentation:
    """Fills the templates for one call: the contract's own where it has some, else the server's
    (see ``PresentationSection``)."""

    __slots__ = ("_display_name", "_headers", "domain")

    def __init__(self, display_name: str, headers: dict[str, str], domain: str) -> None:
        self._display_name = display_name
        self._headers = headers
        self.domain = domain

    def from_value(self, contract: Contract, summary: CallSummary) -> str:
        """From for the agent's leg: the contract as the name, the caller as the number.

        An anonymous caller stays anonymous to the agent too (RFC 3323 section 4.1.1.3).
        """
        template = contract.presentation.display_name or self._display_name
        name = quote_display(one_line(template.format_map(_facts(contract, summary))))
        caller = summary.caller
        if caller.anonymous or not caller.user:
            return f"{name} <sip:anonymous@anonymous.invalid>"
        return f"{name} <sip:{user_part(caller.user)}@{self.domain}>"

    def headers(self, contract: Contract, summary: CallSummary) -> list[tuple[str, str]]:
        """The caller's asserted identity or wish for privacy, and the configured headers that are not empty."""
        facts = _facts(contract, summary)
        filled = [(name, one_line(value)) for name, value in identity_headers(summary.caller, self.domain)]
        own = contract.presentation.headers
        for name, template in {**self._headers, **own}.items() if own else self._headers.items():
            value = one_line(template.format_map(facts))
            if value:
                filled.append((name, value))
        return filled

    def forwarded(self, summary: CallSummary) -> tuple[str, list[tuple[str, str]]]:
        """From and headers of a call that goes on to another number, diverted by the number that was called.

        The carrier knows that number as ours; the caller's stands in From only where it may be shown (RFC 5806).
        """
        ours = f"<sip:{user_part(summary.target_number)}@{self.domain}>"
        caller = summary.caller
        shown = "sip:anonymous@anonymous.invalid"
        if not caller.anonymous and caller.user:
            shown = f"sip:{user_part(caller.user)}@{self.domain}"
        return f"<{shown}>", [("Diversion", f"{ours};reason=unconditional"), ("P-Asserted-Identity", ours)]


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
        "colour": contract.colour,
    }


def one_line(text: str) -> str:
    """A text that can stand in a header: control characters become spaces, the length is bounded."""
    if text.isprintable():
        return text[:MAX_HEADER_TEXT]
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_HEADER_TEXT].strip(" ")
