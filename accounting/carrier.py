"""A carrier's list of calls as it comes: what the columns are, and what stands in them. Pure but for the time zones.

No two carriers write the same file: what can be told from the file itself is detected (encoding, delimiter, where
the columns begin, what they are called, how dates and numbers are written), and all of it can be said instead.
A row that cannot be read becomes an :class:`Unreadable`, never nothing.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Literal
from zoneinfo import ZoneInfo

from accounting.carrier_time import Clock, ClockError, read_duration

#: What a column may be. ``date`` and ``time`` together are as good as ``started``.
Field = Literal["started", "date", "time", "duration", "called", "caller", "price"]

#: So many rows are looked at to find out how the file is written.
SAMPLE = 1000
#: A header stands in one of the first rows; carriers like to put their address above it.
_HEADER_ROWS = 30
#: Fewer digits are a service or an extension, and the end of many numbers.
_TELLING = 5
_BRACKETS = re.compile(r"[(\[].*")
_DELIMITERS = (";", ",", "\t", "|")

#: What the columns are called, letters and digits only, in order of preference.
_NAMES: Mapping[Field, tuple[str, ...]] = {
    "started": (
        "started", "start", "starttime", "calldate", "connecttime", "answertime", "timestamp", "datetime", "beginn",
        "startzeit", "verbindungsbeginn", "gesprächsbeginn", "zeitpunkt", "datumuhrzeit", "datumzeit", "begin",
    ),
    "date": ("date", "datum", "tag"),
    "time": ("time", "uhrzeit", "zeit"),
    "duration": (
        "duration", "billsec", "billableseconds", "seconds", "durationseconds", "dauer", "dauersekunden",
        "dauerinsekunden", "dauerins", "dauersec", "gesprächsdauer", "verbindungsdauer", "sekunden", "dauerhhmmss",
        "durations",
    ),
    "called": (
        "called", "callednumber", "callee", "dst", "destination", "to", "bnumber", "calledparty", "dialled",
        "zielrufnummer", "ziel", "zielnummer", "gerufenenummer", "angerufenenummer", "brufnummer", "bnummer", "rufziel",
    ),
    "caller": (
        "caller", "callernumber", "callingnumber", "src", "source", "from", "anumber", "callingparty", "clid",
        "anrufer", "rufnummeranrufer", "quelle", "quellrufnummer", "absender", "arufnummer", "anummer", "rufendenummer",
    ),
    "price": (
        "price", "amount", "cost", "charge", "preis", "betrag", "kosten", "entgelt", "preiseur", "betrageur",
        "kosteneur", "nettobetrag", "preisnetto", "betragnetto",
    ),
}  # fmt: skip
_NEEDED: tuple[Field, ...] = ("duration", "called")


class CarrierError(Exception):
    """The file cannot be used; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file is written; what is empty is found out.

    ``columns`` gives a column's name in the header or its number from 1; two joined by ``+`` are read one after the
    other ("Datum+Uhrzeit"); an empty one is not there at all. ``date_format`` is for ``strptime``; ``decimal`` is
    the sign before the fraction; ``duration_unit`` counts where durations are bare numbers (the header may
    say "(min)" or "(ms)"). ``only`` keeps the rows
    in which the column has exactly this text. Times without an offset of their own are local times of ``zone``.
    """

    columns: Mapping[Field, str] = field(default_factory=dict)
    delimiter: str = ""
    decimal: Literal["", ",", "."] = ""
    date_format: str = ""
    duration_unit: Literal["", "seconds", "minutes", "milliseconds"] = ""
    only: Mapping[str, str] = field(default_factory=dict)
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/Berlin"))


@dataclass(frozen=True, slots=True)
class CarrierCall:
    """A row of the file. ``line`` counts from 1; ``called`` is in E.164, ``caller`` see :func:`caller_digits`."""

    line: int
    called: str
    caller: str
    started_ns: int
    duration_ns: int
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that says nothing we can use, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that :attr:`Layout.only` does not want."""

    line: int


Row = CarrierCall | Unreadable | LeftOut


