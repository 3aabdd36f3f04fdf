"""Calls to lines of ours, calls that lines place, and codes that are dialled: what becomes of them at the door."""

from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from b2bua.call.line_call import forwarding_of, without_contract
from b2bua.call.summary import CallSummary
from b2bua.metrics import Metrics
from b2bua.sip.events import InviteReceived
from b2bua.sip.identity import CallerIdentity
from routing.codes import AgentAction, parse_agent_code
from routing.contract import Contract
from routing.directory import Directory
from routing.line_codes import CodeFault, Confirmation, dial_code
from routing.line_route import Ended, LineRoute, ToContract, ToNumber, Way
from routing.lines import MOST_CALLS_OUT, Line, LineForwardings
from routing.numbers import NumberReader, is_literal

if TYPE_CHECKING:
    from b2bua.call.controller import CallController

log = structlog.get_logger("b2bua.admission")

_AGENT_SOUNDS: dict[AgentAction, str] = {
    "available": "agent/available", "on_break": "agent/break", "logged_out": "agent/out",
    "wrap_up_over": "agent/available",
}  # fmt: skip
_NO_AGENT_CODE = CodeFault(484, "No such code: *50 available, *51 break, *51*N break with reason N, *52 out, *53 done")
_AGENTS_LANGUAGE = "de"


class LineDoor:
    """Knows which lines are forwarded now; ``at`` is nanoseconds of the monotonic clock."""

    def __init__(self, controller: "CallController", metrics: Metrics) -> None:
        self._controller = controller
        self._metrics = metrics
        self._reader = NumberReader()
        self.forwardings = LineForwardings()

    def let_in(
        self,
        event: InviteReceived,
        summary: CallSummary,
        directory: Directory,
        caller: str,
        moment: datetime,
        at: int,
        calling: Line | None,
    ) -> bool:
        """Take a call for a number that is no contract's; False if it is none that lines have to do with.

        ``caller`` is a number for contracts' conditions, ``calling`` the line that has dialled.
        """
        number = summary.target_number
        line = directory.lines.get(number)
        hops = summary.forwarding.hops if summary.forwarding is not None else 0
        route = LineRoute(directory, self.forwardings, caller, hops)
        if line is not None:
            self._proceed(event, summary, route, route.arrive(line, moment), without_contract("", line.language), at)
        elif calling is None or not number or is_literal(number):
            return False
        elif calling.calls(number) and self._calls_out(calling) >= MOST_CALLS_OUT:
            fault = CodeFault(486, f"No more than {MOST_CALLS_OUT} calls to outside at a time: end one first")
            self._refuse(event, summary.origin, fault, "too_many_calls_out", at)
        elif calling.calls(number):
            summary.line = calling.number
            self._proceed(event, summary, route, ToNumber(number), without_contract("", calling.language), at)
        else:
            fault = CodeFault(403, "Not allowed: the back office can add this number to may_call of the line")
            self._refuse(event, summary.origin, fault, "number_not_allowed", at)
        return True

    def _calls_out(self, line: Line) -> int:
        return sum(call.summary.line == line.number for call in self._controller.calls.values())

    def _proceed(
        self, event: InviteReceived, summary: CallSummary, route: LineRoute, way: Way, nobody: Contract, at: int
    ) -> None:
        if isinstance(way, Ended):
            self._metrics.call_refused(way.reason)
            log.info(way.reason, origin=summary.origin, hops=route.hops)
            event.session.refuse(way.refusal.status, at / 1e9)
            return
        summary.diverted = route.diverted
        if summary.trunk is not None:
            summary.trunk.calls += 1
        if isinstance(way, ToContract):
            # forwarded at once: the line has nothing to do with it any more
            summary.target_number = way.number
            summary.forwarding = forwarding_of(route)
            self._controller.begin(event.session, way.contract, summary, at)
            return
        summary.without_contract = True
        search = self._controller.lines.search(route, way)
        self._controller.begin(event.session, nobody, summary, at, search)

    # -- codes -------------------------------------------------------------------------------------------

    def dial_code(
        self,
        event: InviteReceived,
        origin: str,
        who: Line | str,
        code: str,
        identity: CallerIdentity,
        directory: Directory,
        at: int,
    ) -> None:
        """Do what was dialled by a line or by an agent (whose id it is), and say so.

        A fault is a status with a text for the phone's display. What is done is confirmed by an answered call, as
        exchanges do it: phones show failure for anything but a 200, and a text of it they would not show.
        """
        if not event.request.body:
            # we choose the codec of what we say, so there must be an offer
            self._refuse(
                event, origin, CodeFault(488, "A code needs an INVITE with an offer"), "code_without_offer", at
            )
            return
        if isinstance(who, Line):
            moment = self._controller.lines.moment_of(at / 1e9)
            way_out = self._controller.phones.has_way_out
            done = dial_code(code, who, directory, self.forwardings, self._reader, moment, way_out)
            language = who.language
        else:
            done = self._agent_code(who, code, at)
            language = _AGENTS_LANGUAGE
        if isinstance(done, CodeFault):
            self._refuse(event, origin, done, "code_wrong", at)
            return
        log.info("code_dialled", origin=origin, done=done.sounds[0])
        summary = CallSummary(origin, None, code, "", identity, None, at)
        summary.without_contract = True
        search = self._controller.lines.search(LineRoute(directory, self.forwardings), done)
        self._controller.begin(event.session, without_contract("", language), summary, at, search)

    def _agent_code(self, agent_id: str, text: str, at: int) -> Confirmation | CodeFault:
        code = parse_agent_code(text)
        if code is None:
            return _NO_AGENT_CODE
        floor = self._controller.floor
        if code.action == "wrap_up_over":
            floor.wrap_up_finished(agent_id, at / 1e9)
        else:
            floor.status_chosen(agent_id, code.action, code.reason, at / 1e9)
        return Confirmation((_AGENT_SOUNDS[code.action],), code.action)

    def _refuse(self, event: InviteReceived, origin: str, fault: CodeFault, reason: str, at: int) -> None:
        self._metrics.call_refused(reason)
        log.info(reason, origin=origin, status=fault.status)
        # some phones show the phrase, some the warning (RFC 3261 section 20.43)
        warning = [("Warning", f'399 b2bua "{fault.text}"')]
        event.session.refuse(fault.status, at / 1e9, warning, fault.text)
