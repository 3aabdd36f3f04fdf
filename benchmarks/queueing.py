"""What a call costs that goes through a queue before fifty agents.

``python -m benchmarks --only queue``. Callers of one contract take every agent there is, one after the other, as in a
call centre's queue: told by ringing until an agent answers, or answered at once and given music meanwhile. Every call
that ends without an agent counts as failed, whatever SIPp says.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from accounting.store import open_engine, stream_calls
from benchmarks.processes import Cores
from benchmarks.servers import Ours, UnavailableError, free_port
from benchmarks.signalling import SETTLE, Step, measured_step, warmed
from benchmarks.sipp import AGENT_HOST, Sipp
from routing.contract import Answering

AGENTS = 50
NUMBER = "+49302000100"
#: Talk time: at 200 calls/s it keeps 30 to 40 of the agents busy.
HOLD_MS = 150
#: Asterisk's app_queue with as many agents, 200 calls/s, on a machine like this, ms of CPU a call.
ASTERISK_MS = 7.6
WAYS: tuple[Answering, ...] = ("ring_through", "answer_at_once")


@dataclass(frozen=True, slots=True)
class Plan:
    """Rates in calls a second, and for how many seconds calls are placed at each."""

    rates: tuple[int, ...] = (50, 100, 200)
    seconds: float = 8.0


QUICK = Plan((200,), 3.0)


@dataclass(frozen=True, slots=True)
class QueueStep:
    """One rate through one kind of queue; ``answered`` counts the calls on record that an agent took."""

    answering: Answering
    step: Step
    answered: int


class _Queue(Ours):
    """Our server with one contract, whose callers wait for fifty agents."""

    def __init__(self, folder: Path, cores: Cores, agent_port: int, answering: Answering) -> None:
        super().__init__(folder, cores, agent_port, 1)
        self._answering = answering

    def business(self) -> str:
        """One contract for all callers, one group of all agents."""
        agents = [f"agent{index}" for index in range(AGENTS)]
        parts = ['[[tariffs]]\nname = "minute"\nper_minute = "0.99"\nincrement = "60/60"\n']
        parts += [
            f'[[agents]]\nid = "{agent}"\nname = "{agent}"\n'
            f'endpoints = [{{ contact = "sip:{agent}@{AGENT_HOST}:{self.agent_port}" }}]\n'
            for agent in agents
        ]
        members = ", ".join(f'"{agent}"' for agent in agents)
        parts.append(f'[[groups]]\nid = "all"\nname = "All"\nmembers = [{members}]\n')
        parts.append(
            f'[[contracts]]\nid = "customer"\ncustomer = "Customer"\ngreeting = "Good day"\ntariff = "minute"\n'
            f'target_numbers = ["{NUMBER}"]\nplan = [{{ group = "all", patience_seconds = 60 }}]\n'
            f'[contracts.waiting]\nanswering = "{self._answering}"\n'
        )
        if self._answering == "answer_at_once":
            parts.append('music = "tone/comfort"\n')
        return "\n".join(parts)

    def answered(self) -> int:
        """Calls on record that an agent took."""
        engine = open_engine(f"sqlite:///{self.database}")
        with engine.connect() as connection:
            count = sum(1 for _ in stream_calls(connection, result="answered", media=False))
        engine.dispose()
        return count


def run(folder: Path, cores: Cores, plan: Plan, say: Callable[[str], None], fine_clock: Path | None) -> list[QueueStep]:
    """Measure both kinds of queue at every rate."""
    steps = []
    port = free_port(AGENT_HOST)
    for answering in WAYS:
        server = _Queue(folder / f"queue-{answering}", cores, port, answering)
        sipp = Sipp(server.folder, cores, port, [NUMBER], fine_clock)
        for rate in plan.rates:
            try:
                with warmed(server, sipp):
                    time.sleep(SETTLE)
                    before = server.answered()
                    step = measured_step(server, sipp, rate, plan.seconds, HOLD_MS)
                    found = QueueStep(answering, step, server.answered() - before)
            except UnavailableError as reason:
                say(f"queue, {answering}: not measured: {reason}")
                break
            steps.append(found)
            load = step.load
            say(
                f"queue of {AGENTS}, {answering}: {rate} calls/s: {step.cpu_ms:.2f} ms CPU a call, "
                f"{found.answered} of {load.calls} reached an agent, "
                f"INVITE to 200 {load.p50_ms:.1f} / {load.p99_ms:.1f} ms"
            )
    return steps
