"""Verify an exported journal without any of our code: python verify_journal.py JOURNAL PUBLIC.pem [STATEMENT.json]

Only the standard library and `cryptography`. docs/verifying-a-bill.md says what is computed here, and why.
"""

import gzip
import json
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

HASHED = ("at_ns", "call_id", "content", "kind", "position", "run", "sequence", "wall_ns")


def must(holds: bool, otherwise: str) -> None:
    if not holds:
        sys.exit(f"WRONG: {otherwise}")


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def record_hash(previous: str, record: dict[str, Any]) -> str:
    # content is canonical JSON already, as text: it goes in as it is
    parts = [f'"{name}":{record[name] if name == "content" else canonical(record[name])}' for name in HASHED]
    return sha256((previous + "{" + ",".join(parts) + "}").encode()).hexdigest()


def check_numbers(record: dict[str, Any]) -> None:
    numbers = json.loads(record["personal"] or "{}")  # deleted by age, or left out of the export
    for name in numbers.keys() - {"salt"}:
        text = f"{numbers['salt']}:{name}:{numbers[name]}"
        digest = sha256(text.encode()).hexdigest() if numbers[name] else ""
        must(f'"{name}":"{digest}"' in record["content"], f"record {record['position']} has other numbers beside it")


def check_signature(checkpoint: dict[str, Any], key: Ed25519PublicKey) -> str:
    body = {name: value for name, value in checkpoint.items() if name != "signature"}
    message = b"b2bua checkpoint 1\n" + canonical(body).encode()
    signature = bytes.fromhex(checkpoint["signature"])
    must(signature.hex() == checkpoint["signature"], f"the signature of checkpoint {checkpoint['number']} was changed")
    key.verify(signature, message)  # raises InvalidSignature
    return sha256(message).hexdigest()


def lines_of(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    opened = gzip.open if path.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8", newline="\n") as file:
        for line in file:
            value = json.loads(line)
            must(canonical(value) + "\n" == line, f"this is not as it was written: {line[:60]}")
            yield from value.items()


def verify(journal: str, key: Ed25519PublicKey, statement: dict[str, Any] | None = None) -> str:
    position, previous, signed, before = 0, "0" * 64, 0, "0" * 64
    header: dict[str, Any] = {}
    end: dict[str, Any] = {}
    count = 0
    wanted = sha256(canonical(statement["content"]).encode()).hexdigest() if statement else ""
    if statement:
        proof = statement["proof"]
        check_signature({**proof["checkpoint"], "signature": proof["signature"]}, key)
        must(proof["checkpoint"]["statement"] == wanted, "the statement is not what was signed")
    for name, line in lines_of(journal):
        must((name == "header") == (not header) and not end, f"{name} does not belong here")
        if name == "record":
            must(line["position"] == position + 1, f"record {position + 1} is not in its place")
            must(line["hash"] == record_hash(previous, line), f"record {position + 1} was changed")
            check_numbers(line)
            position, previous = line["position"], line["hash"]
        elif name == "checkpoint":
            must(line["previous"] == before, f"checkpoint {line['number']} does not follow the one before")
            must((line["position"], line["hash"]) == (position, previous), f"checkpoint {line['number']} disagrees")
            before, signed = check_signature(line, key), position
            count += 1
            wanted = "" if line["statement"] == wanted else wanted
        elif name == "header":
            header = line
        else:
            must(name == "end", f"{name} does not belong here")
            end = line
    made = {name: header.get(name) for name in ("personal", "wall_ns")}
    must(header == {"format": "b2bua journal", "version": 1, **made}, "the header is not that of an exported journal")
    must(end == {"position": position, "hash": previous, "checkpoints": count, **made}, "the end is not this file's")
    must(not wanted, "the statement is not in this journal")
    return f"{position} records hold together, {position - signed} of them not signed yet"


if __name__ == "__main__":
    journal, pem, *statements = sys.argv[1:]
    trusted = load_pem_public_key(Path(pem).read_bytes())
    assert isinstance(trusted, Ed25519PublicKey)
    print(verify(journal, trusted, json.loads(Path(statements[0]).read_bytes()) if statements else None))
