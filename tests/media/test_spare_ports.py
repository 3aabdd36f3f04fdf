"""Pairs of ports that are kept open from call to call."""

import socket

import pytest

from media.engine import MediaClosed, SdpReady
from media.plan import NoPortsLeft
from media.relay.engine import RelayEngine
from media.relay.ports import PortPool, SocketPair
from tests.test_process import free_port


def _pool(closed: list[int]) -> PortPool:
    """Room for one pair."""
    first = free_port() & ~1
    return PortPool("127.0.0.1", first, first + 2, 10.0, lambda bits: 0, before_closing=closed.append)


def _pair(pool: PortPool, now: float) -> SocketPair:
    try:
        return pool.allocate(now)
    except NoPortsLeft:
        pytest.skip("another program has just taken the port")


def test_a_pair_rests_and_comes_back_open() -> None:
    closed: list[int] = []
    pool = _pool(closed)
    pair = _pair(pool, 0.0)
    pool.release(pair, 100.0)
    with pytest.raises(NoPortsLeft):
        pool.allocate(109.0)
    again = pool.allocate(110.0)
    assert again is pair
    assert again.rtp.fileno() >= 0
    assert closed == []
    pool.release(again, 120.0)
    pool.close()
    assert len(closed) == 2
    assert again.rtp.fileno() == -1


def test_what_is_spare_counts_as_free() -> None:
    pool = _pool([])
    assert (pool.free, pool.in_use) == (1, 0)
    pair = _pair(pool, 0.0)
    assert (pool.free, pool.in_use) == (0, 1)
    pool.release(pair, 0.0)
    assert (pool.free, pool.resting, pool.in_use) == (0, 1, 0)
    pool.sweep(10.0)
    assert (pool.free, pool.resting) == (1, 0)
    pool.close()


def test_the_next_owner_is_not_connected_to_the_last_peer() -> None:
    clock = [0.0]
    sdp = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {} RTP/AVP 8\r\n"
    for _ in range(20):
        first = free_port() & ~1
        engine = RelayEngine("127.0.0.1", "127.0.0.1", first, first + 4, 0.0, 0.0, lambda bits: 1, lambda: clock[0])
        engine.offer("one", "caller", "agent", sdp.format(40000).encode())
        if isinstance(engine.events[-1], SdpReady):
            break
        engine.detach()  # another program has one of these ports
    engine.answer("one", "agent", "caller", sdp.format(40002).encode())
    # the door is shut: both ends are connected to what was signalled
    clock[0] = 60.0
    engine.sweep(clock[0])
    engine.close("one")
    assert isinstance(engine.events[-1], MediaClosed)
    clock[0] = 61.0
    engine.sweep(clock[0])
    pair = engine._pool.allocate(clock[0])
    with pytest.raises(OSError, match="not connected"):
        pair.rtp.getpeername()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.sendto(b"hello", ("127.0.0.1", pair.rtp_port))
        pair.rtp.setblocking(True)
        pair.rtp.settimeout(5)
        assert pair.rtp.recv(100) == b"hello"
    pair.rtp.close()
    pair.rtcp.close()
    engine.detach()
