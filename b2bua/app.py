"""The process: sockets, clock, database and signals around the exchange. The only place where all parts meet."""

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable, Iterator
from secrets import token_bytes

import structlog
from sqlalchemy import Engine

from accounting.journal import Ledger
from accounting.recovery import recover
from accounting.signing_key import load_signer
from accounting.writer import SWITCH_INTERVAL
from b2bua import announcements
from b2bua.admission import Admission
from b2bua.bookkeeping import Bookkeeping
from b2bua.business_watch import BusinessWatch
from b2bua.call.controller import CallController
from b2bua.call.messages import Message, Messages
from b2bua.call.phones import Phones
from b2bua.call.presentation import Presentation
from b2bua.config import Config
from b2bua.console import Console
from b2bua.exchange import Exchange
from b2bua.line_watch import LineWatch
from b2bua.mailer import Mailer
from b2bua.metrics import Metrics, Sample
from b2bua.net.transports import ListenerSpec, Transports
from b2bua.notary import Notary
from b2bua.reachability import Reachability
from b2bua.registrar import Registrar
from b2bua.sip.dialog import LocalAddress
from b2bua.sip.digest import DigestServer
from b2bua.sip.endpoint import Endpoint
from b2bua.sip.hop import Hop
from b2bua.sip.ids import SystemIds
from b2bua.sip.message import Request, Response
from b2bua.sip.session_timer import SessionTimerPolicy
from b2bua.sip.timers import TimerSettings
from b2bua.status_keeper import StatusKeeper
from b2bua.trunk import Trunk, Trunks
from b2bua.web.api import make_api
from b2bua.web.server import Status, WebServer, make_web_app
from b2bua.web.token import make_token
from media.relay.engine import RelayEngine
from media.sounds import SoundLibrary
from routing.agent_store import load_statuses
from routing.directory import Directory
from routing.floor import Floor, FloorRules
from routing.line_store import load_forwardings
from routing.lines import LineForwarding
from routing.store import load_directory

log = structlog.get_logger("b2bua")