class CarrierFile:
    """Reads one file: first a look at its beginning, then row by row.

    ``number`` makes E.164 of a number as the carrier writes it; None if it is none. ``within`` are the wall clock
    nanoseconds that most calls should lie in: what decides between 03/04 and 04/03. Raises :class:`CarrierError`
    if columns that are needed cannot be found.
    """

    def __init__(
        self,
        lines: Iterable[str],
        layout: Layout,
        number: Callable[[str], str | None],
        within: tuple[int, int],
    ) -> None:
        self._lines = iter(lines)
        self._number = number
        self._layout = layout
        self._read = 0
        head = [line for line in (next(self._lines, "") for _ in range(SAMPLE)) if line]
        if not any(line.strip() for line in head):
            raise CarrierError("the file is empty")
        self.delimiter = layout.delimiter or _delimiter(head)
        #: the line of the header, 0 if there is none
        self.header_line = 0
        self._head = head
        rows = list(self._rows(iter(head)))
        self._columns = self._find_columns(rows)
        self._only = {self._index_of(rows, name): text for name, text in layout.only.items()}
        self._width = 1 + max(max(indexes) for indexes in self._columns.values() if indexes)
        header = next((row for line, row in rows if line == self.header_line), [])
        self.duration_unit = layout.duration_unit or _unit(_text(header, self._columns["duration"]))
        body = [row for line, row in rows if line > self.header_line and len(row) >= self._width]
        if not body:
            raise CarrierError("there are no rows of calls in the file")
        samples = [_text(row, self._columns["started"]) for row in body]
        try:
            self.clock = Clock(samples, within, layout.zone, layout.date_format)
        except ClockError as error:
            raise CarrierError(str(error)) from error
        prices = [_text(row, self._columns.get("price", ())) for row in body]
        self.decimal = layout.decimal or _decimal_sign(prices)

    def described(self) -> dict[str, str]:
        """What was found out, for whoever wonders."""
        shown = {
            name: "+".join(str(index + 1) for index in indexes) for name, indexes in self._columns.items() if indexes
        }
        return {
            "delimiter": self.delimiter,
            "header": f"line {self.header_line}" if self.header_line else "none",
            "columns": ", ".join(f"{name}={number}" for name, number in shown.items()),
            "dates": self.clock.described,
            "durations": self.duration_unit,
            "decimal": self.decimal,
        }

    def rows(self) -> Iterator[Row]:
        """Every row after the header, once; empty rows are nothing."""

        def again() -> Iterator[str]:
            yield from self._head
            self._head = []
            yield from self._lines

        for line, row in self._rows(again()):
            if line > self.header_line and any(cell.strip() for cell in row):
                yield self._row(line, row)

    def _rows(self, lines: Iterator[str]) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader((line.replace("\0", "") for line in lines), delimiter=self.delimiter)
        while True:
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise CarrierError(f"line {reader.line_num}: {error}") from error
            yield reader.line_num, row

    def _row(self, line: int, row: list[str]) -> Row:
        for index, wanted in self._only.items():
            if index >= len(row) or row[index].strip() != wanted:
                return LeftOut(line)
        if len(row) < self._width:
            return Unreadable(line, f"{len(row)} columns instead of at least {self._width}")
        columns = self._columns
        try:
            written = _text(row, columns["called"])
            called = self._number(written)
            if called is None:
                return Unreadable(line, f"called number {_shown(written)} is none")
            started_ns = self.clock.read(_text(row, columns["started"]))
            duration_ns = read_duration(_text(row, columns["duration"]), self.duration_unit)
            price = self._price(_text(row, columns.get("price", ())))
        except ValueError as error:
            return Unreadable(line, str(error))
        caller = caller_digits(_text(row, columns.get("caller", ())))
        return CarrierCall(line, called, caller, started_ns, duration_ns, price)

    def _price(self, text: str) -> Decimal | None:
        if not text:
            return None
        price = read_price(text, self.decimal)
        if price is None:
            raise ValueError(f"price {_shown(text)} is no amount")
        return price

    # -- columns -----------------------------------------------------------------------------------------

    def _find_columns(self, rows: Sequence[tuple[int, list[str]]]) -> dict[Field, tuple[int, ...]]:
        given = self._layout.columns
        if given and all(_is_number(part) for text in given.values() for part in text.split("+") if text):
            found = {name: _numbered(text) for name, text in given.items()}
            _complete(found)
            first = rows[0]
            # A header says "Dauer" where the rows have a duration.
            if not any(character.isdigit() for character in _text(first[1], found["duration"])):
                self.header_line = first[0]
            return found
        reasons: list[str] = []
        for line, row in rows[:_HEADER_ROWS]:
            try:
                found = _named(row, given)
                _complete(found)
            except CarrierError as error:
                reasons.append(str(error))
                continue
            self.header_line = line
            return found
        # the row that came nearest is the header
        raise CarrierError(min(reasons, key=len))

    def _index_of(self, rows: Sequence[tuple[int, list[str]]], name: str) -> int:
        if _is_number(name):
            return int(name) - 1
        header = next((row for line, row in rows if line == self.header_line), [])
        index = _position(header, name)
        if index is None:
            raise CarrierError(f"there is no column {name!r}")
        return index


def _complete(found: dict[Field, tuple[int, ...]]) -> None:
    if not found.get("started") and found.get("date"):
        found["started"] = (*found["date"], *found.get("time", ()))
    for name in ("date", "time"):
        found.pop(name, None)
    missing = [name for name in ("started", *_NEEDED) if not found.get(name)]
    if missing:
        raise CarrierError(f"no column found for {', '.join(missing)}: name it, --columns {missing[0]}=NAME-OR-NUMBER")


