"""The configuration of the server: infrastructure in TOML, checked before anything starts.

Business data (contracts, agents, tariffs) is in the database: see ``routing.business``.
"""

import ipaddress
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from routing.contract import PLACEHOLDERS
from routing.toml_lines import locate

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Delay = Annotated[float, Field(ge=0, le=86400)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ServerSection(_Section):
    """Who we are."""

    domain: str = "b2bua.invalid"
    product: str = "b2bua"
    drain_seconds: Seconds = 3600.0


class ListenerSection(_Section):
    """One socket that takes SIP. ``advertise`` is what Via and Contact say, needed behind 0.0.0.0 or NAT."""

    name: str = Field(min_length=1, max_length=32)
    transport: Literal["udp", "tcp", "tls"] = "udp"
    host: str = "127.0.0.1"
    port: Port = 5060
    advertise: str = ""
    advertise_port: Port = 0
    certificate: Path | None = None
    private_key: Path | None = None

    @field_validator("host", "advertise")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value:
            ipaddress.ip_address(value)
        return value

    @model_validator(mode="after")
    def _says_who_it_is(self) -> "ListenerSection":
        if ipaddress.ip_address(self.host).is_unspecified and not self.advertise:
            raise ValueError(
                f"host {self.host} listens on every address: set advertise to the address that peers reach"
            )
        if self.transport == "tls" and not (self.certificate and self.private_key):
            raise ValueError("a tls listener needs certificate and private_key")
        return self


class TrunkSection(_Section):
    """A carrier's connection: who may send calls, how the dialled number is found, and how many.

    ``proxy`` is where calls to other numbers go (overflow of a queue): a SIP URI without a user; empty for none.
    """

    name: str = Field(min_length=1, max_length=32)
    sources: tuple[str, ...] = Field(min_length=1)
    listener: str = ""
    did_source: Literal["request-uri", "to", "p-called-party-id"] = "request-uri"
    region: str = Field(default="DE", pattern="^[A-Z]{2}$")
    area_code: str = Field(default="", pattern="^[0-9]*$")
    trust_asserted_identity: bool = True
    max_calls: int = Field(default=0, ge=0)
    max_calls_per_second: float = Field(default=0.0, ge=0)
    proxy: str = Field(
        default="", pattern=r"^(sips?:(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(;[a-z]+=[a-z]+)*)?$"
    )

    @field_validator("sources")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for source in value:
            ipaddress.ip_network(source)
        return value


class MediaSection(_Section):
    """The relay's ports and patience."""

    host: str = "127.0.0.1"
    advertise: str = ""
    port_min: int = Field(default=30000, ge=1024, le=65534)
    port_max: int = Field(default=39999, ge=1025, le=65535)
    quarantine_seconds: float = Field(default=10.0, ge=0, le=3600)
    timeout_seconds: float = Field(default=60.0, ge=0, le=86400)

    @field_validator("host", "advertise")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value:
            ipaddress.ip_address(value)
        return value

    @model_validator(mode="after")
    def _has_room(self) -> "MediaSection":
        if self.port_max - self.port_min < 3:
            raise ValueError("port_max must be at least port_min + 3: a call needs two pairs of ports")
        return self


class DatabaseSection(_Section):
    """Where business data, journal and calls live."""

    url: str = "sqlite:///b2bua.db"


class AccountingSection(_Section):
    """How the books are kept. ``spool`` is a file on a disk of this machine: records lie there until the database
    has them. Without a name it is ``b2bua-spool.db``, or lies beside a SQLite database under the like name. From
    ``spool_max_records`` on, new calls are refused (``when_full = "refuse"``) or taken all the same; at twice that,
    records are lost. 500,000 records are some 400 MB, and two days of a call a second.

    ``signing_key`` is a PEM file with the key that signs the journal's checkpoints; without a name it is
    ``b2bua-signing.pem``, or lies beside a SQLite database under the like name. It is made when it is missing, and
    belongs into the backup, apart from the database. Telephone numbers of callers and forwarding lines are deleted
    ``forget_after_days`` after the call; 0: never."""

    spool: str = ""
    spool_max_records: int = Field(default=500_000, ge=1000)
    when_full: Literal["refuse", "accept"] = "refuse"
    signing_key: str = ""
    forget_after_days: int = Field(default=180, ge=0, le=36_500)


class StatementsSection(_Section):
    """What stands on statements besides what is billed. ``issuer`` is our name and the lines of our address,
    ``footer`` the lines beneath: tax number, bank. ``payment_days``: how long customers have to pay; 0: not said."""

    issuer: tuple[str, ...] = Field(default=(), max_length=8)
    footer: tuple[str, ...] = Field(default=(), max_length=8)
    payment_days: int = Field(default=0, ge=0, le=365)


AccountNumber = Annotated[str, Field(pattern=r"^[0-9]{4,9}$")]


class DatevSection(_Section):
    """The bookkeeping that DATEV is to do of a month: whose books (the tax adviser knows ``consultant`` and
    ``client``), the day on which their year begins (MM-DD), and accounts. ``debtors`` are by contract, all others are
    booked on ``debtor``; ``revenue`` is by VAT rate, and ``tax_keys`` (BU-Schlüssel) too, for accounts that do not
    know their tax themselves. The defaults are those of SKR 03."""

    consultant: int = Field(default=1001, ge=1001, le=9_999_999)
    client: int = Field(default=1, ge=1, le=99_999)
    year_begins: str = Field(default="01-01", pattern=r"^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")
    account_length: int = Field(default=4, ge=4, le=8)
    debtor: AccountNumber = "10000"
    debtors: dict[str, AccountNumber] = {}
    revenue: dict[str, AccountNumber] = {"19": "8400", "7": "8300", "0": "8200"}
    tax_keys: dict[str, Annotated[str, Field(pattern=r"^[0-9]{1,4}$")]] = {}


class FloorSection(_Section):
    """How agents are offered calls. Seconds; 0 is not at all.

    After an offer that failed an agent gets none for ``declined_delay``, ``busy_delay``, ``no_answer_delay`` or
    ``unreachable_delay``; where callers wait it is two seconds at least. So many offers in a row that were not answered
    (``missed_before_break``; ring-all does not count) send an agent on a break, until they say that they are there.
    ``seconds_per_priority`` of waiting are worth one priority. ``position_seconds``: positions are not told more often.
    ``handling_seconds``: how long a call is expected to take before any has been seen. Callers whose last agent got out
    of reach are kept for ``unreachable_grace``. After a crash, agents who talked are offered nothing for
    ``after_crash_seconds``: their phones may still show the call."""

    declined_delay: Delay = 10.0
    busy_delay: Delay = 30.0
    no_answer_delay: Delay = 10.0
    unreachable_delay: Delay = 5.0
    missed_before_break: int = Field(default=3, ge=0, le=100)
    seconds_per_priority: Delay = 60.0
    position_seconds: Delay = 10.0
    handling_seconds: Delay = 180.0
    unreachable_grace: Delay = 10.0
    after_crash_seconds: Delay = 30.0


class LoggingSection(_Section):
    """Logs go to standard error; telephone numbers are cut unless ``full_numbers`` is set."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["console", "json"] = "console"
    full_numbers: bool = False


class LimitsSection(_Section):
    """Overload protection: beyond it, calls get 503 with Retry-After. 0 means no limit."""

    calls: int = Field(default=2000, ge=0)
    calls_per_second: float = Field(default=0.0, ge=0)
    transactions: int = Field(default=50_000, ge=100)
    retry_after_seconds: int = Field(default=5, ge=1, le=3600)


class SoundsSection(_Section):
    """Announcements and music: ``folder`` holds WAV, MP3 and Ogg files, named in contracts without their ending."""

    folder: Path | None = None


class VoicemailSection(_Section):
    """Messages of callers whom no agent took: WAV files by mailbox in ``folder``; without it there is no voicemail.

    Who asks to be called back is noted for ``callback_mailbox``. Messages and notes are deleted after ``keep_days``; 0:
    never."""

    folder: Path | None = None
    most_seconds: float = Field(default=180.0, gt=0, le=3600)
    callback_mailbox: str = Field(default="callbacks", min_length=1, max_length=64)
    keep_days: int = Field(default=90, ge=0, le=36_500)


class MailSection(_Section):
    """Messages whose mailbox is an e-mail address are sent there. Without a ``host`` nothing is sent.

    ``security`` is ``starttls``, ``tls`` or ``none``; a ``port`` of 0 is 587, 465 or 25. The password stands in
    ``password_file`` alone. What no mail server takes is tried again for ``give_up_days``."""

    host: str = ""
    port: Port = 0
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: str = ""
    password_file: Path | None = None
    sender: str = Field(default="", pattern=r"^([^@\s<>]+@[^@\s<>]+)?$")
    patience_seconds: Seconds = 30.0
    give_up_days: int = Field(default=7, ge=1, le=365)

    @property
    def reached_at(self) -> int:
        """The port, or what is usual."""
        return self.port or {"starttls": 587, "tls": 465, "none": 25}[self.security]

    @property
    def password(self) -> str:
        """What the file holds. Raises ``OSError``."""
        return "" if self.password_file is None else self.password_file.read_text(encoding="utf-8").strip()

    @model_validator(mode="after")
    def _can_send(self) -> "MailSection":
        if self.host and not self.sender:
            raise ValueError("mail needs a sender, such as voicemail@service.example")
        if self.user and self.password_file is None:
            raise ValueError("user needs a password_file")
        if self.user and self.security == "none":
            raise ValueError("a password is not sent over an open connection: set security to starttls or tls")
        return self


class WebSection(_Section):
    """Metrics at ``/metrics``, health at ``/health``, the internal API below ``/api``; an empty host switches all of it
    off. ``api_token`` is a file with the API's token; without a name it is ``b2bua-api.token``, or lies beside a SQLite
    database under the like name. It is made when it is missing."""

    host: str = "127.0.0.1"
    port: Port = 8080
    api_token: str = ""


class SipSection(_Section):
    """Timers (RFC 3261 table 4) and session timers (RFC 4028), registrations and digest.

    ``options_seconds``: how often each phone of an agent is asked whether it is there (OPTIONS); 0 is never."""

    t1_ms: int = Field(default=500, ge=10, le=5000)
    t2_ms: int = Field(default=4000, ge=100, le=60000)
    t4_ms: int = Field(default=5000, ge=100, le=60000)
    session_expires: int = Field(default=1800, ge=0, le=86400)
    min_session_expires: int = Field(default=90, ge=90, le=86400)
    min_register_expires: int = Field(default=60, ge=1)
    max_register_expires: int = Field(default=3600, ge=1)
    nonce_seconds: int = Field(default=300, ge=10, le=86400)
    options_seconds: int = Field(default=60, ge=0, le=86400)


class PresentationSection(_Section):
    """What the agent's phone shows. Placeholders: {customer} {contract} {greeting} {caller} {target} {forwarded_from}
    {forwarding_kind} {colour} {call_id}. A header that comes out empty is left away."""

    display_name: str = "{customer}"
    headers: dict[str, str] = {
        "X-Contract": "{contract}",
        "X-Greeting": "{greeting}",
        "X-Forwarded-From": "{forwarded_from}",
        "X-Forwarding-Kind": "{forwarding_kind}",
    }

    @field_validator("headers")
    @classmethod
    def _are_tokens(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not name.isascii() or not name.replace("-", "").isalnum():
                raise ValueError(f"{name!r} is no header name")
        return value

    @model_validator(mode="after")
    def _known_placeholders(self) -> "PresentationSection":
        known = dict.fromkeys(PLACEHOLDERS, "")
        for text in (self.display_name, *self.headers.values()):
            try:
                text.format_map(known)
            except (KeyError, ValueError, IndexError, AttributeError) as error:
                raise ValueError(f"{text!r}: {error} is no placeholder; known are {', '.join(known)}") from error
        return self


class Config(_Section):
    """The whole file."""

    server: ServerSection = ServerSection()
    listeners: tuple[ListenerSection, ...] = Field(min_length=1)
    trunks: tuple[TrunkSection, ...] = ()
    media: MediaSection = MediaSection()
    database: DatabaseSection = DatabaseSection()
    accounting: AccountingSection = AccountingSection()
    statements: StatementsSection = StatementsSection()
    datev: DatevSection = DatevSection()
    floor: FloorSection = FloorSection()
    logging: LoggingSection = LoggingSection()
    limits: LimitsSection = LimitsSection()
    sounds: SoundsSection = SoundsSection()
    voicemail: VoicemailSection = VoicemailSection()
    mail: MailSection = MailSection()
    web: WebSection = WebSection()
    sip: SipSection = SipSection()
    presentation: PresentationSection = PresentationSection()

    @property
    def spool_path(self) -> Path:
        """Where the spool is."""
        return self._beside_database(self.accounting.spool, "spool.db")

    @property
    def signing_key_path(self) -> Path:
        """Where the key is that signs checkpoints."""
        return self._beside_database(self.accounting.signing_key, "signing.pem")

    @property
    def api_token_path(self) -> Path:
        """Where the token of the internal API is."""
        return self._beside_database(self.web.api_token, "api.token")

    def _beside_database(self, named: str, ending: str) -> Path:
        url = self.database.url
        if not named and url.startswith("sqlite:"):
            database = Path(url.partition("///")[2].partition("?")[0])
            return database.with_name(f"{database.stem}-{ending}")
        return Path(named or f"b2bua-{ending}")

    @model_validator(mode="after")
    def _fits_together(self) -> "Config":
        names = [listener.name for listener in self.listeners]
        if len(set(names)) != len(names):
            raise ValueError(f"listener names must differ: {', '.join(sorted(names))}")
        trunks = [trunk.name for trunk in self.trunks]
        if len(set(trunks)) != len(trunks):
            raise ValueError(f"trunk names must differ: {', '.join(sorted(trunks))}")
        for trunk in self.trunks:
            if trunk.listener and trunk.listener not in names:
                raise ValueError(
                    f"trunk {trunk.name!r} names the listener {trunk.listener!r}; there are: {', '.join(names)}"
                )
        return self


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file: where (line 0: nowhere in particular) and what to do about it."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}" if self.line else f"{self.file}: {self.message}"


class ConfigError(Exception):
    """The configuration cannot be used; ``faults`` says all that is wrong with it."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults))
        self.faults = faults


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError with every fault found.

    Relative paths in it (certificates, a SQLite file) are relative to the working directory.
    """
    shown = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError([Fault(shown, 0, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([Fault(shown, 0, f"is not UTF-8: {error.reason}")]) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([toml_fault(shown, error)]) from error
    try:
        # by way of JSON, whose strict mode knows lists for tuples and strings for paths, as TOML means them
        return Config.model_validate_json(json.dumps(data, default=str))
    except ValidationError as error:
        faults = [
            Fault(
                shown,
                locate(text, item["loc"]),
                f"{'.'.join(str(part) for part in item['loc']) or 'file'}: {item['msg']}",
            )
            for item in error.errors()
        ]
        raise ConfigError(faults) from error


def toml_fault(file: str, error: tomllib.TOMLDecodeError) -> Fault:
    """Where TOML itself is broken; the parser says it only in its text ("... (at line 3, column 7)")."""
    text = str(error)
    before, _, place = text.rpartition(" (at line ")
    number = place.partition(",")[0]
    return Fault(file, int(number), before) if number.isdecimal() else Fault(file, 0, text)
