"""A statement as PDF (ISO 32000-1), A4: a letter with the sums, then the calls, with the statement itself attached.

Drawn line by line on reportlab's canvas: a month is thousands of statements. The font is Roboto: Latin, Greek and
Cyrillic. What it has no letter for is shown as a box here, and is whole in the attachment.
"""

import io
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import Any

import font_roboto  # type: ignore[import-untyped]
from reportlab import rl_config
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from accounting.checkpoint_store import content_digest
from accounting.statement import StatementContent, StatementLine
from accounting.statement_file import ATTACHMENT
from accounting.statement_text import to_json
from b2bua.statements.language import Language
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.pdf_attachment import attach
from b2bua.statements.pdf_text import TableText
from b2bua.statements.table import caller_text, forwarding_line, marks, notes, vat_text

_WIDTH, _HEIGHT = A4
_LEFT, _RIGHT = 48.0, _WIDTH - 48.0
_TOP, _BOTTOM = _HEIGHT - 48.0, 62.0
_BLUE, _GREY, _INK = HexColor("#1f4e79"), HexColor("#667080"), HexColor("#1c2430")
_FAINT, _STRIPE, _RED = HexColor("#d5dbe3"), HexColor("#f3f6fa"), HexColor("#b3261e")
_TEXT, _BOLD = "Roboto", "Roboto-Bold"
_SMALL, _ROW = 7.5, 12.0
#: The columns of the calls: name of the heading, points wide, whether it is aligned to the right.
_COLUMNS = (
    ("date", 50.0, False), ("time", 39.0, False), ("caller", 75.0, False), ("forwarded_from", 75.0, False),
    ("kind", 60.0, False), ("agent", 48.0, False), ("talked", 42.0, True), ("billed", 44.0, True),
    ("units", 28.0, True), ("price", 38.0, True),
)  # fmt: skip
#: The size of the letters in them.
_CELL = 8.0
_EDGES = tuple(accumulate((width for _, width, _ in _COLUMNS), initial=_LEFT))
#: Of each column: where its text begins or, on the right, ends; and how wide it may be.
_PLACES = tuple(
    ((min(edge + width - 4, _RIGHT) if name != "price" else _RIGHT) if right else edge, width - 4, right)
    for (name, width, right), edge in zip(_COLUMNS, _EDGES, strict=False)
)
_BOX = "\N{REPLACEMENT CHARACTER}"


@cache
def _glyphs() -> frozenset[int]:
    """The fonts are read once; returns what they can show."""
    # streams as they are: text around them is for mail of the last century
    rl_config.useA85 = 0
    fonts = [TTFont(name, font_roboto.font_files[file]) for name, file in ((_TEXT, "Roboto"), (_BOLD, "RobotoBold"))]
    for font in fonts:
        pdfmetrics.registerFont(font)
    return frozenset(fonts[0].face.charToGlyph)


def to_pdf(
    content: StatementContent, proof: Mapping[str, Any] | None, language: Language, letterhead: Letterhead
) -> bytes:
    """The statement itself, as JSON with its proof, is attached as ``statement.json``."""
    return _Letter(content, proof, language, letterhead).written()


