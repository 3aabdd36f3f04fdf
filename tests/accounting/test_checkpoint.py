from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, update

from accounting.chain import GENESIS, Disagreement
from accounting.checkpoint import Checkpoint, PublicKeys, Signer, read_checkpoint
from accounting.checkpoint_store import checkpoint, content_digest, issue, last_checkpoint, read_checkpoints
from accounting.signing_key import KeyFileError, load_public_keys, load_signer, public_pem
from accounting.store import read_records, write_batch
from accounting.tables import journal
from tests.accounting.ledger import ANCHOR, HandLedger, call_ended

HOUR = 3_600_000_000_000
CONTENT = {
    "contract": "c-1", "month": "2025-07", "number": "2025-07-c-1", "currency": "EUR", "net": "10.00",
    "vat": "1.90", "gross": "11.90", "lines": [{"call_id": "call-1", "amount": "10.00"}],
}  # fmt: skip


@pytest.fixture
def signer() -> Signer:
    return Signer(Ed25519PrivateKey.generate())


def some_calls(engine: Engine, *numbers: int) -> None:
    for number in numbers:
        hand = HandLedger(f"run-{number}")
        hand.connected(5.0, f"call-{number}")
        hand.hung_up(65.0, f"call-{number}")
        hand.ended(call_ended(f"call-{number}"))
        with engine.begin() as connection:
            write_batch(connection, hand.items)


def test_a_checkpoint_says_where_the_chain_stood(engine: Engine, signer: Signer) -> None:
    some_calls(engine, 1)
    with engine.begin() as connection:
        made = checkpoint(connection, signer, ANCHOR, "hourly")
        *_, last = read_records(connection)
    assert (made.number, made.position, made.hash, made.previous) == (1, 3, last.hash, GENESIS)
    PublicKeys([signer.public_key]).check(made)
    with engine.connect() as connection:
        assert list(read_checkpoints(connection)) == [made]


def test_each_checkpoint_names_the_one_before(engine: Engine, signer: Signer) -> None:
    with engine.begin() as connection:
        first = checkpoint(connection, signer, ANCHOR, "hourly")
    some_calls(engine, 1)
    with engine.begin() as connection:
        second = checkpoint(connection, signer, ANCHOR + HOUR, "hourly")
    assert (first.position, first.hash) == (0, GENESIS)
    assert (second.number, second.position, second.previous) == (2, 3, first.digest)


def test_an_hour_in_which_nothing_happened_is_not_signed_again(engine: Engine, signer: Signer) -> None:
    some_calls(engine, 1)
    with engine.begin() as connection:
        first = checkpoint(connection, signer, ANCHOR, "hourly")
        assert checkpoint(connection, signer, ANCHOR + HOUR, "hourly") == first
        assert checkpoint(connection, signer, ANCHOR + HOUR, "statement", "ab" * 32).number == 2


def test_books_that_somebody_changed_are_not_signed(engine: Engine, signer: Signer) -> None:
    some_calls(engine, 1)
    with engine.begin() as connection:
        checkpoint(connection, signer, ANCHOR, "hourly")
    some_calls(engine, 2, 3)
    with engine.begin() as connection:
        connection.execute(update(journal).where(journal.c.position == 5).values(at_ns=journal.c.at_ns + 1))
    with engine.begin() as connection, pytest.raises(Disagreement, match=r"record 5, call call-2: .* changed"):
        checkpoint(connection, signer, ANCHOR + HOUR, "hourly")
    with engine.begin() as connection:
        connection.execute(journal.delete().where(journal.c.position >= 5))
    with engine.begin() as connection, pytest.raises(Disagreement, match="record 5: is missing"):
        checkpoint(connection, signer, ANCHOR + HOUR, "hourly")


def test_any_field_that_changes_breaks_the_signature(signer: Signer) -> None:
    keys = PublicKeys([signer.public_key])
    made = signer.sign(7, "ab" * 32, ANCHOR, "statement", "cd" * 32, None)
    keys.check(made)
    changed: list[Checkpoint] = [
        replace(made, number=2), replace(made, position=8), replace(made, hash="ac" * 32),
        replace(made, wall_ns=ANCHOR + 1), replace(made, purpose="hourly"), replace(made, statement=""),
        replace(made, previous="11" * 32), replace(made, signature="00" + made.signature[2:]),
    ]  # fmt: skip
    for wrong in changed:
        with pytest.raises(Disagreement, match="not what was signed"):
            keys.check(wrong)


