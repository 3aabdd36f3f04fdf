"""A statement as a page: complete in itself, to read and to print."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from accounting.checkpoint_store import content_digest
from accounting.statement import StatementContent
from accounting.statement_text import to_embed
from b2bua.statements import table
from b2bua.statements.language import Language
from b2bua.statements.letterhead import Letterhead


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("b2bua.statements"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("statement.html.jinja")


def to_html(
    content: StatementContent, proof: Mapping[str, Any] | None, language: Language, letterhead: Letterhead
) -> bytes:
    """UTF-8. The statement itself, as JSON with its proof, is in ``<script id="statement">``."""
    page = _template().render(
        content=content,
        proof=proof,
        digest=content_digest(content),
        # safe: no < is left in it that could end the script
        embedded=Markup(to_embed(content, proof).decode()),
        words=language,
        letterhead=letterhead,
        table=table,
    )
    return page.encode("utf-8", "replace")
