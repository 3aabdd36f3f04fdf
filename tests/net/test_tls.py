"""TLS: whom to trust, and for which name."""

import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

from b2bua.net.resolver import Resolver
from b2bua.net.tcp import StreamLimits
from b2bua.net.transports import ListenerSpec
from b2bua.sip.hop import Hop
from tests.net.office import Office, Peer, listener, options, soon
from tests.net.zone import Zone

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl command")


class Files(NamedTuple):
    certificate: Path
    private_key: Path

    def listener(self, name: str = "tls") -> ListenerSpec:
        return listener("tls", name=name, certificate=self.certificate, private_key=self.private_key)

    def client(self, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.certificate)
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = maximum
        return context


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A certificate for 127.0.0.1 and office.example, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    files = Files(folder / "certificate.pem", folder / "key.pem")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "1", "-subj", "/CN=office.example", "-addext",
            "subjectAltName=DNS:office.example,IP:127.0.0.1", "-keyout", files.private_key, "-out",
            files.certificate,
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return files


async def test_messages_go_both_ways_over_the_same_connection(files: Files) -> None:
    async with Office(files.listener()) as office:
        phone = await Peer.connect(office.bound("tls"), ssl=files.client())
        phone.send(options("encrypted"))
        message, hop = await soon(office.messages)
        assert message.call_id == "encrypted"
        assert hop == Hop("tls", "127.0.0.1", phone.port, "tls", hop.connection)
        office.send(b"answer", hop)
        assert await phone.read(6) == b"answer"
        phone.close()
        assert await soon(office.closed) == hop


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1")
async def test_tls_older_than_1_2_is_refused(files: Files) -> None:
    async with Office(files.listener()) as office:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await Peer.connect(office.bound("tls"), ssl=files.client(ssl.TLSVersion.TLSv1_1))
        assert office.quiet()


async def test_a_connection_is_opened_to_whom_the_certificate_is_for(files: Files) -> None:
    async with Office(files.listener()) as carrier, Office(authorities=files.certificate) as office:
        hop = Hop("tls", "127.0.0.1", carrier.bound("tls")[1], "udp")
        office.send(options("hello"), hop)
        message, back = await soon(carrier.messages)
        assert message.call_id == "hello"
        carrier.send(options("hello yourself"), back)
        message, where = await soon(office.messages)
        assert message.call_id == "hello yourself"
        assert where._replace(connection=0) == hop


async def test_a_certificate_that_nobody_vouches_for_is_a_failure(files: Files) -> None:
    async with Office(files.listener()) as carrier, Office() as office:
        hop = Hop("tls", "127.0.0.1", carrier.bound("tls")[1], "udp")
        office.send(options(), hop)
        assert await soon(office.failures) == hop
        assert office.quiet()
        assert carrier.quiet()


async def test_a_certificate_must_be_for_the_name_that_was_asked_for(files: Files) -> None:
    zone = Zone(addresses={"office.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
    async with (
        Office(files.listener()) as carrier,
        Office(authorities=files.certificate, resolver=Resolver(zone)) as office,
    ):
        right = Hop("tls", "office.example", carrier.bound("tls")[1], "udp")
        office.send(options("right"), right)
        assert (await soon(carrier.messages))[0].call_id == "right"
        # an open connection that was verified for another name does not do
        wrong = right._replace(host="other.example")
        office.send(options("wrong"), wrong)
        assert await soon(office.failures) == wrong
        office.send(options("right again"), right)
        assert (await soon(carrier.messages))[0].call_id == "right again"
        assert office.transports.connections == 1


async def test_a_stranger_who_does_not_finish_the_handshake_counts_and_is_closed(files: Files) -> None:
    limits = StreamLimits(incomplete=0.2, connections_per_address=1)
    async with Office(files.listener(), limits=limits) as office:
        silent = await Peer.connect(office.bound("tls"))
        surplus = await Peer.connect(office.bound("tls"))
        assert await surplus.until_closed() == b""
        await silent.until_closed()
        assert office.quiet()
        phone = await Peer.connect(office.bound("tls"), ssl=files.client())
        phone.send(options())
        await soon(office.messages)


async def test_files_that_are_missing_stop_the_start(files: Files, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'tls'.*certificate"):
        await Office(listener("tls")).transports.start()
    with pytest.raises(OSError, match="'tls'"):
        await Office(files._replace(certificate=tmp_path / "none.pem").listener()).transports.start()
