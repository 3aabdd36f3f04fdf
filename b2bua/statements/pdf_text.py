"""Lines of a table, written straight into a page's content (ISO 32000-1, 9.4): four times as fast as reportlab's own
way, and a month has a million of them."""

from collections.abc import Iterable

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas


class TableText:
    """Text in one TrueType font and size."""

    __slots__ = ("_canvas", "_document", "_font", "_size", "_widths")

    def __init__(self, canvas: Canvas, font: str, size: float) -> None:
        found = pdfmetrics.getFont(font)
        if not isinstance(found, TTFont):
            raise TypeError(f"{font} is no TrueType font")
        self._canvas, self._font, self._size = canvas, found, size
        self._document = canvas._doc  # type: ignore[attr-defined]
        self._widths = found.face.charWidths

    def width(self, text: str) -> float:
        """In points; the font must have all of its letters."""
        widths = self._widths
        total: float = sum([widths[ord(character)] for character in text])
        return total * self._size / 1000

    def draw(self, y: float, cells: Iterable[tuple[float, str, bool]]) -> None:
        """Cells of a line: where they begin, or end if they are aligned to the right, and what is in them."""
        canvas, document, font = self._canvas, self._document, self._font
        code, present = ["BT"], -1
        for x, text, right in cells:
            if not text:
                continue
            code.append(f"1 0 0 1 {x - self.width(text) if right else x:.2f} {y:.2f} Tm")
            # the font is embedded as several of 256 letters each
            for subset, part in font.splitString(text, document):
                if subset != present:
                    present = subset
                    code.append(f"{font.getSubsetInternalName(subset, document)} {self._size} Tf")
                code.append(f"({canvas._escape(part)}) Tj")  # type: ignore[attr-defined]
        code.append("ET")
        canvas._code.append(" ".join(code))  # type: ignore[attr-defined]
