"""A floor written down as plain data and read back, so that after a restart nobody who talks is thought free.

The data are what JSON has. Times are seconds before or after the moment of writing: the next process has another
clock. Who comes back finds agents, calls, offers, queues and timers as they were; what became of a call in between
is for the one to say who knows: ``call_ended``, ``offer_declined``.
"""

from collections.abc import Mapping
from typing import Any

from routing.contract import Contract
from routing.directory import Directory
from routing.floor.agents import AgentRecord
from routing.floor.callers import CallerRecord, Talk
from routing.floor.events import NobodyFound
from routing.floor.floor import Floor
from routing.floor.rules import FloorRules, NumberSource
from routing.floor.states import AgentState
from routing.floor.timers import Timer

_VERSION = 1
_RULES = FloorRules()
_CALLERS_TIMERS = {
    Timer.RING: "ring_timer",
    Timer.PATIENCE: "patience_timer",
    Timer.WIDENING: "widening_timer",
    Timer.LONGEST_WAIT: "longest_timer",
}
_AGENTS_TIMERS = {Timer.PAUSE: "pause_timer", Timer.WRAP_UP: "wrap_up_timer"}


def write_down(floor: Floor, now: float) -> dict[str, Any]:
    """All that ``read_back`` needs besides the directory. Events must have been taken before."""
    return {
        "version": _VERSION,
        "entrances": floor._entrances,
        "offers": floor._offers,
        "handling": floor._handling,
        # who is gone from the directory and does nothing more is of no use to anybody
        "agents": [
            _agent(agent, now)
            for agent in floor._agents.values()
            if agent.known or agent.state is not AgentState.WAITING
        ],
        "callers": [_caller(caller, now) for caller in floor._callers.values()],
        "talks": {call_id: talk.wrap_up_seconds for call_id, talk in floor._talks.items()},
        # those of a grace are begun anew
        "timers": [
            (what.name, "" if subject is None else subject.id, when - now)
            for when, what, subject in floor._timers.running()
            if what is not Timer.GRACE and (what is not Timer.PAUSE or subject.known)
        ],
    }


def _agent(agent: AgentRecord, now: float) -> dict[str, Any]:
    return {
        "id": agent.id,
        "state": agent.state.name,
        "status": agent.status,
        "reason": agent.reason,
        "reachable": agent.reachable,
        "call_id": agent.call_id,
        "idle": now - agent.idle_since,
        "talking": now - agent.talking_since,
        "turn": agent.turn,
        "calls": agent.calls,
        "talk_seconds": agent.talk_seconds,
        "missed": agent.missed,
        "wrap_up_seconds": agent.wrap_up_seconds,
    }


def _caller(caller: CallerRecord, now: float) -> dict[str, Any]:
    return {
        "id": caller.id,
        "contract": caller.contract.id,
        "number": caller.number,
        "priority": caller.priority,
        "entered": now - caller.entered_at,
        "step": caller.step,
        "step_since": now - caller.step_since,
        "level": caller.level,
        "widened": caller.widened,
        "asked": sorted(caller.asked),
        "refused_by": sorted(caller.refused_by),
        "told_position": caller.told_position if caller.queued else 0,
        "step_over": caller.step_over,
        "too_long": caller.too_long,
        "cause": caller.cause,
    }


