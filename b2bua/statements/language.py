"""The languages of statements: every text, and how numbers, dates and durations are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal

_TENTH = Decimal("0.1")
_SYMBOLS = {"EUR": "€", "GBP": "£", "USD": "$"}


@dataclass(frozen=True, slots=True)
class Language:
    """One language: its texts by name, kinds of forwarding, months, and how figures are written."""

    code: str
    texts: Mapping[str, str]
    kinds: Mapping[str, str]
    months: tuple[str, ...]
    point: str
    thousands: str
    symbol_first: bool

    def __getitem__(self, name: str) -> str:
        return self.texts[name]

    def number(self, value: Decimal | int | str) -> str:
        """With the places that it has, and with marks of thousands."""
        sign, digits = ("-", str(value)[1:]) if str(value).startswith("-") else ("", str(value))
        whole, dot, places = digits.partition(".")
        return sign + f"{int(whole):,}".replace(",", self.thousands) + (self.point + places if dot else "")

    def money(self, amount: str, currency: str) -> str:
        """An amount as it stands in a statement's content, with its currency."""
        text, symbol = self.number(amount), _SYMBOLS.get(currency, currency)
        if not symbol:
            return text
        if self.symbol_first and symbol in _SYMBOLS.values():
            return symbol + text
        return f"{text}\N{NO-BREAK SPACE}{symbol}"

    def percent(self, rate: str) -> str:
        """A VAT rate."""
        return self.number(rate) + ("\N{NO-BREAK SPACE}%" if self.code == "de" else "%")

    def day(self, moment: date | str) -> str:
        """A date, or the date of an instant in ISO 8601."""
        moment = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
        if self.code == "de":
            return f"{moment.day:02}.{moment.month:02}.{moment.year}"
        return f"{moment.day:02} {self.months[moment.month - 1][:3]} {moment.year}"

    def time(self, instant: str) -> str:
        """The time of an instant in ISO 8601, to the second."""
        return instant[11:19]

    def month(self, month: str) -> str:
        """ "2026-07" with its name."""
        return f"{self.months[int(month[5:7]) - 1]} {month[:4]}"

    def seconds(self, exact: str) -> str:
        """Exact seconds to a tenth, rounded up: 60.04 s are more than a minute, and are shown so."""
        return self.number(Decimal(exact).quantize(_TENTH, ROUND_CEILING))

    def minutes(self, seconds: int) -> str:
        """Whole seconds as minutes and seconds, 3:00."""
        return f"{self.number(seconds // 60)}:{seconds % 60:02}"

    def kind(self, forwarding_kind: str) -> str:
        """How a call came to be forwarded."""
        return self.kinds.get(forwarding_kind, forwarding_kind.replace("_", " "))

    def count(self, name: str, number: int) -> str:
        """A text with ``{n}`` in it, of the singular ``NAME_1`` if there is one."""
        text = self.texts.get(f"{name}_1", self.texts[name]) if number == 1 else self.texts[name]
        return text.format(n=self.number(number))


