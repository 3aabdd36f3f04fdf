"""Digest authentication: the RFC's own values, both sides against each other, and everything that is wrong."""

import pytest

from b2bua.sip.digest import (
    DigestServer,
    Verdict,
    _answer,
    _answer_without_qop,
    answer_challenge,
    ha1,
    parse_credentials,
)
from b2bua.sip.ids import SeededIds
from b2bua.sip.message import Request, Response

REALM = "example.com"
PASSWORDS = {"agent": "Zanzibar"}


def secret_of(username: str, algorithm: str) -> str | None:
    password = PASSWORDS.get(username)
    return None if password is None else ha1(username, REALM, password, algorithm)


def server(seconds: float = 300.0) -> DigestServer:
    return DigestServer(REALM, b"a secret of this run", seconds)


def register(method: str = "REGISTER", uri: str = "sip:example.com") -> Request:
    return Request(method, uri, {"From": ["<sip:agent@example.com>;tag=1"]})


def answer(
    challenge: list[str],
    request: Request | None = None,
    username: str = "agent",
    password: str = "Zanzibar",
    seed: int = 1,
) -> str:
    response = Response(401, "", {"WWW-Authenticate": challenge})
    found = answer_challenge(response, request or register(), username, password, SeededIds(seed))
    assert found is not None
    assert found[0] == "Authorization"
    return found[1]


@pytest.mark.parametrize(
    ("algorithm", "expected"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_the_values_of_rfc_7616_section_3_9_1(algorithm: str, expected: str) -> None:
    secret = ha1("Mufasa", "http-auth@example.org", "Circle of Life", algorithm)
    nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    assert _answer(algorithm, secret, nonce, "00000001", cnonce, "GET", "/dir/index.html") == expected


def test_the_value_of_old_without_qop() -> None:
    secret = ha1("Mufasa", "testrealm@host.com", "Circle Of Life")
    nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    found = _answer_without_qop("MD5", secret, nonce, "GET", "/dir/index.html")
    assert found == "670fd8c2df070c60b045671b8b24ff02"


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_the_right_password_is_right(algorithm: str) -> None:
    digest = server()
    verified = digest.verify([answer(digest.challenges(0, (algorithm,)))], register(), secret_of, 1)
    assert (verified.verdict, verified.username) == (Verdict.RIGHT, "agent")


def test_of_several_challenges_the_first_known_is_answered() -> None:
    challenges = server().challenges(0, ("SHA-256", "MD5"))
    assert "algorithm=SHA-256" in answer(challenges)
    unknown = challenges[0].replace("SHA-256", "SHA-512-256")
    assert "algorithm=MD5" in answer([unknown, challenges[1]])


def test_a_407_is_answered_as_a_proxys() -> None:
    response = Response(407, "", {"Proxy-Authenticate": server().challenges(0)})
    found = answer_challenge(response, register(), "agent", "Zanzibar", SeededIds(1))
    assert found is not None
    assert found[0] == "Proxy-Authorization"


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Basic realm=x",
        "Digest realm=x",
        'Digest realm="x", nonce="1", algorithm=ROT13, qop="auth"',
        'Digest realm="x", nonce="1", qop="auth-int"',
    ],
)
def test_challenges_that_cannot_be_answered(challenge: str) -> None:
    response = Response(401, "", {"WWW-Authenticate": [challenge]})
    assert answer_challenge(response, register(), "agent", "x", SeededIds(1)) is None


def test_a_challenge_without_qop_is_answered_without() -> None:
    """RFC 2617: what many trunks still send."""
    found = parse_credentials(answer(['Digest realm="trunk", nonce="abc", algorithm=MD5']))
    assert found is not None
    assert not {"qop", "nc", "cnonce"} & found.keys()
    assert found["response"] == _answer_without_qop(
        "MD5", ha1("agent", "trunk", "Zanzibar"), "abc", "REGISTER", register().uri
    )


def test_we_never_accept_an_answer_without_qop() -> None:
    digest = server()
    challenge = digest.challenges(0)[0].replace(', qop="auth"', "")
    assert digest.verify([answer([challenge])], register(), secret_of, 1).verdict is Verdict.WRONG


def test_quotes_of_the_challenger_stay_quoted() -> None:
    challenge = 'Digest realm="a \\"b\\", x=\\\\", nonce="n", opaque="o\\"p", qop="auth"'
    found = parse_credentials(answer([challenge], username='ag"ent'))
    assert found is not None
    assert (found["realm"], found["opaque"], found["username"]) == ('a "b", x=\\', 'o"p', 'ag"ent')


def test_without_credentials_for_our_realm_they_are_missing() -> None:
    digest = server()
    other = DigestServer("elsewhere.example", b"another secret")
    assert digest.verify([], register(), secret_of, 0).verdict is Verdict.MISSING
    assert digest.verify(["Basic YTpi"], register(), secret_of, 0).verdict is Verdict.MISSING
    foreign = answer(other.challenges(0))
    assert digest.verify([foreign], register(), secret_of, 0).verdict is Verdict.MISSING
    # RFC 3261 22.3: those for other realms are passed over
    ours = answer(digest.challenges(0))
    assert digest.verify([foreign, ours], register(), secret_of, 0).verdict is Verdict.RIGHT


@pytest.mark.parametrize(("username", "password"), [("agent", "zanzibar"), ("nobody", "Zanzibar"), ("", "")])
def test_a_wrong_password_and_an_unknown_user_are_both_wrong(username: str, password: str) -> None:
    digest = server()
    value = answer(digest.challenges(0), username=username, password=password)
    verified = digest.verify([value], register(), secret_of, 1)
    assert (verified.verdict, verified.username) == (Verdict.WRONG, "")


def test_credentials_hold_for_their_method_only() -> None:
    digest = server()
    value = answer(digest.challenges(0), register("INVITE"))
    assert digest.verify([value], register("REGISTER"), secret_of, 1).verdict is Verdict.WRONG


@pytest.mark.parametrize("uri", ["sip:elsewhere.example", "sip:+491234567@example.com", "tel:+491234567"])
def test_credentials_hold_for_their_target_only(uri: str) -> None:
    digest = server()
    value = answer(digest.challenges(0), register("INVITE", "sip:agent@example.com"))
    assert digest.verify([value], register("INVITE", uri), secret_of, 1).verdict is Verdict.WRONG


def test_a_proxy_may_have_changed_parameters_of_the_target() -> None:
    digest = server()
    value = answer(digest.challenges(0), register("INVITE", "sip:agent@EXAMPLE.com;transport=tcp"))
    changed = register("INVITE", "sip:agent@example.com;user=phone")
    assert digest.verify([value], changed, secret_of, 1).verdict is Verdict.RIGHT


def test_an_old_nonce_is_stale_for_those_who_know_the_password() -> None:
    digest = server(300)
    assert digest.verify([answer(digest.challenges(0))], register(), secret_of, 300).verdict is Verdict.RIGHT
    assert digest.verify([answer(digest.challenges(0))], register(), secret_of, 301).verdict is Verdict.STALE
    wrong = answer(digest.challenges(0), password="guess")
    assert digest.verify([wrong], register(), secret_of, 301).verdict is Verdict.WRONG


def test_a_nonce_of_another_run_is_stale() -> None:
    value = answer(DigestServer(REALM, b"the run before").challenges(0))
    assert server().verify([value], register(), secret_of, 1).verdict is Verdict.STALE


@pytest.mark.parametrize("nonce", ["", "x", "=", "A" * 44, "\u00e9", "\udc80"])
def test_a_nonce_that_was_never_ours_is_stale(nonce: str) -> None:
    digest = server()
    value = answer([f'Digest realm="{REALM}", nonce="{nonce}", qop="auth"'])
    assert digest.verify([value], register(), secret_of, 1).verdict is Verdict.STALE


def test_a_replay_is_stale_and_a_higher_count_is_right() -> None:
    digest = server()
    challenge = digest.challenges(0)
    value = answer(challenge)
    assert digest.verify([value], register(), secret_of, 1).verdict is Verdict.RIGHT
    assert digest.verify([value], register(), secret_of, 2).verdict is Verdict.STALE
    nonce = parse_credentials(challenge[0])
    assert nonce is not None
    secret = ha1("agent", REALM, "Zanzibar")
    again = _answer("MD5", secret, nonce["nonce"], "0000000a", "c", "REGISTER", "sip:example.com")
    value = (
        f'Digest username="agent", realm="{REALM}", nonce="{nonce["nonce"]}", uri="sip:example.com", '
        f'response="{again}", cnonce="c", qop=auth, nc=0000000a'
    )
    assert digest.verify([value], register(), secret_of, 3).verdict is Verdict.RIGHT
    assert digest.verify([value], register(), secret_of, 3).verdict is Verdict.STALE


def test_two_phones_of_one_second_do_not_use_up_each_others_nonce() -> None:
    digest = server()
    first, second = digest.challenges(7.1), digest.challenges(7.2)
    assert first != second
    assert digest.verify([answer(first)], register(), secret_of, 8).verdict is Verdict.RIGHT
    assert digest.verify([answer(second)], register(), secret_of, 8).verdict is Verdict.RIGHT


def test_wrong_guesses_cost_no_memory() -> None:
    digest = server()
    for seed in range(200):
        digest.verify([answer(digest.challenges(0), password=str(seed))], register(), secret_of, 1)
    assert not digest._counts


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("qop=auth", "qop=auth-int"),
        ("algorithm=MD5", "algorithm=MD5-sess"),
        ("nc=00000001", "nc=zzzzzzzz"),
        ("nc=00000001", "nc=1"),
        ("cnonce=", "xnonce="),
        ("response=", "resp="),
        ("uri=", "iru="),
        ("00000001", "00000002"),
    ],
)
def test_credentials_that_were_tampered_with_are_never_right(old: str, new: str) -> None:
    digest = server()
    value = answer(digest.challenges(0))
    assert old in value
    assert digest.verify([value.replace(old, new)], register(), secret_of, 1).verdict is not Verdict.RIGHT


def test_credentials_beyond_measure_are_not_read() -> None:
    assert parse_credentials("Digest " + "a" * 3000) is None
