"""Checkpoints in the database, and statements issued under them."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, insert, select

from accounting.chain import Chain, Disagreement, canonical
from accounting.checkpoint import Checkpoint, Purpose, Signer
from accounting.store import declare, lock_chain, read_records
from accounting.tables import checkpoints

#: What the journal keeps of a statement, besides its digest and how many calls are on it.
STATED = ("contract", "month", "number", "currency", "net", "vat", "gross")
#: And these, if the statement has them: by whose midnights, and whose base fee; the audit needs to know. The rest is
#: for :mod:`accounting.issuing`, which must make the same statement again.
STATED_TOO = ("timezone", "base_tariff", "customer", "issued", "revision", "replaces", "taxes", "billed")


def checkpoint(
    connection: Connection, signer: Signer, wall_ns: int, purpose: Purpose, statement_digest: str = ""
) -> Checkpoint:
    """Sign where the chain stands, and keep that; the caller commits.

    An hourly one where nothing was written since is the last one again. What was written since must follow from what
    was signed then: raises :class:`accounting.chain.Disagreement` rather than sign books that somebody changed.
    """
    before = last_checkpoint(connection)
    # Most of what is new is read before others must wait for the chain.
    chain = _followed(connection, Chain() if before is None else Chain(before.position, before.hash))
    position, end = lock_chain(connection)
    before = last_checkpoint(connection)
    if purpose == "hourly" and before is not None and before.position == position:
        return before
    chain = _followed(connection, chain)
    if (chain.position, chain.hash) != (position, end):
        raise Disagreement(chain.position + 1, "removed", f"is missing: the chain goes to record {position}")
    made = signer.sign(position, end, wall_ns, purpose, statement_digest, before)
    connection.execute(insert(checkpoints), [{**made.body, "signature": made.signature}])
    return made


def _followed(connection: Connection, chain: Chain) -> Chain:
    rest = read_records(connection, chain.position + 1)
    for record in rest:
        if not chain.fits(record):
            raise chain.explain(record, rest)
    return chain


def last_checkpoint(connection: Connection) -> Checkpoint | None:
    """The newest; None if nothing was ever signed."""
    row = connection.execute(select(checkpoints).order_by(checkpoints.c.number.desc()).limit(1)).first()
    return None if row is None else Checkpoint(*row)


def read_checkpoints(connection: Connection) -> Iterator[Checkpoint]:
    """All of them in order, read as they are consumed."""
    query = select(checkpoints).order_by(checkpoints.c.number)
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        yield Checkpoint(*row)


def content_digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of a statement's content as canonical JSON, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def issue(connection: Connection, signer: Signer, content: Mapping[str, Any], wall_ns: int) -> dict[str, Any]:
    """Write into the journal that a statement was issued, and sign that; the caller commits.

    ``content`` is everything billed: contract, month, number, currency, net, vat (the tax), gross, the ``lines`` of
    the calls, timezone and base_tariff (as given to :func:`accounting.rating.rate_month`), and whatever else. Its
    calls were read in this transaction, after :func:`accounting.store.lock_chain`: none may come between. Returns the
    statement's ``proof``: checkpoint, signature, the key's fingerprint.
    """
    digest = content_digest(content)
    stated: dict[str, object] = {name: content[name] for name in STATED}
    stated.update({name: content[name] for name in STATED_TOO if name in content})
    declare(
        connection, "statement", str(content["number"]), wall_ns,
        {**stated, "calls": len(content["lines"]), "digest": digest},
    )  # fmt: skip
    made = checkpoint(connection, signer, wall_ns, "statement", digest)
    return {"checkpoint": made.body, "signature": made.signature, "key": made.key}