def test_a_foreign_key_is_refused_whatever_name_it_gives_itself(signer: Signer) -> None:
    keys = PublicKeys([signer.public_key])
    forged = Signer(Ed25519PrivateKey.generate()).sign(7, "ab" * 32, ANCHOR, "hourly", "", None)
    with pytest.raises(Disagreement, match="none of those you trust"):
        keys.check(forged)
    with pytest.raises(Disagreement, match="not what was signed"):
        keys.check(replace(forged, key=signer.fingerprint))


def test_checkpoints_of_an_old_and_a_new_key_are_both_known(engine: Engine, signer: Signer) -> None:
    newer = Signer(Ed25519PrivateKey.generate())
    some_calls(engine, 1)
    with engine.begin() as connection:
        checkpoint(connection, signer, ANCHOR, "hourly")
    some_calls(engine, 2)
    with engine.begin() as connection:
        checkpoint(connection, newer, ANCHOR + HOUR, "hourly")
        made = list(read_checkpoints(connection))
    keys = PublicKeys([signer.public_key, newer.public_key])
    for one in made:
        keys.check(one)
    assert [one.key for one in made] == [signer.fingerprint, newer.fingerprint]


@pytest.mark.parametrize(
    "wrong",
    [
        {"hash": "AB" * 32}, {"number": 1.0}, {"number": True}, {"position": -1}, {"signature": "12"},
        {"purpose": "fun"}, {"key": None}, {"more": 1}, {"wall_ns": 2**63},
    ],
)  # fmt: skip
def test_what_cannot_be_a_checkpoint_is_none(signer: Signer, wrong: dict[str, object]) -> None:
    made = signer.sign(7, "ab" * 32, ANCHOR, "hourly", "", None)
    fields: dict[str, object] = {**made.body, "signature": made.signature}
    assert read_checkpoint(fields) == made
    with pytest.raises(ValueError, match="checkpoint"):
        read_checkpoint({**fields, **wrong})


def test_issuing_a_statement_writes_and_signs_its_digest(engine: Engine, signer: Signer) -> None:
    some_calls(engine, 1)
    with engine.begin() as connection:
        proof = issue(connection, signer, CONTENT, ANCHOR)
        *_, record = read_records(connection)
        made = last_checkpoint(connection)
    assert made is not None
    PublicKeys([signer.public_key]).check(made)
    assert proof == {"checkpoint": made.body, "signature": made.signature, "key": signer.fingerprint}
    assert (made.purpose, made.statement, made.position) == ("statement", content_digest(CONTENT), record.position)
    assert (record.kind, record.call_id) == ("statement", "2025-07-c-1")
    assert content_digest(CONTENT) in record.content


# -- the key's file --------------------------------------------------------------------------------------


def test_the_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    made = load_signer(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_signer(path).fingerprint == made.fingerprint
    assert [file.name for file in tmp_path.iterdir()] == ["signing.pem"]


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    load_signer(path)
    path.chmod(0o640)
    with pytest.raises(KeyFileError, match=r"can be read by others .*chmod 600"):
        load_signer(path)


def test_what_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    path.write_text("hello")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="no Ed25519 key"):
        load_signer(path)
    with pytest.raises(KeyFileError, match="not PEM"):
        load_public_keys([path])
    with pytest.raises(KeyFileError, match="cannot be read or made"):
        load_signer(tmp_path / "nowhere" / "signing.pem")


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    path = tmp_path / "signing.pem"
    load_signer(path)
    with pytest.raises(KeyFileError, match="private key: give it to nobody"):
        load_public_keys([path])


def test_a_file_may_hold_several_public_keys(tmp_path: Path, signer: Signer) -> None:
    path = tmp_path / "public.pem"
    other = Signer(Ed25519PrivateKey.generate())
    path.write_text(public_pem(signer.public_key) + "\n" + public_pem(other.public_key))
    keys = load_public_keys([path])
    keys.check(signer.sign(0, GENESIS, ANCHOR, "hourly", "", None))
    keys.check(other.sign(0, GENESIS, ANCHOR, "hourly", "", None))
