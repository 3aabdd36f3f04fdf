"""The registrar: who can be reached where, and until when (RFC 3261 section 10.3)."""

import pytest

from b2bua.registrar import MAX_BINDINGS, Registrar, RegistrationChanged
from b2bua.sip.hop import Hop
from b2bua.sip.message import Request

UDP = Hop("udp", "192.0.2.10", 5060, "phones")
TCP = Hop("tcp", "192.0.2.10", 40000, "phones-tcp", 5)
DESK = "<sip:ada@192.0.2.10:5060>"
HANDY = "<sip:ada@192.0.2.11:5060>"


class Phone:
    """Writes the REGISTERs of one device, each with the next number."""

    def __init__(self, registrar: Registrar, call_id: str = "phone-1", hop: Hop = UDP) -> None:
        self.registrar = registrar
        self.call_id = call_id
        self.hop = hop
        self.sequence = 0

    def register(
        self, *contacts: str, now: float = 0.0, sequence: int | None = None, user: str = "ada", **headers: str
    ) -> tuple[int, dict[str, list[str]]]:
        """Send it; the status and the headers that come back."""
        self.sequence = self.sequence + 1 if sequence is None else sequence
        fields = {"Call-ID": [self.call_id], "CSeq": [f"{self.sequence} REGISTER"]}
        if contacts:
            fields["Contact"] = list(contacts)
        fields.update({name: [value] for name, value in headers.items()})
        outcome = self.registrar.register(Request("REGISTER", "sip:example.com", fields), user, self.hop, now)
        back: dict[str, list[str]] = {}
        for name, value in outcome.headers:
            back.setdefault(name, []).append(value)
        return outcome.status, back


def uris(registrar: Registrar, now: float = 0.0, user: str = "ada") -> list[str]:
    return [binding.uri for binding in registrar.bindings(user, now)]


def test_a_phone_registers_and_is_reachable_until_it_expires() -> None:
    registrar = Registrar()
    status, headers = Phone(registrar).register(f"{DESK};expires=600")
    assert (status, headers["Contact"]) == (200, [f"{DESK};expires=600"])
    assert list(registrar.events) == [RegistrationChanged("ada", reachable=True)]
    (binding,) = registrar.bindings("ada", 599)
    assert (binding.uri, binding.hop, binding.expires_at) == ("sip:ada@192.0.2.10:5060", UDP, 600)
    assert registrar.bindings("ada", 600) == []
    registrar.events.clear()
    registrar.expire(599)
    assert not registrar.events
    registrar.expire(600)
    assert list(registrar.events) == [RegistrationChanged("ada", reachable=False)]
    assert (registrar.count, registrar.usernames()) == (0, [])


def test_a_refresh_prolongs_and_tells_nothing() -> None:
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(DESK, Expires="600")
    registrar.events.clear()
    status, headers = phone.register(DESK, Expires="600", now=300)
    assert (status, headers["Contact"]) == (200, [f"{DESK};expires=600"])
    assert registrar.count == 1
    registrar.expire(700)
    assert uris(registrar, 700) == ["sip:ada@192.0.2.10:5060"]
    assert not registrar.events


def test_several_phones_share_a_name() -> None:
    registrar = Registrar()
    Phone(registrar).register(f"{DESK};expires=600")
    status, headers = Phone(registrar, "phone-2").register(f"{HANDY};expires=100", now=50)
    assert status == 200
    assert headers["Contact"] == [f"{DESK};expires=550", f"{HANDY};expires=100"]
    registrar.expire(151)
    assert uris(registrar, 151) == ["sip:ada@192.0.2.10:5060"]


def test_a_query_changes_nothing() -> None:
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(f"{DESK};expires=600")
    status, headers = phone.register(now=100)
    assert (status, headers["Contact"]) == (200, [f"{DESK};expires=500"])
    assert Phone(registrar, "x").register(user="nobody") == (200, {})


def test_a_phone_signs_off() -> None:
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(DESK)
    registrar.events.clear()
    assert phone.register(f"{DESK};expires=0") == (200, {})
    assert list(registrar.events) == [RegistrationChanged("ada", reachable=False)]
    # signing off twice harms nobody
    assert phone.register(DESK, Expires="0") == (200, {})


def test_the_expiry_of_a_contact_goes_before_that_of_the_request() -> None:
    registrar = Registrar()
    _, headers = Phone(registrar).register(f"{DESK};expires=100", HANDY, Expires="200")
    assert headers["Contact"] == [f"{DESK};expires=100", f"{HANDY};expires=200"]


@pytest.mark.parametrize(
    ("contact", "seconds"),
    [(DESK, 3600), (f"{DESK};expires=7200", 3600), (f"{DESK};expires=99999999999999999999", 3600),
     (f"{DESK};expires=soon", 3600), (f"{DESK};expires=-1", 3600), (f"{DESK};expires=60", 60)],
)  # fmt: skip
def test_how_long(contact: str, seconds: int) -> None:
    _, headers = Phone(Registrar()).register(contact)
    assert headers["Contact"] == [f"{DESK};expires={seconds}"]


def test_too_short_is_423_and_changes_nothing() -> None:
    registrar = Registrar(min_expires=60)
    assert Phone(registrar).register(f"{DESK};expires=59") == (423, {"Min-Expires": ["60"]})
    assert Phone(registrar).register(HANDY, f"{DESK};expires=59")[0] == 423
    assert registrar.count == 0
    assert not registrar.events


def test_a_star_signs_everything_off() -> None:
    registrar = Registrar()
    Phone(registrar).register(DESK)
    assert Phone(registrar, "phone-2").register("*", Expires="0") == (200, {})
    assert registrar.count == 0


