"""A month's bookings for DATEV: a Buchungsstapel in DATEV's CSV format ("EXTF", header 700, category 21, version 13).

One booking for each statement and VAT rate: the debtor owes the gross amount, the account of the revenue has it, and
DATEV takes the tax out of it. All of them are dated on the last day of the month that was billed, in which the service
was rendered and the tax became due. Pure.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from accounting.month import Month

#: DATEV reads by position; the heading line is for people.
_COLUMNS = (
    "Umsatz (ohne Soll/Haben-Kz)", "Soll/Haben-Kennzeichen", "WKZ Umsatz", "Kurs", "Basis-Umsatz", "WKZ Basis-Umsatz",
    "Konto", "Gegenkonto (ohne BU-Schlüssel)", "BU-Schlüssel", "Belegdatum", "Belegfeld 1", "Belegfeld 2", "Skonto",
    "Buchungstext", "Postensperre", "Diverse Adressnummer", "Geschäftspartnerbank", "Sachverhalt", "Zinssperre",
    "Beleglink",
    *(f"Beleginfo - {what} {number}" for number in range(1, 9) for what in ("Art", "Inhalt")),
    "KOST1 - Kostenstelle", "KOST2 - Kostenstelle", "Kost-Menge", "EU-Land u. UStID", "EU-Steuersatz",
    "Abw. Versteuerungsart", "Sachverhalt L+L", "Funktionsergänzung L+L", "BU 49 Hauptfunktionstyp",
    "BU 49 Hauptfunktionsnummer", "BU 49 Funktionsergänzung",
    *(f"Zusatzinformation - {what} {number}" for number in range(1, 21) for what in ("Art", "Inhalt")),
    "Stück", "Gewicht", "Zahlweise", "Forderungsart", "Veranlagungsjahr", "Zugeordnete Fälligkeit", "Skontotyp",
    "Auftragsnummer", "Buchungstyp", "USt-Schlüssel (Anzahlungen)", "EU-Land (Anzahlungen)",
    "Sachverhalt L+L (Anzahlungen)", "EU-Steuersatz (Anzahlungen)", "Erlöskonto (Anzahlungen)", "Herkunft-Kz",
    "Buchungs GUID", "KOST-Datum", "SEPA-Mandatsreferenz", "Skontosperre", "Gesellschaftername", "Beteiligtennummer",
    "Identifikationsnummer", "Zeichnernummer", "Postensperre bis", "Bezeichnung SoBil-Sachverhalt",
    "Kennzeichen SoBil-Buchung", "Festschreibung", "Leistungsdatum", "Datum Zuord. Steuerperiode", "Fälligkeit",
    "Generalumkehr (GU)", "Steuersatz", "Land", "Abrechnungsreferent", "BVV-Position", "EU-Land u. UStID (Ursprung)",
    "EU-Steuersatz (Ursprung)", "Abw. Skontokonto",
)  # fmt: skip
_TEXT_LENGTH, _DOCUMENT_LENGTH, _NAME_LENGTH = 60, 36, 30
#: Letters whose bars are no marks that could be taken off.
_BARRED = str.maketrans("ŁłĐđĦħı", "LlDdHhi")
_DOCUMENT_MARKS = frozenset("$&%*+-/")
CURRENCY = "EUR"


class DatevError(Exception):
    """These bookings cannot be written; the message says what to configure."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """Whose books (numbers given by the tax adviser), and which accounts.

    ``year_begins`` is MM-DD. ``debtors`` are by contract, ``debtor`` is for all others; ``revenue`` and ``tax_keys``
    (BU-Schlüssel; none for accounts that know their tax) are by VAT rate as in statements, such as "19".
    """

    consultant: int = 1001
    client: int = 1
    year_begins: str = "01-01"
    account_length: int = 4
    debtor: str = "10000"
    debtors: Mapping[str, str] = field(default_factory=dict)
    revenue: Mapping[str, str] = field(default_factory=dict)
    tax_keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Booking:
    """One statement's part at one VAT rate, in euros. ``cancels``: it takes back what was booked before."""

    contract: str
    customer: str
    number: str
    rate: str
    gross: Decimal
    cancels: bool = False


