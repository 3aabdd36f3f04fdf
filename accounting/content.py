"""How a record is written down: canonical JSON for the chain, and the telephone numbers beside it.

The law asks that numbers of callers go after some time, while the chain must stay whole: so the chain holds salted
digests of them, and the numbers themselves, with the salt, stand in ``personal``, which may be emptied.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import orjson

from accounting.chain import ChainedRecord, canonical, digest
from accounting.journal import CallEnded, Declaration, Facts, Item, JournalEntry, Segment

#: The fields of facts and of ended calls that are personal data.
PERSONAL = ("caller", "forwarded_from")


def kind_of(item: Item) -> str:
    """What stands in the record's ``kind``."""
    return "ended" if isinstance(item, CallEnded) else item.kind


def subject_of(item: Item) -> str:
    """What stands in the record's ``call_id``."""
    return item.subject if isinstance(item, Declaration) else item.call_id


def instants_of(item: Item) -> tuple[int, int]:
    """``at_ns`` and ``wall_ns`` of the record."""
    if isinstance(item, JournalEntry):
        return item.at_ns, item.wall_ns
    if isinstance(item, CallEnded):
        return item.ended_ns, item.wall_anchor_ns + item.ended_ns
    return 0, item.wall_ns


def written(item: Item, make_salt: Callable[[], str]) -> tuple[str, str]:
    """The record's ``content`` and ``personal``."""
    if isinstance(item, Declaration):
        return canonical(item.content), ""
    if isinstance(item, CallEnded):
        personal, digests = _apart(item.caller, item.forwarded_from, make_salt)
        return canonical(_ended(item, digests)), personal
    if item.kind == "connected":
        facts = item.facts
        caller, line = str(facts.get("caller", "")), str(facts.get("forwarded_from", ""))
        personal, digests = _apart(caller, line, make_salt)
        content = {
            "agent": item.agent,
            "billable": item.billable,
            "contract": item.contract,
            "facts": {**{name: _storable(value) for name, value in facts.items()}, **digests},
            "tariff": item.tariff,
        }
        return canonical(content), personal
    if item.kind == "activity":
        return canonical({"activity": item.activity, "agent": item.agent}), ""
    return (canonical({"side": item.side}), "") if item.kind == "hung_up" else ("{}", "")


def _apart(caller: str, forwarded_from: str, make_salt: Callable[[], str]) -> tuple[str, dict[str, str]]:
    if not (caller or forwarded_from):
        return "", {"caller": "", "forwarded_from": ""}
    salt = make_salt()
    caller, forwarded_from = storable(caller), storable(forwarded_from)
    personal = canonical({"caller": caller, "forwarded_from": forwarded_from, "salt": salt})
    return personal, {
        "caller": digest(salt, "caller", caller),
        "forwarded_from": digest(salt, "forwarded_from", forwarded_from),
    }


def _ended(call: CallEnded, digests: Mapping[str, str]) -> dict[str, object]:
    return {
        "accepted_ns": call.accepted_ns,
        "agent": call.agent,
        "answered_ns": call.answered_ns,
        "billable": call.billable,
        "contract": call.contract,
        "dialled": storable(call.dialled),
        "end_reason": call.end_reason,
        "ended_ns": call.ended_ns,
        "forwarding_kind": call.forwarding_kind,
        "media": {leg: dict(figures) for leg, figures in call.media.items()},
        "origin": storable(call.origin),
        "rang_ns": call.rang_ns,
        "recovered": call.recovered,
        "result": call.result,
        "segments": [[part.agent, part.activity, part.start_ns, part.end_ns] for part in call.segments],
        "started_ns": call.started_ns,
        "status": call.status,
        "talked_ns": call.talked_ns,
        "target_number": storable(call.target_number),
        "tariff": call.tariff,
        "wall_anchor_ns": call.wall_anchor_ns,
        **digests,
    }


def storable(text: str) -> str:
    """Text from the wire as a database takes it: NUL and bytes that were no UTF-8 become question marks.

    One call with such a caller would otherwise keep its whole batch from being written.
    """
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")
    return text.replace("\0", "?") if "\0" in text else text


def _storable(value: str | int) -> str | int:
    return storable(value) if isinstance(value, str) else value


# -- reading ---------------------------------------------------------------------------------------------


def read_item(record: ChainedRecord) -> Item:
    """The value that a record was made of; forgotten numbers are empty.

    Raises ``ValueError``, ``KeyError`` or ``TypeError`` for a record that this program did not write.
    """
    content: dict[str, Any] = orjson.loads(record.content)
    kind = record.kind
    if kind == "ended":
        return _read_ended(record, content)
    if kind in ("tariffs", "statement", "correction"):
        return Declaration(
            record.run, record.sequence, cast(Any, kind), record.call_id, record.wall_ns, content
        )  # fmt: skip
    facts: Facts = {}
    if kind == "connected":
        facts = {**content["facts"], **_numbers(record)}
    elif kind not in ("activity", "hung_up", "heartbeat"):
        raise ValueError(f"records of kind {kind!r} are unknown")
    return JournalEntry(
        run=record.run,
        sequence=record.sequence,
        kind=cast(Any, kind),
        call_id=record.call_id,
        at_ns=record.at_ns,
        wall_ns=record.wall_ns,
        contract=content.get("contract", ""),
        tariff=content.get("tariff", ""),
        agent=content.get("agent", ""),
        billable=content.get("billable", False),
        side=content.get("side", ""),
        facts=facts,
        activity=content.get("activity", "talk"),
    )


def is_forgotten(record: ChainedRecord) -> bool:
    """True if the record had telephone numbers once."""
    if record.personal or record.kind not in ("connected", "ended"):
        return False
    content = orjson.loads(record.content)
    numbers = content["facts"] if record.kind == "connected" else content
    return any(numbers.get(name) for name in PERSONAL)


def _numbers(record: ChainedRecord) -> dict[str, str]:
    known = orjson.loads(record.personal) if record.personal else {}
    return {name: known.get(name, "") for name in PERSONAL}


def _read_ended(record: ChainedRecord, content: dict[str, Any]) -> CallEnded:
    return CallEnded(
        **{
            **content,
            **_numbers(record),
            "call_id": record.call_id,
            "run": record.run,
            "sequence": record.sequence,
            "segments": tuple(Segment(*part) for part in content["segments"]),
        }
    )