@pytest.mark.parametrize(
    ("contacts", "headers"),
    [(["*"], {}), (["*"], {"Expires": "10"}), (["*", HANDY], {"Expires": "0"}), ([f"*, {HANDY}"], {"Expires": "0"})],
)
def test_a_star_that_is_used_wrongly_is_400(contacts: list[str], headers: dict[str, str]) -> None:
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(DESK)
    assert phone.register(*contacts, **headers)[0] == 400  # type: ignore[arg-type]
    assert uris(registrar) == ["sip:ada@192.0.2.10:5060"]


def test_an_older_request_of_the_same_phone_is_500() -> None:
    """RFC 3261 section 10.3 step 7: it was overtaken."""
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(DESK, sequence=10)
    assert phone.register(f"{DESK};expires=0", sequence=9)[0] == 500
    assert phone.register(f"{DESK};expires=0", sequence=10)[0] == 500
    assert uris(registrar) == ["sip:ada@192.0.2.10:5060"]
    # after a restart the phone has another Call-ID, and any number
    assert Phone(registrar, "restarted").register(f"{DESK};expires=0", sequence=1)[0] == 200
    assert registrar.count == 0


def test_an_older_star_of_the_same_phone_is_500_and_removes_nothing() -> None:
    """RFC 3261 section 10.3 step 6."""
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(DESK, sequence=10)
    Phone(registrar, "phone-2").register(HANDY)
    assert phone.register("*", sequence=9, Expires="0")[0] == 500
    assert registrar.count == 2


def test_all_of_a_request_or_nothing() -> None:
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register(DESK, sequence=10)
    assert phone.register(HANDY, DESK, sequence=9)[0] == 500
    assert phone.register(HANDY, "<mailto:ada@example.com>")[0] in (400, 416)
    assert phone.register(HANDY, "garbage <")[0] == 400
    assert uris(registrar) == ["sip:ada@192.0.2.10:5060"]


def test_the_same_contact_twice_in_one_request_is_one() -> None:
    registrar = Registrar()
    assert Phone(registrar).register(f"{DESK};expires=100", f"{DESK};expires=200")[0] == 200
    assert uris(registrar) == ["sip:ada@192.0.2.10:5060"]


def test_contacts_are_compared_as_uris() -> None:
    registrar = Registrar()
    phone = Phone(registrar)
    phone.register("<sip:ada@Phone.example;transport=TCP>")
    phone.register("<sip:ada@phone.EXAMPLE;transport=tcp>")
    assert registrar.count == 1


def test_a_device_behind_a_new_address_is_the_same_device() -> None:
    registrar = Registrar()
    instance = '+sip.instance="<urn:uuid:00000000-0000-1000-8000-AABBCCDDEEFF>"'
    Phone(registrar, "before").register(f"{DESK};{instance}")
    Phone(registrar, "after").register(f"{HANDY};{instance}")
    assert uris(registrar) == ["sip:ada@192.0.2.11:5060"]


def test_the_path_is_kept_and_shown_to_those_who_know_it() -> None:
    registrar = Registrar()
    path = "<sip:edge1.example;lr>, <sip:edge2.example;lr>"
    _, headers = Phone(registrar).register(DESK, Path=path, Supported="path, outbound")
    assert headers["Path"] == path.split(", ")
    assert registrar.bindings("ada", 0)[0].path == tuple(path.split(", "))
    _, headers = Phone(registrar, "other").register(HANDY, Path=path)
    assert "Path" not in headers


def test_a_closed_connection_takes_its_phones_with_it() -> None:
    registrar = Registrar()
    Phone(registrar, "a", TCP).register(DESK, user="ada")
    Phone(registrar, "b", UDP).register(HANDY, user="ada")
    Phone(registrar, "c", TCP).register("<sip:bob@192.0.2.12>", user="bob")
    Phone(registrar, "d", TCP._replace(connection=6)).register("<sip:eve@192.0.2.13>", user="eve")
    registrar.events.clear()
    registrar.connection_closed(TCP)
    assert uris(registrar) == ["sip:ada@192.0.2.11:5060"]
    # ada still has another phone
    assert list(registrar.events) == [RegistrationChanged("bob", reachable=False)]
    assert uris(registrar, user="eve") == ["sip:eve@192.0.2.13"]


def test_a_closed_connection_without_a_number_closes_no_datagrams() -> None:
    registrar = Registrar()
    Phone(registrar).register(DESK)
    registrar.connection_closed(TCP._replace(connection=0))
    assert registrar.count == 1


def test_a_name_that_exists_no_longer_is_forgotten() -> None:
    registrar = Registrar()
    Phone(registrar).register(DESK)
    registrar.events.clear()
    registrar.forget("ada")
    registrar.forget("ada")
    assert list(registrar.events) == [RegistrationChanged("ada", reachable=False)]


def test_there_is_an_end_to_the_phones_of_a_name() -> None:
    registrar = Registrar()
    for number in range(MAX_BINDINGS):
        assert Phone(registrar, str(number)).register(f"<sip:ada@192.0.2.{number}>")[0] == 200
    assert Phone(registrar, "one more").register("<sip:ada@192.0.2.200>")[0] == 403
    assert registrar.count == MAX_BINDINGS
    # the others may still refresh, and those that expired make room
    assert Phone(registrar, "0").register("<sip:ada@192.0.2.0>", sequence=2)[0] == 200
    assert Phone(registrar, "one more").register("<sip:ada@192.0.2.200>", now=4000)[0] == 200


def test_a_contact_without_measure_is_400() -> None:
    assert Phone(Registrar()).register(f"<sip:{'a' * 1000}@192.0.2.1>")[0] == 400