def read_back(
    written: Mapping[str, Any],
    contracts: Mapping[str, Contract],
    now: float,
    directory: Directory | None = None,
    rules: FloorRules = _RULES,
    numbers: NumberSource | None = None,
) -> Floor:
    """The floor as it was. A caller whose contract is gone hears that nobody is found; who waited in a step that
    is gone goes through the rest of the plan. Raises ``ValueError`` for data of another version."""
    if written["version"] != _VERSION:
        raise ValueError(f"a floor of version {written['version']} cannot be read")
    floor = Floor(rules, numbers)
    floor._entrances = written["entrances"]
    floor._offers = written["offers"]
    floor._handling = written["handling"]
    floor._timers.reserve(len(written["timers"]))
    for item in written["agents"]:
        _read_agent(floor, item, written["talks"], now)
    for number, (name, subject, left) in enumerate(written["timers"], 1):
        what = Timer[name]
        if what is Timer.POSITIONS:
            floor._timers.resume(number, now + left, what, None)
            floor._positions_timer = number
        elif what in _AGENTS_TIMERS:
            agent = floor._agents[subject]
            floor._timers.resume(number, now + left, what, agent)
            setattr(agent, _AGENTS_TIMERS[what], number)
    for agent in floor._agents.values():
        floor._refresh(agent)
    # before any caller is there: whoever is free has a place in the rankings
    floor._settle(now)
    if directory is not None:
        # offers are not withdrawn from who is gone: their callers come only now
        floor.use(directory.agents, directory.groups, now)
    _read_callers(floor, written, contracts, now)
    floor._settle(now)
    return floor


def _read_agent(floor: Floor, item: Mapping[str, Any], talks: Mapping[str, int], now: float) -> None:
    agent = floor._agents[item["id"]] = AgentRecord(item["id"], now - item["idle"])
    agent.state = AgentState[item["state"]]
    agent.status = item["status"]
    agent.reason = item["reason"]
    agent.reachable = item["reachable"]
    agent.call_id = item["call_id"]
    agent.talking_since = now - item["talking"]
    agent.turn = item["turn"]
    agent.calls = item["calls"]
    agent.talk_seconds = item["talk_seconds"]
    agent.missed = item["missed"]
    agent.wrap_up_seconds = item["wrap_up_seconds"]
    if agent.state is AgentState.IN_CALL:
        talk = floor._talks.setdefault(agent.call_id, Talk(talks[agent.call_id]))
        talk.agents[agent.id] = agent
    elif agent.state is AgentState.WRAP_UP:
        floor._in_wrap_up += 1


def _read_callers(floor: Floor, written: Mapping[str, Any], contracts: Mapping[str, Contract], now: float) -> None:
    ringing: dict[str, list[AgentRecord]] = {}
    for agent in sorted(floor._agents.values(), key=lambda agent: agent.turn):
        if agent.state is AgentState.OFFERED:
            ringing.setdefault(agent.call_id, []).append(agent)
    for item in written["callers"]:
        contract = contracts.get(item["contract"])
        if contract is None:
            floor.events.append(NobodyFound(item["id"], Contract("", "").if_nobody))
        else:
            _read_caller(floor, item, contract, ringing.pop(item["id"], []), now)
    for number, (name, call_id, left) in enumerate(written["timers"], 1):
        what = Timer[name]
        caller = floor._callers.get(call_id) if what in _CALLERS_TIMERS else None
        if caller is not None:
            floor._timers.resume(number, now + left, what, caller)
            setattr(caller, _CALLERS_TIMERS[what], number)
    for agents in ringing.values():
        for agent in agents:
            agent.state = AgentState.WAITING
            agent.call_id = ""
            floor._refresh(agent)


def _read_caller(
    floor: Floor, item: Mapping[str, Any], contract: Contract, offered: list[AgentRecord], now: float
) -> None:
    caller = CallerRecord(item["id"], contract, now - item["entered"], item["number"])
    caller.priority = item["priority"]
    caller.score = caller.entered_at - caller.priority * floor.rules.seconds_per_priority
    caller.step = item["step"]
    caller.level = item["level"]
    caller.widened = item["widened"]
    caller.asked.update(item["asked"])
    caller.refused_by.update(item["refused_by"])
    caller.step_over = item["step_over"]
    caller.too_long = item["too_long"]
    caller.cause = item["cause"]
    caller.offered = {agent.id: agent for agent in offered}
    floor._callers[caller.id] = caller
    caller.step_since = now - item["step_since"]
    if caller.step < len(contract.plan):
        pool = floor._join(caller, caller.current, now)
        if item["told_position"]:
            floor._note_queued(caller, item["told_position"])
        # phones register again after a restart: nobody is sent away before they had the time
        floor._look_who_is_left(pool, now, at_once=False)
    floor._seek_if_silent(caller)
