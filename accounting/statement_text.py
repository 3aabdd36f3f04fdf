"""Statements for programs: JSON, which is the statement itself, and CSV. Pure."""

import csv
import io
from collections.abc import Mapping
from typing import Any

import orjson

from accounting.statement import StatementContent

COLUMNS = (
    "call_id", "answered_at", "target_number", "caller", "forwarded_from", "forwarding_kind", "agent", "tariff",
    "band", "talked_seconds", "billed_seconds", "units", "included_seconds", "external_seconds", "free", "vat_rate",
    "amount", "currency", "recovered", "corrected",
)  # fmt: skip
_FREE_TEXT = (
    "call_id", "target_number", "caller", "forwarded_from", "forwarding_kind", "agent", "tariff", "band",
)  # fmt: skip


def to_json(content: StatementContent, proof: Mapping[str, Any] | None = None) -> bytes:
    """``{"content", "proof"}`` in UTF-8, what ``b2bua audit --statement`` reads; without a proof it says "draft"."""
    return orjson.dumps(_whole(content, proof), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def to_embed(content: StatementContent, proof: Mapping[str, Any] | None = None) -> bytes:
    """The same on one line, fit to stand in an HTML script: nothing in it can end that."""
    return orjson.dumps(_whole(content, proof)).replace(b"<", b"\\u003c")


def _whole(content: StatementContent, proof: Mapping[str, Any] | None) -> dict[str, object]:
    return {"content": content, "draft": True} if proof is None else {"content": content, "proof": proof}


def to_csv(content: StatementContent) -> str:
    """RFC 4180: a head line, a line per call, and lines with sums.

    Their first cells are "total" (of the calls), "base_fee", "net", "vat" (one for each rate) and "gross".
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    currency = content["currency"]
    for line in content["lines"]:
        cells: dict[str, object] = {**line, "currency": currency}
        for name in _FREE_TEXT:
            cells[name] = harmless(str(cells[name]))
        writer.writerow(cells)
    sums: list[dict[str, object]] = [
        {
            "call_id": "total",
            "talked_seconds": content["talked_seconds"],
            "billed_seconds": content["billed_seconds"],
            "units": sum(line["units"] for line in content["lines"]),
            "included_seconds": content["included_seconds"],
            "amount": content["calls_net"],
        },
        {"call_id": "base_fee", "amount": content["base_fee"]},
        {"call_id": "net", "amount": content["net"]},
    ]
    sums += [{"call_id": "vat", "vat_rate": tax["rate"], "amount": tax["vat"]} for tax in content["taxes"]]
    sums.append({"call_id": "gross", "amount": content["gross"]})
    writer.writerows({**row, "currency": currency} for row in sums)
    return text.getvalue()


def harmless(text: str) -> str:
    """A caller chooses his name: a spreadsheet must not take it for a formula. Numbers in +49... stay as they are."""
    if text.startswith("+") and text[1:].isascii() and text[1:].isdigit():
        return text
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else text
