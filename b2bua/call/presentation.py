"""What the agent's phone shows before the first word: whose call it is, and how to greet."""

from b2bua.call.summary import CallSummary
from b2bua.sip.diversion import Forwarder, write_forwarding
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

    def forwarded(self, summary: CallSummary, number: str) -> tuple[str, list[tuple[str, str]]]:
        """From and headers of a call that goes to a number over the trunk: diverted by the number that was called, or
        placed by a line of ours.

        The carrier knows our numbers only, so one of them is asserted; the caller's stands in From where it may be
        shown.
        """
        forwarders = _forwarders(summary)
        if not summary.without_contract:
            forwarders.append(Forwarder(summary.target_number, "unconditional"))
        headers = write_forwarding(forwarders, number, self.domain)
        ours = forwarders[-1].line if forwarders else summary.line
        headers.append(("P-Asserted-Identity", f"<sip:{user_part(ours)}@{self.domain}>"))
        if summary.caller.anonymous:
            headers.append(("Privacy", "id"))
        return self._caller(summary), headers

    def for_line(self, summary: CallSummary, number: str) -> tuple[str, list[tuple[str, str]]]:
        """From and headers for the phones of a line of ours: the caller as he is, and who forwarded him here."""
        headers = identity_headers(summary.caller, self.domain)
        return self._caller(summary), headers + write_forwarding(_forwarders(summary), number, self.domain)

    def _caller(self, summary: CallSummary) -> str:
        caller = summary.caller
        if caller.anonymous or not caller.user:
            return "<sip:anonymous@anonymous.invalid>"
        name = f"{quote_display(one_line(caller.display))} " if caller.display else ""
        return f"{name}<sip:{user_part(caller.user)}@{self.domain}>"


def _forwarders(summary: CallSummary) -> list[Forwarder]:
    """Everybody who forwarded this call, the oldest first."""
    earlier = summary.forwarding
    known = []
    if earlier is not None and earlier.source != "own_line" and earlier.line:
        known.append(Forwarder(earlier.line, earlier.kind, earlier.hops))
    return known + [Forwarder(item.line, item.kind) for item in summary.diverted]


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
        "call_id": summary.call_id,
    }


def one_line(text: str) -> str:
    """A text that can stand in a header: control characters become spaces, the length is bounded."""
    if text.isprintable():
        return text[:MAX_HEADER_TEXT]
    return "".join(char if char.isprintable() else " " for char in text)[:MAX_HEADER_TEXT].strip(" ")