def to_datev(bookings: Iterable[Booking], accounts: Accounts, month: Month, created: datetime) -> bytes:
    """The file: Windows-1252, CRLF. Amounts of nothing are left out; letters that are not in Windows-1252 lose their
    marks. Raises DatevError for a VAT rate without an account."""
    first = date(month.year, month.month, 1)
    last = date(month.year + month.month // 12, month.month % 12 + 1, 1) - timedelta(days=1)
    lines = [_header(accounts, first, last, created), ";".join(_COLUMNS)]
    lines += [_line(booking, accounts, month, last) for booking in bookings if booking.gross]
    return "".join(f"{line}\r\n" for line in lines).encode("cp1252")


def _header(accounts: Accounts, first: date, last: date, created: datetime) -> str:
    month_of_year, day = map(int, accounts.year_begins.split("-"))
    year = first.year if (first.month, first.day) >= (month_of_year, day) else first.year - 1
    fields = (
        '"EXTF"', "700", "21", '"Buchungsstapel"', "13", f"{created:%Y%m%d%H%M%S}{created.microsecond // 1000:03}",
        "", '"RE"', _quoted("b2bua"), '""', str(accounts.consultant), str(accounts.client),
        f"{year:04}{month_of_year:02}{day:02}", str(accounts.account_length), f"{first:%Y%m%d}", f"{last:%Y%m%d}",
        _quoted(f"Telefonservice {first:%m/%Y}"), '""', "1", "0", "0", _quoted(CURRENCY),
        "", '""', "", "", '""', "", "", '""', '""',
    )  # fmt: skip
    return ";".join(fields)


def _line(booking: Booking, accounts: Accounts, month: Month, last: date) -> str:
    revenue = accounts.revenue.get(booking.rate)
    if revenue is None:
        raise DatevError(
            f"statement {booking.number} has VAT of {booking.rate} %, for which [datev] revenue has no account"
        )
    cells = [""] * len(_COLUMNS)
    cells[0] = f"{booking.gross:.2f}".replace(".", ",")
    cells[1] = '"H"' if booking.cancels else '"S"'
    cells[2] = _quoted(CURRENCY)
    cells[6] = accounts.debtors.get(booking.contract, accounts.debtor)
    cells[7] = revenue
    key = accounts.tax_keys.get(booking.rate, "")
    cells[8] = _quoted(key) if key else ""
    cells[9] = f"{last:%d%m}"
    cells[10] = _quoted(document_number(booking.number))
    # begins with a figure: whoever opens the file in a spreadsheet gets no formula
    what = f"{month.month:02}/{month.year} {'Storno ' if booking.cancels else ''}{booking.customer or booking.contract}"
    cells[13] = _quoted(windows_text(what)[:_TEXT_LENGTH])
    return ";".join(cells)


def document_number(number: str) -> str:
    """A statement's number as "Belegfeld 1": at most 36 of the characters that DATEV allows there.

    What had to be changed has a digest at its end, so that two numbers stay two.
    """
    allowed = "".join(
        character if character.isascii() and (character.isalnum() or character in _DOCUMENT_MARKS) else "-"
        for character in number
    )
    if allowed == number and len(number) <= _DOCUMENT_LENGTH:
        return number
    return f"{allowed[: _DOCUMENT_LENGTH - 9]}-{hashlib.sha256(number.encode('utf-8', 'replace')).hexdigest()[:8]}"


def windows_text(text: str) -> str:
    """What Windows-1252 can hold of a text, on one line: ş becomes s, 漢 becomes a question mark."""
    shown = []
    for character in " ".join(text.split()):
        if _fits(character):
            shown.append(character)
        else:
            plain = "".join(part for part in unicodedata.normalize("NFKD", character.translate(_BARRED)) if _fits(part))
            shown.append(plain or "?")
    return "".join(character for character in "".join(shown) if character.isprintable())


def _fits(character: str) -> bool:
    return bool(character.encode("cp1252", "ignore"))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