def _named(row: Sequence[str], given: Mapping[Field, str]) -> dict[Field, tuple[int, ...]]:
    """Where the columns are, by this row if it is the header."""
    found: dict[Field, tuple[int, ...]] = {}
    for name, text in given.items():
        places = []
        for part in text.split("+") if text else ():
            index = int(part) - 1 if _is_number(part) else _position(row, part)
            if index is None:
                raise CarrierError(f"there is no column {part!r} in the file")
            places.append(index)
        found[name] = tuple(places)
    taken = {index for places in found.values() for index in places}
    for name, words in _NAMES.items():
        if name in found:
            continue
        index = next((at for word in words for at, cell in enumerate(row) if at not in taken and _plain(cell) == word),
                     None)  # fmt: skip
        if index is not None:
            found[name] = (index,)
            taken.add(index)
    return found


def _position(row: Sequence[str], name: str) -> int | None:
    return next((index for index, cell in enumerate(row) if _plain(cell) == _plain(name)), None)


def _plain(text: str) -> str:
    """Letters and digits only, without a unit in brackets."""
    return "".join(character for character in _BRACKETS.sub("", text).casefold() if character.isalnum())


def _unit(header: str) -> str:
    """What the header says that durations count."""
    words = header.casefold()
    if "milli" in words or re.search(r"\bms\b", words):
        return "milliseconds"
    return "minutes" if re.search(r"\bmin", words) and ":" not in words else "seconds"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and text != "0"


def _numbered(text: str) -> tuple[int, ...]:
    return tuple(int(part) - 1 for part in text.split("+")) if text else ()


def _text(row: Sequence[str], indexes: Sequence[int]) -> str:
    if len(indexes) == 1:
        index = indexes[0]
        return row[index].strip() if index < len(row) else ""
    return " ".join(row[index].strip() for index in indexes if index < len(row)).strip()


def _delimiter(lines: Sequence[str]) -> str:
    """The one that divides most lines into the same number of columns."""
    best = (0, 0, "")
    for delimiter in _DELIMITERS:
        counts: dict[int, int] = {}
        for row in csv.reader(lines, delimiter=delimiter):
            if len(row) > 1:
                counts[len(row)] = counts.get(len(row), 0) + 1
        if counts:
            width, times = max(counts.items(), key=lambda item: (item[1], item[0]))
            best = max(best, (times, width, delimiter))
    if not best[2]:
        raise CarrierError("the file is no table: none of ; , tab and | divides its lines")
    return best[2]


# -- numbers ---------------------------------------------------------------------------------------------

_SEPARATORS = str.maketrans("", "", " -./()+")


def caller_digits(text: str) -> str:
    """What callers are compared by: the digits without leading zeros, or nothing if that tells nobody.

    Carriers write callers as they like (+49 40 ..., 0049..., 040...), hide the last digits, or leave them out.
    """
    digits = text.translate(_SEPARATORS).lstrip("0")
    return digits if len(digits) >= _TELLING and digits.isascii() and digits.isdigit() else ""


def same_caller(one: str, other: str) -> bool:
    """Whether these digits can be the same caller's: a national number is the end of the international one."""
    return one.endswith(other) or other.endswith(one)


_CURRENCY = re.compile(r"EUR|CHF|USD|GBP|€|\$|£|\s|'", re.IGNORECASE)
_AMOUNT = re.compile(r"[+-]?[0-9]{1,12}(\.[0-9]{1,12})?", re.ASCII)


def read_price(text: str, decimal: str) -> Decimal | None:
    """ "1.234,56 €" or "1,234.56"; None if it is no amount. ``decimal`` is the sign before the fraction."""
    bare = _CURRENCY.sub("", text)
    thousands = "." if decimal == "," else ","
    if thousands in bare:
        whole, _, rest = bare.partition(decimal)
        if thousands in rest or any(len(group) != 3 for group in whole.split(thousands)[1:]):
            return None
        bare = bare.replace(thousands, "")
    bare = bare.replace(decimal, ".")
    if not _AMOUNT.fullmatch(bare):
        return None
    try:
        return Decimal(bare)
    except InvalidOperation:
        return None


def _decimal_sign(samples: Iterable[str]) -> str:
    """Comma or point, by what the amounts look like: the last sign of an amount with both; else any that is used."""
    signs = {",": 0, ".": 0}
    for text in samples:
        comma, point = text.rfind(","), text.rfind(".")
        if comma != point:
            signs["," if comma > point else "."] += 1
    return "," if signs[","] > signs["."] else "."


def _shown(text: str) -> str:
    """A number in a message: enough to find it, not all of it; the line tells the rest."""
    return repr(text if len(text) <= 6 else text[:6] + "...")
