"""What Prometheus and a watchdog are told."""

import httpx

from b2bua.metrics import Metrics
from b2bua.web.server import Status, WebServer, make_web_app
from tests.call.desk import CARRIER, NUMBER, Desk, invite


async def _get(desk: Desk, status: Status, path: str) -> httpx.Response:
    desk.metrics.sample(desk.exchange.samples)
    app = make_web_app(desk.metrics.registry, lambda: (status, {"calls": desk.exchange.calls}))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


async def test_metrics_count_calls_by_result_and_reason() -> None:
    desk = Desk()
    desk.receive(invite("+49302000102"), CARRIER)
    desk.receive(invite("+4999"), CARRIER)
    desk.receive(invite(NUMBER), CARRIER)
    text = (await _get(desk, "ok", "/metrics")).text
    assert 'b2bua_calls_total{reason="nobody_available",result="no_agent"} 1.0' in text
    assert 'b2bua_calls_refused_total{reason="number_unknown"} 1.0' in text
    assert "b2bua_calls_active 1.0" in text
    assert "b2bua_agents_offered 1.0" in text
    assert "b2bua_sip_messages_received_total 3.0" in text
    assert "b2bua_loop_lag_seconds_bucket" in text


async def test_health_says_well_and_unwell() -> None:
    well = await _get(Desk(), "ok", "/health")
    assert (well.status_code, well.json()) == (200, {"status": "ok", "calls": 0})
    degraded = await _get(Desk(), "degraded", "/health")
    assert (degraded.status_code, degraded.json()["status"]) == (200, "degraded")
    unwell = await _get(Desk(), "failing", "/health")
    assert (unwell.status_code, unwell.json()["status"]) == (503, "failing")


async def test_the_server_serves_on_a_port_of_its_own() -> None:
    server = WebServer(make_web_app(Metrics().registry, lambda: ("ok", {})), "127.0.0.1", 0)
    server.start()
    try:
        async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as client:
            assert (await client.get(f"http://127.0.0.1:{server.port}/health")).status_code == 200
    finally:
        await server.close()