class _Letter:
    """One statement being drawn, from the top of the first page to the end of the last."""

    def __init__(
        self, content: StatementContent, proof: Mapping[str, Any] | None, language: Language, letterhead: Letterhead
    ) -> None:
        self._glyphs = _glyphs()
        self._content, self._proof, self._words, self._letterhead = content, proof, language, letterhead
        self._file = io.BytesIO()
        self._canvas = Canvas(self._file, pagesize=A4, pageCompression=1, lang=language.code)
        self._table = TableText(self._canvas, _TEXT, _CELL)
        self._y = _TOP
        self._title = f"{language['title']} {content['number'] or language['draft']}"

    def written(self) -> bytes:
        """Draw all of it."""
        canvas = self._canvas
        canvas.setTitle(f"{self._title}: {self._content['customer'] or self._content['contract']}")
        canvas.setSubject(f"{self._content['contract']} {self._content['month']}")
        canvas.setCreator("b2bua")
        canvas.setAuthor(self._letterhead.issuer[0] if self._letterhead.issuer else "")
        self._head()
        self._sums()
        self._calls()
        if self._proof is not None:
            self._how_to_verify(self._proof)
        self._foot()
        canvas.beginForm("pages")
        canvas.setFont(_TEXT, _SMALL)
        canvas.setFillColor(_GREY)
        canvas.drawString(0, 0, str(canvas.getPageNumber()))
        canvas.endForm()
        canvas.showPage()
        attach(canvas, ATTACHMENT, to_json(self._content, self._proof))
        canvas.save()
        return self._file.getvalue()

    # -- pieces ------------------------------------------------------------------------------------------

    def _say(self, x: float, text: str, size: float = 9.5, *, bold: bool = False, colour: Any = _INK) -> None:
        self._canvas.setFont(_BOLD if bold else _TEXT, size)
        self._canvas.setFillColor(colour)
        self._canvas.drawString(x, self._y, self._shown(text))

    def _say_right(self, x: float, text: str, size: float = 9.5, *, bold: bool = False, colour: Any = _INK) -> None:
        self._canvas.setFont(_BOLD if bold else _TEXT, size)
        self._canvas.setFillColor(colour)
        self._canvas.drawRightString(x, self._y, self._shown(text))

    def _wrapped(self, text: str, size: float, *, width: float = _RIGHT - _LEFT, x: float = _LEFT, **how: Any) -> None:
        """A paragraph; the next line is beneath it."""
        for part in simpleSplit(self._shown(text), _TEXT, size, width):
            self._need(size * 1.4)
            self._say(x, part, size, **how)
            self._y -= size * 1.4

    def _rule(self, colour: Any, width: float = 0.6) -> None:
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(width)
        self._canvas.line(_LEFT, self._y, _RIGHT, self._y)

    def _shown(self, text: str) -> str:
        if text.isascii() and text.isprintable():
            return text
        return "".join(
            character if ord(character) in self._glyphs and (character.isprintable() or character.isspace()) else _BOX
            for character in text
        )

    def _need(self, height: float) -> bool:
        """Begin a new page if so much is not left on this one."""
        if self._y - height >= _BOTTOM:
            return False
        self._foot()
        self._canvas.showPage()
        self._y = _TOP
        return True

    def _foot(self) -> None:
        page, words, y = self._canvas.getPageNumber(), self._words, 36.0
        before, _, after = words["page"].partition("{pages}")
        text = f"{self._title}   {before.format(page=page)}"
        canvas = self._canvas
        canvas.setFont(_TEXT, _SMALL)
        canvas.setFillColor(_GREY)
        x = _RIGHT - 14 - canvas.stringWidth(self._shown(text) + after, _TEXT, _SMALL)
        canvas.drawString(x, y, self._shown(text))
        canvas.saveState()
        canvas.translate(x + canvas.stringWidth(self._shown(text), _TEXT, _SMALL), y)
        canvas.doForm("pages")
        canvas.restoreState()
        space = x - _LEFT - 12
        for line in _joined(self._letterhead.footer, space):
            canvas.drawString(_LEFT, y, self._shown(line))
            y -= 9.5

    # -- the parts of the letter -------------------------------------------------------------------------

    def _head(self) -> None:
        content, words = self._content, self._words
        for index, line in enumerate(self._letterhead.issuer):
            self._say(_LEFT, line, 9.0 if index else 14.0, bold=not index, colour=_GREY if index else _BLUE)
            self._y -= 12 if index else 17
        lowest, self._y = self._y, _TOP
        facts = [(words["contract"], content["contract"]), (words["period"], words.month(content["month"]))]
        if content["number"]:
            issued = (words["issued"], words.day(content["issued"]))
            facts = [(words["number"], content["number"]), issued, *facts]
        for name, value in facts:
            self._say(_LEFT + 270, name, 9, colour=_GREY)
            self._say_right(_RIGHT, self._fit(value, _RIGHT - _LEFT - 370, 9), 9)
            self._y -= 13
        self._y = min(lowest, self._y) - 2
        self._rule(_BLUE, 1.6)
        self._y -= 42
        self._wrapped(content["customer"] or content["contract"], 11)
        self._y -= 34
        if self._proof is None:
            self._say(_LEFT, words["draft_note"], 10, bold=True, colour=_RED)
            self._y -= 26
        self._say(_LEFT, f"{words['title']} {words.month(content['month'])}", 18, bold=True, colour=_BLUE)
        self._y -= 20
        if content["replaces"]:
            self._say(_LEFT, words["replaces"].format(number=content["replaces"]), 10, bold=True)
            self._y -= 16

    def _sums(self) -> None:
        content, words = self._content, self._words
        currency = content["currency"]
        middle = _RIGHT - 110
        self._y -= 6
        self._say(_LEFT, words["item"], 9, colour=_GREY)
        self._say_right(middle, words["quantity"], 9, colour=_GREY)
        self._say_right(_RIGHT, words["amount"], 9, colour=_GREY)
        self._y -= 6
        self._rule(_BLUE)
        count = f"{words.number(len(content['lines']))}  ·  {words.minutes(content['billed_seconds'])} min"
        rows = [(words["calls"], count, content["calls_net"])]
        if content["base_fee"].strip("0."):
            rows.append((words["base_fee"], "1", content["base_fee"]))
        rows.append((words["net"], "", content["net"]))
        rows += [(vat_text(tax["rate"], tax["net"], currency, words), "", tax["vat"]) for tax in content["taxes"]]
        for name, quantity, amount in rows:
            self._y -= 14
            self._say(_LEFT, name)
            self._say_right(middle, quantity)
            self._say_right(_RIGHT, words.money(amount, currency))
            self._y -= 6
            self._rule(_FAINT, 0.5)
        self._rule(_BLUE)
        self._y -= 17
        self._say(_LEFT, words["gross"], 12, bold=True)
        self._say_right(_RIGHT, words.money(content["gross"], currency), 12, bold=True)
        self._y -= 7
        self._rule(_BLUE)
        self._y -= 2
        self._rule(_BLUE)
        self._y -= 20
        if self._proof is not None and self._letterhead.payment_days:
            self._wrapped(words["payment"].format(days=self._letterhead.payment_days), 9.5)
            self._y -= 4
        for note in notes(content, words):
            self._wrapped(note, 8.5, colour=_GREY)
        self._y -= 20

    def _calls(self) -> None:
        content, words = self._content, self._words
        self._need(80)
        self._say(_LEFT, words["itemised"], 12, bold=True, colour=_BLUE)
        self._y -= 18
        if not content["lines"]:
            self._wrapped(words["no_calls"], 9.5)
            return
        self._column_heads()
        self._canvas.setFillColor(_INK)
        for index, line in enumerate(content["lines"]):
            if self._need(_ROW):
                self._column_heads()
                self._canvas.setFillColor(_INK)
            self._row(line, index % 2 == 1)
        if self._need(_ROW + 12):
            self._column_heads()
        self._y += 4
        self._rule(_BLUE)
        self._y -= 11
        self._say(_LEFT, words.count("n_calls", len(content["lines"])), 8, bold=True)
        self._say_right(_EDGES[7] - 4, words.seconds(content["talked_seconds"]), 8, bold=True)
        self._say_right(_EDGES[8] - 4, words.minutes(content["billed_seconds"]), 8, bold=True)
        self._say_right(_RIGHT, words.money(content["calls_net"], content["currency"]), 8, bold=True)
        self._y -= 18
        self._wrapped(words["seconds_rule"], 7.5, colour=_GREY)

    def _column_heads(self) -> None:
        for (name, _, right), edge, following in zip(_COLUMNS, _EDGES, _EDGES[1:], strict=False):
            if right:
                self._say_right(following - 4 if name != "price" else _RIGHT, self._words[name], 8, colour=_BLUE)
            else:
                self._say(edge, self._words[name], 8, colour=_BLUE)
        self._y -= 4
        self._rule(_BLUE)
        self._y -= 10

    def _row(self, line: StatementLine, striped: bool) -> None:
        canvas, words = self._canvas, self._words
        if striped:
            canvas.setFillColor(_STRIPE)
            canvas.rect(_LEFT - 2, self._y - 3.2, _RIGHT - _LEFT + 4, _ROW, stroke=0, fill=1)
            canvas.setFillColor(_INK)
        answered = line["answered_at"]
        cells = (
            words.day(answered), words.time(answered), caller_text(line, words), forwarding_line(line, words),
            words.kind(line["forwarding_kind"]), line["agent"],
            words.seconds(line["talked_seconds"]) + marks(line), words.minutes(line["billed_seconds"]),
            words.number(line["units"]), words.number(line["amount"]),
        )  # fmt: skip
        self._table.draw(
            self._y,
            [
                (edge, self._cell(text, width), right)
                for (edge, width, right), text in zip(_PLACES, cells, strict=True)
            ],
        )  # fmt: skip
        self._y -= _ROW

    def _cell(self, text: str, width: float) -> str:
        shown = self._shown(text)
        # nearly everything is narrow: no letter is wider than its size
        if len(shown) * _CELL <= width or self._table.width(shown) <= width:
            return shown
        return self._fit(shown, width, _CELL)

    def _fit(self, text: str, width: float, size: float) -> str:
        """Cut what is too long for its column; it is whole in the attachment."""
        shown = self._shown(text)
        if pdfmetrics.stringWidth(shown, _TEXT, size) <= width:
            return shown
        while shown and pdfmetrics.stringWidth(shown + "…", _TEXT, size) > width:
            shown = shown[:-1]
        return shown + "…"

    def _how_to_verify(self, proof: Mapping[str, Any]) -> None:
        content, words, checkpoint = self._content, self._words, proof["checkpoint"]
        self._y -= 14
        self._need(110)
        self._rule(_FAINT)
        self._y -= 16
        self._say(_LEFT, words["proof"], 10, bold=True, colour=_BLUE)
        self._y -= 14
        said = words["proof_note"].format(number=checkpoint["number"], position=checkpoint["position"])
        self._wrapped(said, 8.5, colour=_GREY)
        self._y -= 3
        for text in (
            f"b2bua audit --public-key public.pem --statement {content['number']}.pdf",
            f"{words['proof_digest']}: {content_digest(content)}",
            f"{words['proof_key']}: {proof['key']}",
        ):
            self._wrapped(text, 8)


def _joined(parts: Sequence[str], width: float) -> list[str]:
    """As many parts on a line as there is room for."""
    lines: list[str] = []
    for part in parts:
        longer = f"{lines[-1]}  ·  {part}" if lines else part
        if lines and pdfmetrics.stringWidth(longer, _TEXT, _SMALL) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines
