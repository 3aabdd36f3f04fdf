"""The process: sockets, clock, database and signals around the exchange. The only place where all parts meet."""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterator
from secrets import token_bytes

import structlog
from sqlalchemy import Engine

from accounting.journal import Ledger
from accounting.recovery import recover
from accounting.writer import JournalWriter
from b2bua.admission import Admission
from b2bua.call.controller import CallController
from b2bua.call.phones import Phones
from b2bua.call.presentation import Presentation
from b2bua.config import Config
from b2bua.exchange import Exchange
from b2bua.metrics import Metrics, Sample
from b2bua.net.transports import ListenerSpec, Transports
from b2bua.registrar import Registrar
from b2bua.sip.dialog import LocalAddress
from b2bua.sip.digest import DigestServer
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SystemIds
from b2bua.sip.message import Request, Response
from b2bua.sip.session_timer import SessionTimerPolicy
from b2bua.sip.timers import TimerSettings
from b2bua.trunk import Trunk, Trunks
from b2bua.web.server import WebServer, make_web_app
from media.relay.engine import RelayEngine
from routing.directory import Directory
from routing.floor import Floor
from routing.store import load_directory, revision

log = structlog.get_logger("b2bua")

#: How often registrations, media timeouts, heartbeats and changes of the business data are looked at, seconds.
TICK = 1.0
#: How long journal entries are gathered before they are committed, seconds: what a kill -9 may cost. Four times
#: as often costs twice the CPU a call.
COMMIT_INTERVAL = 0.2
#: Calls leave no reference cycles behind, so that the collector seldom has anything to find.
_COLLECTOR_THRESHOLDS = (50_000, 20, 100)
#: Timers run so much late, seconds, and those that fall due together are run together: most were cancelled long
#: before, and every waking of an idle processor costs more than what it does.
_TIMER_SLACK = 0.02
#: How long BYEs of a shutdown may take to be answered, seconds.
_FAREWELL = 3.0


class App:
    """One running exchange. ``start``, then ``finished`` is awaited; ``stop`` drains, a second one ends at once."""

    def __init__(self, config: Config, engine: Engine) -> None:
        self.config = config
        self._engine = engine
        self._wall_anchor_ns = time.time_ns() - time.monotonic_ns()
        self._loop = asyncio.get_running_loop()
        self._ready = False
        self._stopping = False
        self._armed: asyncio.TimerHandle | None = None
        self._armed_for = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self.finished = asyncio.Event()
        self.metrics = Metrics()
        self.transports = Transports(
            [
                ListenerSpec(item.name, item.transport, item.host, item.port, item.certificate, item.private_key)
                for item in config.listeners
            ],
            on_datagram=self._datagram_received,
            on_message=self._message_received,
            on_failure=self._transport_failed,
            on_closed=self._connection_closed,
        )
        media = config.media
        self.media = RelayEngine(
            media.host, media.advertise or media.host, media.port_min, media.port_max, media.quarantine_seconds,
            media.timeout_seconds, SystemIds().number, time.monotonic,
        )  # fmt: skip
        self.media.on_event = self._media_happened
        self.writer = JournalWriter(engine, COMMIT_INTERVAL, on_problem=self._journal_problem)
        self.exchange = self._make_exchange()
        self.web: WebServer | None = None

    def _make_exchange(self) -> Exchange:
        config = self.config
        sip = config.sip
        endpoint = Endpoint(
            {},
            SystemIds(),
            TimerSettings(sip.t1_ms / 1000, sip.t2_ms / 1000, sip.t4_ms / 1000),
            SessionTimerPolicy(sip.session_expires, sip.min_session_expires),
            config.server.product,
            config.limits.transactions,
        )
        registrar = Registrar(sip.min_register_expires, sip.max_register_expires)
        by_transport: dict[str, str] = {}
        for listener in config.listeners:
            by_transport.setdefault(listener.transport, listener.name)
        floor = Floor()
        presentation = config.presentation
        controller = CallController(
            endpoint,
            self.media,
            floor,
            Ledger(self.writer.append, self._wall_anchor_ns),
            Phones(registrar, by_transport),
            Presentation(presentation.display_name, presentation.headers, config.server.domain),
            self.metrics,
        )
        limits = config.limits
        admission = Admission(
            endpoint,
            controller,
            registrar,
            Trunks([Trunk(**item.model_dump()) for item in config.trunks]),
            DigestServer(config.server.domain, token_bytes(32), sip.nonce_seconds),
            self.metrics,
            self._wall_anchor_ns,
            limits.calls,
            limits.calls_per_second,
            limits.retry_after_seconds,
        )
        return Exchange(endpoint, admission, controller, floor, self.media, registrar)

    # -- start -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what a crash left open, load the business data, open the sockets."""
        with self._engine.begin() as connection:
            recovered = recover(connection)
            directory = load_directory(connection)
        if recovered:
            log.warning("calls_recovered", count=len(recovered))
        self.media.attach(self._loop)
        await self.transports.start()
        for item in self.config.listeners:
            host, port = self.transports.bound(item.name)
            address = LocalAddress(item.transport, item.advertise or host, item.advertise_port or port)
            self.exchange.endpoint.addresses[item.name] = address
            log.info("listening", listener=item.name, transport=item.transport, address=f"{host}:{port}")
        self.exchange.use(directory, time.monotonic_ns())
        self.metrics.sample(self.exchange.samples)
        self.metrics.sample(self._samples)
        web = self.config.web
        if web.host:
            self.web = WebServer(make_web_app(self.metrics.registry, self._health), web.host, web.port)
            self.web.start()
        self._ready = True
        self._tasks.append(asyncio.create_task(self._tick(), name="tick"))
        # what is alive now lives to the end: the collector need not look at it again and again
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTOR_THRESHOLDS)
        log.info("ready", contracts=len(directory.contracts), agents=len(directory.agents))

    def catch_signals(self) -> None:
        """SIGTERM and SIGINT: the first drains, the second ends everything."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.stop)

    # -- the network, inwards and outwards ---------------------------------------------------------------

    def _datagram_received(self, data: bytes, hop: Hop) -> None:
        if self._ready:
            at = time.monotonic_ns()
            self.exchange.receive(data, hop, at)
            self._flush(at)

    def _message_received(self, message: Request | Response, hop: Hop) -> None:
        if self._ready:
            at = time.monotonic_ns()
            self.exchange.receive_message(message, hop, at)
            self._flush(at)

    def _transport_failed(self, hop: Hop) -> None:
        # by way of the loop: the failure may be told while a flush is under way
        self._loop.call_soon(self._run, self.exchange.transport_failed, hop)

    def _connection_closed(self, hop: Hop) -> None:
        self._loop.call_soon(self._run, self.exchange.connection_closed, hop)

    def _media_happened(self) -> None:
        self._loop.call_soon(self._settle)

    def _run(self, happening: Callable[[Hop, int], None], hop: Hop) -> None:
        at = time.monotonic_ns()
        happening(hop, at)
        self._flush(at)

    def _settle(self) -> None:
        at = time.monotonic_ns()
        self.exchange.settle(at)
        self._flush(at)

    def _flush(self, at: int) -> None:
        """Send what is due, and be woken for the next timer."""
        send = self.transports.send
        for data, hop in self.exchange.datagrams_to_send():
            send(data, hop)
        deadline = self.exchange.next_deadline()
        if deadline is None:
            return
        armed = self._armed
        if armed is not None:
            if self._armed_for <= deadline:
                return
            armed.cancel()
        self._armed_for = deadline
        self._armed = self._loop.call_later(max(_TIMER_SLACK, deadline - at / 1e9), self._timer_due)

    def _timer_due(self) -> None:
        self._armed = None
        at = time.monotonic_ns()
        self.exchange.handle_timers(at)
        self._flush(at)

    # -- once a second -----------------------------------------------------------------------------------

    async def _tick(self) -> None:
        due = time.monotonic() + TICK
        while True:
            await asyncio.sleep(due - time.monotonic())
            now = time.monotonic()
            self.metrics.loop_lag_seconds.observe(max(0.0, now - due))
            due = max(due + TICK, now)
            at = time.monotonic_ns()
            self.media.sweep(now)
            self.exchange.tick(at)
            self._flush(at)
            try:
                await self._follow_business_data()
            except Exception as error:
                log.warning("business_data_unreachable", error=type(error).__name__)

    async def _follow_business_data(self) -> None:
        known = self.exchange.controller.directory.revision
        present = await asyncio.to_thread(self._read_revision)
        if present != known:
            directory = await asyncio.to_thread(self._read_directory)
            at = time.monotonic_ns()
            self.exchange.use(directory, at)
            self._flush(at)
            log.info("business_data_changed", revision=directory.revision, contracts=len(directory.contracts))

    def _read_revision(self) -> int:
        with self._engine.connect() as connection:
            return revision(connection)

    def _read_directory(self) -> Directory:
        with self._engine.connect() as connection:
            return load_directory(connection)

    def _journal_problem(self, reason: str, error: Exception | None) -> None:
        """Called in any thread."""
        known = {"available": log.info, "unavailable": log.error, "rejected": log.error}
        known.get(reason, log.critical)(f"journal_{reason}", error=str(error)[:200] if error else "")

    # -- what watchers see -------------------------------------------------------------------------------

    def _health(self) -> tuple[bool, dict[str, object]]:
        writer = self.writer
        healthy = self._ready and not self._stopping and writer.pending < 10_000
        return healthy, {
            "calls": self.exchange.calls,
            "draining": self._stopping,
            "journal_pending": writer.pending,
            "journal_dropped": writer.dropped,
        }

    def _samples(self) -> Iterator[Sample]:
        writer, media = self.writer, self.media
        yield "b2bua_journal_pending", "Journal entries not yet written", float(writer.pending)
        yield "b2bua_journal_written_total", "Journal entries written", float(writer.written)
        yield "b2bua_journal_dropped_total", "Journal entries lost", float(writer.dropped)
        yield "b2bua_media_ports_free", "Port pairs free", float(media.ports_free)
        yield "b2bua_media_ports_in_use", "Port pairs in use", float(media.ports_in_use)
        yield "b2bua_relay_packets_total", "Packets relayed", float(media.packets_relayed)
        yield "b2bua_relay_dropped_total", "Packets not relayed: strangers, garbage, held", float(media.packets_dropped)

    # -- the end -----------------------------------------------------------------------------------------

    def stop(self) -> None:
        """The first time: no new calls, wait for the others. The second time: BYE to everybody."""
        if not self._stopping:
            self._stopping = True
            self.exchange.drain()
            log.info("draining", calls=self.exchange.calls)
            self._tasks.append(asyncio.create_task(self._drain(), name="drain"))
        else:
            self._hang_up_all()

    def _hang_up_all(self) -> None:
        if self.exchange.calls:
            log.warning("ending_calls", calls=self.exchange.calls)
        at = time.monotonic_ns()
        self.exchange.shut_down(at)
        self._flush(at)

    async def _drain(self) -> None:
        end = time.monotonic() + self.config.server.drain_seconds
        while self.exchange.calls and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self._hang_up_all()
        # our own requests, the BYEs above all, want their answers
        end = time.monotonic() + _FAREWELL
        while self.exchange.endpoint.layer.unanswered and time.monotonic() < end:
            await asyncio.sleep(0.05)
        self.finished.set()

    async def close(self) -> None:
        """Close sockets and write the last records."""
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()
        if self._armed is not None:
            self._armed.cancel()
        if self.web is not None:
            await self.web.close()
        await self.transports.close()
        self.media.detach()
        await asyncio.to_thread(self.writer.close)
        log.info("stopped")