#: How often registrations, media timeouts and heartbeats are looked at, seconds.
TICK = 1.0
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
        self._sounds = SoundLibrary()
        media = config.media
        self.media = RelayEngine(
            media.host, media.advertise or media.host, media.port_min, media.port_max, media.quarantine_seconds,
            media.timeout_seconds, SystemIds().number, time.monotonic, sounds=self._sounds,
        )  # fmt: skip
        self.media.on_event = self._media_happened
        self.books = Bookkeeping(engine, config.spool_path, config.accounting, self.metrics, self._journal_full)
        section = config.accounting
        self.notary = Notary(engine, load_signer(config.signing_key_path), section.forget_after_days, self.metrics)
        self._mailer: Mailer | None = None
        self.exchange = self._make_exchange()
        self._statuses = StatusKeeper(engine)
        self.console = Console(self.exchange, self._wall_anchor_ns, self._flush, self._statuses.keep)
        self.web: WebServer | None = None
        self._business: BusinessWatch | None = None
        self._lines: LineWatch | None = None

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
        floor = Floor(FloorRules(**config.floor.model_dump(exclude={"after_crash_seconds"})))
        presentation = config.presentation
        phones = Phones(registrar, by_transport, next((trunk.proxy for trunk in config.trunks if trunk.proxy), ""))
        reachability = None
        if sip.options_seconds:
            reachability = Reachability(endpoint, phones, sip.options_seconds, config.server.domain)
        controller = CallController(
            endpoint,
            self.media,
            floor,
            Ledger(self.books.writer.append, self._wall_anchor_ns),
            phones,
            Presentation(presentation.display_name, presentation.headers, config.server.domain),
            self.metrics,
            self._messages(),
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
        return Exchange(endpoint, admission, controller, floor, self.media, registrar, reachability)

    def _messages(self) -> Messages | None:
        voicemail = self.config.voicemail
        if voicemail.folder is None:
            return None
        self._mailer = Mailer(voicemail.folder, self.config.mail, voicemail.keep_days, self.metrics)
        return Messages(voicemail.folder, voicemail.most_seconds, self._message_left, voicemail.callback_mailbox)

    def _message_left(self, message: Message) -> None:
        """A caller's message is there and whole, or the wish to be called back."""
        self.metrics.messages_left.inc()
        if self._mailer is not None:
            self._mailer.left(message)

    # -- start -------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Deliver what the spool holds, recover what a crash left open, load the business data, open the sockets."""
        self.books.deliver_spool()
        with self._engine.begin() as connection:
            recovered = recover(connection)
            directory = load_directory(connection)
            statuses = load_statuses(connection)
            forwardings, known_ns = load_forwardings(connection)
        if recovered:
            log.warning("calls_recovered", count=len(recovered))
        await self._prepare_sounds(directory)
        self.media.attach(self._loop)
        await self.transports.start()
        for item in self.config.listeners:
            host, port = self.transports.bound(item.name)
            address = LocalAddress(item.transport, item.advertise or host, item.advertise_port or port)
            self.exchange.endpoint.addresses[item.name] = address
            log.info("listening", listener=item.name, transport=item.transport, address=f"{host}:{port}")
        for forwarding in forwardings:
            self.exchange.admission.lines.forwardings.take(forwarding)
        self.exchange.use(directory, time.monotonic_ns())
        crashed = [call.agent for call in recovered if call.agent]
        self.console.restore(statuses, crashed, self.config.floor.after_crash_seconds)
        self._statuses.start()
        self.metrics.sample(self.exchange.samples)
        self.metrics.sample(self._samples)
        web = self.config.web
        if web.host:
            api = make_api(self.console, make_token(self.config.api_token_path))
            self.web = WebServer(
                make_web_app(self.metrics.registry, self._health, self._line_phones, api), web.host, web.port
            )
            self.web.start()
        self._ready = True
        self._tasks.append(asyncio.create_task(self._tick(), name="tick"))
        self._business = BusinessWatch(self._engine, directory.revision, self._business_changed, TICK)
        self._business.start()
        self.notary.start()
        self._lines = LineWatch(self._engine, known_ns, self._forwardings_changed, TICK)
        self.exchange.admission.lines.forwardings.on_change = self._lines.write
        self._lines.start()
        if self._mailer is not None:
            self._mailer.start()
        # what is alive now lives to the end: the collector need not look at it again and again
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_COLLECTOR_THRESHOLDS)
        sys.setswitchinterval(SWITCH_INTERVAL)
        log.info("ready", contracts=len(directory.contracts), agents=len(directory.agents))

    async def _prepare_sounds(self, directory: Directory) -> None:
        """Nothing of this stops a start: a call goes on without a sound that is not there."""
        folder = self.config.sounds.folder
        for fault in await asyncio.to_thread(announcements.fill, self._sounds, folder):
            log.warning("sound_unusable", sound=fault.name, fault=fault.fault, hint=fault.text)
        self._tell_missing_sounds(directory)

    def _tell_missing_sounds(self, directory: Directory) -> None:
        for contract, sound in announcements.missing(self._sounds, directory.contracts.values()):
            hint = announcements.what_to_do(self.config.sounds.folder)
            log.warning("sound_missing", contract=contract.id, sound=sound, hint=hint)

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

    def _business_changed(self, directory: Directory) -> None:
        """Called in the watch's thread."""
        self._loop.call_soon_threadsafe(self._use, directory)

    def _use(self, directory: Directory) -> None:
        at = time.monotonic_ns()
        self.exchange.use(directory, at)
        self._flush(at)
        log.info("business_data_changed", revision=directory.revision, contracts=len(directory.contracts))
        self._tell_missing_sounds(directory)

    def _forwardings_changed(self, forwardings: list[LineForwarding]) -> None:
        """Called in the watch's thread."""
        self._loop.call_soon_threadsafe(self._take_forwardings, forwardings)

    def _take_forwardings(self, forwardings: list[LineForwarding]) -> None:
        watch = self._lines
        for forwarding in forwardings:
            if watch is None or watch.is_newer(forwarding):
                self.exchange.admission.lines.forwardings.take(forwarding)

    def _journal_full(self, full: bool) -> None:
        """Called in any thread."""
        self.exchange.admission.journal_full = full

    # -- what watchers see -------------------------------------------------------------------------------

    def _health(self) -> tuple[Status, dict[str, object]]:
        status: Status = self.books.status if self._ready and not self._stopping else "failing"
        if status == "ok":
            status = self.notary.status
        facts = {**self.books.facts(), **self.notary.facts()}
        return status, {"calls": self.exchange.calls, "draining": self._stopping, **facts}

    def _line_phones(self) -> dict[str, int]:
        exchange, now = self.exchange, time.monotonic()
        names = (line.endpoint.username for line in exchange.admission.directory.lines.values())
        return {name: len(exchange.registrar.bindings(name, now)) for name in names}

    def _samples(self) -> Iterator[Sample]:
        media = self.media
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
        if self._business is not None:
            self._business.stop()
        if self._lines is not None:
            await asyncio.to_thread(self._lines.stop)
        await asyncio.to_thread(self._statuses.stop)
        if self.web is not None:
            await self.web.close()
        await self.transports.close()
        self.media.detach()
        if self._mailer is not None and self._ready:
            await asyncio.to_thread(self._mailer.stop)
        await asyncio.to_thread(self.books.close)
        if self._ready:
            await asyncio.to_thread(self.notary.close)
        log.info("stopped")
