"""What people see of the floor, and what they may change: for the agents' console and the command line.

Everything here runs in the event loop's own thread. Who watches gets events as plain values, ready for JSON.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from b2bua.call.call import Call
from b2bua.call.forwarding_probe import ProbeResult
from b2bua.call.states import State
from b2bua.exchange import Exchange
from routing.agent_store import ChosenStatus
from routing.contract import Contract
from routing.directory import Directory
from routing.floor import (
    AgentConnected,
    AgentStatusChanged,
    CallerOverflowed,
    CallerQueued,
    FloorEvent,
    NobodyFound,
    OfferMade,
    OfferWithdrawn,
    PositionChanged,
    Status,
    WrapUpEnded,
    WrapUpStarted,
)

#: Watchers at a time, and events that one of them may be behind before it is let go.
MOST_WATCHERS = 200
_MOST_BEHIND = 1000

Plain = dict[str, Any]


class UnknownError(Exception):
    """No such agent, contract or number; the text says which there are."""


class Watcher:
    """One who is told everything that happens, in order; ``lost`` once it fell too far behind."""

    def __init__(self) -> None:
        self._events: deque[Plain] = deque()
        self._some = asyncio.Event()
        self.lost = False

    def tell(self, event: Plain) -> None:
        """Never waits."""
        if len(self._events) >= _MOST_BEHIND:
            self.lost = True
        else:
            self._events.append(event)
        self._some.set()

    async def next(self, seconds: float) -> list[Plain]:
        """What has happened since; an empty list if nothing has within this time."""
        try:
            async with asyncio.timeout(seconds):
                await self._some.wait()
        except TimeoutError:
            return []
        self._some.clear()
        found = list(self._events)
        self._events.clear()
        return found


class Console:
    """``flush(at)`` sends what the exchange has to send; ``keep`` is given every status that an agent chose."""

    def __init__(
        self,
        exchange: Exchange,
        wall_anchor_ns: int,
        flush: Callable[[int], None],
        keep: Callable[[ChosenStatus], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._exchange = exchange
        self._wall_anchor_ns = wall_anchor_ns
        self._flush = flush
        self._keep = keep
        self._clock = clock
        self._since: dict[str, int] = {}
        self._restoring = False
        self.watchers: list[Watcher] = []
        exchange.controller.on_floor_event = self._floor_event
        exchange.controller.on_ended = self._call_ended

    # -- what there is -----------------------------------------------------------------------------------

    def agents(self) -> list[Plain]:
        """Every agent of the directory, in its order."""
        directory = self._directory
        views = {view.id: view for view in self._exchange.floor.agents()}
        found = []
        for agent in directory.agents.values():
            view = views.get(agent.id)
            if view is None:
                continue
            found.append(
                {
                    "id": agent.id, "name": agent.name, "status": view.status, "reason": view.reason,
                    "since_ns": self._since.get(agent.id, 0), "state": view.state.name.lower(), "paused": view.paused,
                    "call_id": view.call_id, "reachable": view.reachable, "calls": view.calls,
                    "talk_seconds": round(view.talk_seconds), "skills": dict(agent.skills),
                }
            )  # fmt: skip
        return found

    def calls(self) -> list[Plain]:
        """Every call that is not over, the oldest first."""
        return [self._call(call) for call in self._exchange.controller.calls.values() if call.state is not State.ENDED]

    def _call(self, call: Call) -> Plain:
        summary = call.summary
        return {
            "id": call.id, "contract": call.contract.id, "customer": call.contract.customer,
            "state": call.state.name.lower(), "agent": summary.agent, "ringing": sorted(call.offers),
            "caller": "" if summary.caller.anonymous else summary.caller.user,
            "forwarded_from": summary.forwarding.line if summary.forwarding is not None else "",
            "forwarding_kind": summary.forwarding.kind if summary.forwarding is not None else "",
            "target_number": summary.target_number,
            "position": call.room.position if call.room is not None else 0,
            "started_ns": self._wall(summary.started_at), "accepted_ns": self._wall(summary.accepted_at),
            "answered_ns": self._wall(summary.answered_at),
        }  # fmt: skip

    def _wall(self, at: int) -> int:
        return self._wall_anchor_ns + at if at else 0

    @property
    def _directory(self) -> Directory:
        return self._exchange.controller.directory

    # -- what may be changed -----------------------------------------------------------------------------

    def choose_status(self, agent_id: str, status: Status, reason: str) -> None:
        """An agent goes on a break, comes back, or goes home. Raises UnknownError."""
        self._known_agent(agent_id)
        at = self._clock()
        self._exchange.floor.status_chosen(agent_id, status, reason, at / 1e9)
        self._settle(at)

    def finish_wrap_up(self, agent_id: str) -> None:
        """An agent has done the after-call work before its time. Raises UnknownError."""
        self._known_agent(agent_id)
        at = self._clock()
        self._exchange.floor.wrap_up_finished(agent_id, at / 1e9)
        self._settle(at)

    def probe(self, contract: str, number: str, line: str, seconds: float) -> "asyncio.Future[ProbeResult]":
        """Call a customer's line to see whether it comes back. Raises ProbeError."""
        future: asyncio.Future[ProbeResult] = asyncio.get_running_loop().create_future()

        def done(result: ProbeResult) -> None:
            if not future.done():
                future.set_result(result)

        at = self._clock()
        self._exchange.controller.probes.begin(contract, number, line, seconds, at, done)
        self._settle(at)
        return future

    def contract(self, contract_id: str) -> Contract:
        """Raises UnknownError."""
        found = self._directory.contracts.get(contract_id)
        if found is None:
            raise UnknownError(f"there is no contract {contract_id!r}; there are: {_some(self._directory.contracts)}")
        return found

    def _known_agent(self, agent_id: str) -> None:
        if agent_id not in self._directory.agents:
            raise UnknownError(f"there is no agent {agent_id!r}; there are: {_some(self._directory.agents)}")

    def _settle(self, at: int) -> None:
        self._exchange.settle(at)
        self._flush(at)

    def restore(self, chosen: list[ChosenStatus], crashed: list[str], pause_seconds: float) -> None:
        """After a restart: what agents chose before; who talked when the server died is given some time."""
        at = self._clock()
        floor = self._exchange.floor
        self._restoring = True
        for item in chosen:
            self._since[item.agent_id] = item.since_ns
            if item.status != "available" and item.agent_id in self._directory.agents:
                floor.status_chosen(item.agent_id, item.status, item.reason, at / 1e9)
        for agent_id in crashed:
            if agent_id in self._directory.agents:
                # their phones may still show the call that is gone
                floor.agent_paused(agent_id, pause_seconds, at / 1e9)
        self._settle(at)
        self._restoring = False

    # -- what happens ------------------------------------------------------------------------------------

    def watch(self) -> Watcher | None:
        """Somebody wants to be told; None if there are too many already."""
        if len(self.watchers) >= MOST_WATCHERS:
            return None
        watcher = Watcher()
        self.watchers.append(watcher)
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """It is gone."""
        self.watchers.remove(watcher)

    def _floor_event(self, event: FloorEvent, at: int) -> None:
        if isinstance(event, AgentStatusChanged) and not self._restoring:
            since = self._wall(at)
            self._since[event.agent_id] = since
            self._keep(ChosenStatus(event.agent_id, event.status, event.reason, since))
        if self.watchers:
            told = self._told(event)
            if told:
                self._tell({**told, "at_ns": self._wall(at)})

    def _call_ended(self, call: Call, at: int) -> None:
        if self.watchers:
            summary = call.summary
            self._tell(
                {
                    "event": "ended", "call_id": call.id, "agent": summary.agent, "result": summary.result,
                    "reason": summary.end_reason, "at_ns": self._wall(at),
                }
            )  # fmt: skip

    def _tell(self, event: Plain) -> None:
        for watcher in self.watchers:
            watcher.tell(event)

    def _told(self, event: FloorEvent) -> Plain:
        match event:
            case OfferMade(call_id, agent_id, ring_seconds):
                return {
                    "event": "offered", "agent": agent_id, "ring_seconds": ring_seconds, **self._screen(call_id)
                }  # fmt: skip
            case OfferWithdrawn(call_id, agent_id, cause):
                return {"event": "withdrawn", "call_id": call_id, "agent": agent_id, "cause": cause}
            case AgentConnected(call_id, agent_id):
                return {"event": "taken", "call_id": call_id, "agent": agent_id}
            case CallerQueued(call_id, position, wait) | PositionChanged(call_id, position, wait):
                return {"event": "queued", "call_id": call_id, "position": position, "expected_wait_seconds": wait}
            case NobodyFound(call_id, action, cause) | CallerOverflowed(call_id, action, cause):
                return {"event": "overflowed", "call_id": call_id, "to": str(action), "cause": cause}
            case AgentStatusChanged(agent_id, status, reason):
                return {"event": "status", "agent": agent_id, "status": status, "reason": reason}
            case WrapUpStarted(agent_id, call_id, seconds):
                return {"event": "wrap_up", "agent": agent_id, "call_id": call_id, "seconds": seconds}
            case WrapUpEnded(agent_id, by_agent):
                return {"event": "wrap_up_over", "agent": agent_id, "by_agent": by_agent}
            case _:
                return {}

    def _screen(self, call_id: str) -> Plain:
        """What the agent needs to see before the first word."""
        call = self._exchange.controller.calls.get(call_id)
        if call is None:
            return {"call_id": call_id}
        shown = self._call(call)
        contract = call.contract
        return {
            "call_id": call_id, "greeting": contract.greeting, "instructions": contract.instructions,
            "language": contract.language, "colour": contract.colour,
            **{name: shown[name] for name in _ON_SCREEN},
        }  # fmt: skip


_ON_SCREEN = ("contract", "customer", "caller", "forwarded_from", "forwarding_kind", "target_number")


def _some(names: object) -> str:
    known = sorted(names)  # type: ignore[call-overload]
    return f"{', '.join(known[:20]) or 'none'}{' ...' if len(known) > 20 else ''}"