GERMAN = Language(
    code="de",
    texts={
        "title": "Abrechnung",
        "draft": "Entwurf",
        "draft_note": "Entwurf: ohne Nummer und ohne Nachweis, nicht zur Zahlung.",
        "number": "Nummer",
        "issued": "Datum",
        "contract": "Vertrag",
        "period": "Abrechnungszeitraum",
        "page": "Seite {page} von {pages}",
        "replaces": "Diese Abrechnung ersetzt die Abrechnung {number}.",
        "intro": "für die Annahme Ihrer Anrufe im {month} berechnen wir:",
        "item": "Leistung",
        "quantity": "Menge",
        "amount": "Betrag",
        "calls": "Gespräche",
        "base_fee": "Grundgebühr",
        "net": "Summe netto",
        "vat": "Umsatzsteuer {rate} auf {net}",
        "gross": "Gesamtbetrag",
        "payment": "Bitte zahlen Sie den Gesamtbetrag innerhalb von {days} Tagen ohne Abzug.",
        "included": "Im Grundpreis enthaltene Zeit: {used} von {granted} Minuten verbraucht.",
        "free_calls": "Freie Gespräche: {used} von {granted} verbraucht.",
        "unanswered": "{n} Anrufe erreichten niemanden und kosten nichts.",
        "unanswered_1": "Ein Anruf erreichte niemanden und kostet nichts.",
        "not_billable": "{n} Testanrufe kosten nichts.",
        "not_billable_1": "Ein Testanruf kostet nichts.",
        "recovered": "* nach einer Störung nur bis zum letzten nachgewiesenen Augenblick berechnet",
        "corrected": "† nachträglich berichtigt",
        "seconds_rule": "Gesprächsdauer in Sekunden, auf Zehntel aufgerundet; berechnet nach Takten Ihres Tarifs in "
        "Minuten:Sekunden.",
        "itemised": "Einzelverbindungsnachweis",
        "no_calls": "In diesem Monat wurden keine Gespräche geführt.",
        "date": "Datum",
        "time": "Beginn",
        "caller": "Anrufer",
        "forwarded_from": "Weitergeleitet von",
        "kind": "Art",
        "agent": "Platz",
        "talked": "Dauer",
        "billed": "Berechnet",
        "units": "Takte",
        "price": "Preis",
        "anonymous": "anonym",
        "forgotten": "gelöscht",
        "free_short": "kurz",
        "free_free_call": "frei",
        "total": "Summe",
        "n_calls": "{n} Gespräche",
        "n_calls_1": "1 Gespräch",
        "proof": "So prüfen Sie diese Abrechnung",
        "proof_note": "Diese Abrechnung steht unterschrieben in unserem Journal: Prüfpunkt {number} bei Eintrag "
        "{position}. Die Datei enthält alle Angaben und die Unterschrift; mit unserem öffentlichen Schlüssel, den Sie "
        "vor der ersten Abrechnung erhalten haben, prüfen Sie sie ohne uns:",
        "proof_digest": "Prüfsumme des Inhalts",
        "proof_key": "Schlüssel",
    },
    kinds={
        "": "direkt",
        "unconditional": "immer",
        "busy": "besetzt",
        "no_answer": "keine Antwort",
        "unreachable": "nicht erreichbar",
        "unknown": "weitergeleitet",
    },
    months=(
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November",
        "Dezember",
    ),
    point=",",
    thousands=".",
    symbol_first=False,
)  # fmt: skip

ENGLISH = Language(
    code="en",
    texts={
        "title": "Statement",
        "draft": "Draft",
        "draft_note": "Draft: without number and proof, not to be paid.",
        "number": "Number",
        "issued": "Date",
        "contract": "Contract",
        "period": "Period",
        "page": "Page {page} of {pages}",
        "replaces": "This statement replaces statement {number}.",
        "intro": "For taking your calls in {month} we charge:",
        "item": "Service",
        "quantity": "Quantity",
        "amount": "Amount",
        "calls": "Calls",
        "base_fee": "Base fee",
        "net": "Net total",
        "vat": "VAT {rate} on {net}",
        "gross": "Total",
        "payment": "Please pay the total within {days} days.",
        "included": "Time included in the base fee: {used} of {granted} minutes used.",
        "free_calls": "Free calls: {used} of {granted} used.",
        "unanswered": "{n} calls reached no agent and cost nothing.",
        "unanswered_1": "One call reached no agent and costs nothing.",
        "not_billable": "{n} test calls cost nothing.",
        "not_billable_1": "One test call costs nothing.",
        "recovered": "* billed only to the last instant proven before a failure",
        "corrected": "† corrected afterwards",
        "seconds_rule": "Durations in seconds, rounded up to tenths; billed by the increments of your tariff in "
        "minutes:seconds.",
        "itemised": "Itemised calls",
        "no_calls": "There were no calls in this month.",
        "date": "Date",
        "time": "Begin",
        "caller": "Caller",
        "forwarded_from": "Forwarded from",
        "kind": "Kind",
        "agent": "Agent",
        "talked": "Talked",
        "billed": "Billed",
        "units": "Units",
        "price": "Price",
        "anonymous": "anonymous",
        "forgotten": "deleted",
        "free_short": "short",
        "free_free_call": "free",
        "total": "Total",
        "n_calls": "{n} calls",
        "n_calls_1": "1 call",
        "proof": "How to verify this statement",
        "proof_note": "This statement stands signed in our journal: checkpoint {number} at record {position}. The file "
        "holds all of it and the signature; with our public key, which you were given before the first statement, you "
        "verify it without us:",
        "proof_digest": "Digest of the content",
        "proof_key": "Key",
    },
    kinds={
        "": "direct",
        "unconditional": "always",
        "busy": "busy",
        "no_answer": "no answer",
        "unreachable": "unreachable",
        "unknown": "forwarded",
    },
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    point=".",
    thousands=",",
    symbol_first=True,
)  # fmt: skip


def language_of(code: str) -> Language:
    """The language of a contract ("de", "en-GB"), or German."""
    return ENGLISH if code.lower().startswith("en") else GERMAN
