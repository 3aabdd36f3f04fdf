"""One content, many formats."""

import io
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from rich.console import Console

from accounting.statement import StatementContent
from accounting.statement_text import to_csv, to_json
from b2bua.statements.html import to_html
from b2bua.statements.language import Language
from b2bua.statements.letterhead import Letterhead
from b2bua.statements.table import statement_table


class Format(StrEnum):
    """How a statement is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    HTML = "html"
    PDF = "pdf"

    @property
    def ending(self) -> str:
        """Of a file's name."""
        return "txt" if self is Format.TABLE else self.value


def render(
    content: StatementContent,
    proof: Mapping[str, Any] | None,
    style: Format,
    language: Language,
    letterhead: Letterhead,
) -> bytes:
    """The statement as a file; without a ``proof`` it is a draft and says so. JSON, HTML and PDF carry the proof."""
    match style:
        case Format.JSON:
            return to_json(content, proof)
        case Format.CSV:
            return to_csv(content).encode("utf-8", "replace")
        case Format.HTML:
            return to_html(content, proof, language, letterhead)
        case Format.PDF:
            # slow to import, and not always needed
            from b2bua.statements.pdf import to_pdf

            return to_pdf(content, proof, language, letterhead)
        case Format.TABLE:
            file = io.StringIO()
            Console(width=160, file=file).print(statement_table(content, language))
            return file.getvalue().encode("utf-8", "replace")
