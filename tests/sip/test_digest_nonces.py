"""The server's nonces: everybody gets one of their own, however many ask at once (RFC 7616 section 3.3)."""

from b2bua.sip.digest import DigestServer, Verdict, answer_challenge, ha1
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response

REALM = "service.example"
NOW = 1000.0


def register(server: DigestServer, name: str, seed: int) -> Request:
    """A REGISTER that answers a challenge of this second."""
    request = Request("REGISTER", f"sip:{REALM}", {"From": [f"<sip:{name}@{REALM}>"]})
    challenge = Response(401, "Unauthorized", {"WWW-Authenticate": server.challenges(NOW)})
    credentials = answer_challenge(challenge, request, name, "secret", SeededIds(seed))
    assert credentials is not None
    request.set(*credentials)
    return request


def verdict(server: DigestServer, request: Request, now: float = NOW) -> Verdict:
    def secret_of(username: str, algorithm: str) -> str:
        return ha1(username, REALM, "secret", algorithm)

    return server.verify(request.all("Authorization"), request, secret_of, now).verdict


def test_phones_that_register_in_the_same_second_are_all_let_in() -> None:
    # as after a power cut: each of them begins with nc=00000001
    server = DigestServer(REALM, b"key")
    requests = [register(server, f"agent{number}", number) for number in range(50)]
    assert {verdict(server, request) for request in requests} == {Verdict.RIGHT}


def test_phone_that_calls_and_registers_in_the_same_second_is_let_in_twice() -> None:
    server = DigestServer(REALM, b"key")
    assert verdict(server, register(server, "anna", 1)) is Verdict.RIGHT
    assert verdict(server, register(server, "anna", 2)) is Verdict.RIGHT


def test_replayed_request_is_stale() -> None:
    server = DigestServer(REALM, b"key")
    request = register(server, "anna", 1)
    assert verdict(server, request) is Verdict.RIGHT
    assert verdict(server, request) is Verdict.STALE


def test_nonce_of_another_run_is_stale_and_an_old_one_too() -> None:
    request = register(DigestServer(REALM, b"key"), "anna", 1)
    assert verdict(DigestServer(REALM, b"another key"), request) is Verdict.STALE
    assert verdict(DigestServer(REALM, b"key", nonce_seconds=300.0), request, NOW + 301) is Verdict.STALE
