"""The exchange without its sockets: SIP, floor, media, registrar and calls wired together.

Everything that happens comes in as a method call with the time (nanoseconds of the monotonic clock, from
which SIP's seconds follow); ``settle`` then carries events between the parts until nothing is left to do.
The simulation drives this very class on a virtual clock.
"""

from collections.abc import Iterator

from b2bua.admission import Admission
from b2bua.call.controller import CallController
from b2bua.call.leg import Leg
from b2bua.metrics import Sample
from b2bua.reachability import Reachability
from b2bua.registrar import Registrar
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.events import InviteFailed, InviteReceived, RequestReceived
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request, Response
from media.engine import MediaEngine
from routing.directory import Directory
from routing.floor import Floor


class Exchange:
    """Takes what the network and the clock bring, gives what has to be sent.

    Without a ``reachability`` nobody asks phones whether they are there.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        admission: Admission,
        controller: CallController,
        floor: Floor,
        media: MediaEngine,
        registrar: Registrar,
        reachability: Reachability | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.admission = admission
        self.controller = controller
        self.floor = floor
        self.media = media
        self.registrar = registrar
        self.reachability = reachability
        if reachability is not None:
            registrar.on_stored = reachability.stored.append
        self.datagrams_to_send = endpoint.datagrams_to_send

    # -- what comes in -----------------------------------------------------------------------------------

    def receive(self, data: bytes, hop: Hop, at: int) -> None:
        """One datagram; whatever it holds, nothing is raised."""
        self.endpoint.receive(data, hop, at / 1e9)
        self.settle(at)

    def receive_message(self, message: Request | Response, hop: Hop, at: int) -> None:
        """One message of a stream."""
        self.endpoint.receive_message(message, hop, at / 1e9)
        self.settle(at)

    def transport_failed(self, hop: Hop, at: int) -> None:
        """What was sent to this hop did not get there."""
        self.endpoint.transport_failed(hop, at / 1e9)
        self.settle(at)

    def connection_closed(self, hop: Hop, at: int) -> None:
        """A stream is gone: what waits for an answer over it fails, phones behind it are out of reach."""
        self.registrar.connection_closed(hop)
        self.transport_failed(hop, at)

    def handle_timers(self, at: int) -> None:
        """Run what is due."""
        now = at / 1e9
        self.endpoint.handle_timers(now)
        self.floor.handle_timers(now)
        self.controller.lines.handle_timers(now)
        if self.reachability is not None:
            self.reachability.handle_timers(now)
        self.settle(at)

    def next_deadline(self) -> float | None:
        """When ``handle_timers`` is due, in seconds of the same clock."""
        sip = self.endpoint.next_deadline()
        floor = self.floor.next_deadline()
        line = self.controller.lines.next_deadline()
        if line is not None and (floor is None or line < floor):
            floor = line
        turn = self.reachability.next_deadline() if self.reachability is not None else None
        if turn is not None and (floor is None or turn < floor):
            floor = turn
        if sip is None or floor is None:
            return floor if sip is None else sip
        return min(sip, floor)

    def tick(self, at: int) -> None:
        """About once a second: registrations expire, the ledger notes that the calls live."""
        self.registrar.expire(at / 1e9)
        self.controller.ledger.heartbeat(at)
        self.controller.tick(at)
        self.settle(at)

    # -- events find their way ---------------------------------------------------------------------------

    def settle(self, at: int) -> None:
        """Carry events between the parts until all queues are empty."""
        sip = self.endpoint.events
        floor = self.floor.events
        lines = self.controller.lines.events
        media = self.media.events
        registrar = self.registrar.events
        controller = self.controller
        reachability = self.reachability
        while True:
            if sip:
                event = sip.popleft()
                if type(event) is InviteReceived:
                    self.admission.invite_received(event, at)
                elif type(event) is RequestReceived:
                    self.admission.request_received(event, at)
                else:
                    if type(event) is InviteFailed and event.response is None:
                        self._doubt(event.session.owner, at)
                    controller.sip_event(event, at)
            elif floor:
                controller.floor_event(floor.popleft(), at)
            elif lines:
                controller.line_event(lines.popleft(), at)
            elif media:
                controller.media_event(media.popleft(), at)
            elif registrar:
                self._reach_changed(registrar.popleft().username, at)
            elif reachability is not None and reachability.stored:
                self._look_at(reachability, reachability.stored.popleft(), at)
            elif reachability is not None and reachability.events:
                self._tell_floor(reachability.events.popleft(), at)
            else:
                return

    # -- business data -----------------------------------------------------------------------------------

    def use(self, directory: Directory, at: int) -> None:
        """Take a new snapshot of contracts and agents; live calls keep what they have."""
        before = self.controller.directory
        self.controller.directory = directory
        self.admission.use(directory)
        for username in self.registrar.usernames():
            if directory.endpoint(username) is None:
                self.registrar.forget(username)
        for agent_id in before.agents.keys() - directory.agents.keys():
            # nobody may offer to an agent that is gone, until a phone of theirs is there again
            self.floor.agent_reachable(agent_id, False, at / 1e9)
        if self.reachability is not None:
            self.reachability.use(directory.agents, at / 1e9)
        for agent_id in directory.agents:
            self._tell_floor(agent_id, at)
        # who is new is known to be within reach, or not, before anybody is offered
        self.floor.use(directory.agents, directory.groups, at / 1e9)
        self.settle(at)

    def _reach_changed(self, username: str, at: int) -> None:
        endpoint = self.controller.directory.endpoint(username)
        if endpoint is not None and endpoint.agent_id:
            self._tell_floor(endpoint.agent_id, at)

    def _look_at(self, reachability: Reachability, username: str, at: int) -> None:
        endpoint = self.controller.directory.endpoint(username)
        agent = None if endpoint is None else self.controller.directory.agents.get(endpoint.agent_id)
        if agent is not None:
            reachability.look_at(agent, at / 1e9)

    def _doubt(self, owner: object, at: int) -> None:
        """Nothing came back from a phone that was to ring."""
        if self.reachability is not None and isinstance(owner, Leg) and not owner.over_trunk:
            agent = self.controller.directory.agents.get(owner.agent_id)
            if agent is not None:
                self.reachability.doubt(agent, at / 1e9)

    def _tell_floor(self, agent_id: str, at: int) -> None:
        agent = self.controller.directory.agents.get(agent_id)
        if agent is None:
            return
        now = at / 1e9
        self.floor.agent_reachable(agent_id, bool(self.controller.phones.of(agent.endpoints, now)), now)

    # -- the end -----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no new calls; the others go on."""
        self.admission.draining = True

    def shut_down(self, at: int) -> None:
        """BYE to everybody, now."""
        self.drain()
        self.controller.shut_down(at)
        self.settle(at)

    @property
    def calls(self) -> int:
        """Calls that are not over."""
        return len(self.controller.calls)

    def samples(self) -> Iterator[Sample]:
        """Gauges and counters of the parts, for the metrics."""
        endpoint = self.endpoint
        counters = endpoint.counters
        counts = self.floor.counts()
        yield "b2bua_calls_active", "Calls that are not over", float(self.calls)
        yield "b2bua_callers_seeking", "Callers for whom an agent is sought", float(counts.callers_seeking)
        yield "b2bua_callers_connected", "Callers connected to an agent", float(counts.callers_connected)
        yield "b2bua_agents_offered", "Agents whose phone rings", float(counts.agents_offered)
        yield "b2bua_agents_in_call", "Agents in a call", float(counts.agents_in_call)
        yield "b2bua_agents_in_wrap_up", "Agents in after-call work", float(counts.agents_in_wrap_up)
        yield "b2bua_callers_waiting", "Callers who wait while nobody rings", float(counts.callers_waiting)
        yield "b2bua_registrations", "Registered contacts", float(self.registrar.count)
        if self.reachability is not None:
            yield "b2bua_phones_unreachable", "Agents' phones that gave no answer", float(self.reachability.dead)
        yield "b2bua_client_transactions", "Client transactions in progress", float(endpoint.layer.client_count)
        yield "b2bua_server_transactions", "Server transactions in progress", float(endpoint.layer.server_count)
        yield "b2bua_sip_timers", "Timers in the heap", float(len(endpoint.timers))
        yield "b2bua_sip_messages_received_total", "SIP messages received", float(counters.received)
        yield "b2bua_sip_messages_sent_total", "SIP messages sent", float(counters.sent)
        yield "b2bua_sip_malformed_total", "SIP messages that were refused or dropped", float(counters.malformed)
