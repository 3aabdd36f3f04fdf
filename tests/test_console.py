"""The internal API: agents, calls, events; who may, and what is said to who asks for the wrong thing."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event, exc

from accounting.store import open_engine
from b2bua import console as console_module
from b2bua.console import Console, Watcher
from b2bua.sip.message import Request
from b2bua.status_keeper import StatusKeeper
from b2bua.web.api import make_api
from b2bua.web.token import TokenError, make_token, read_token
from routing.agent_store import ChosenStatus, load_statuses, write_statuses
from routing.store import metadata
from tests.call.desk import ANNA, CARRIER, SDP, Desk, answer, invite, names, only

TOKEN = "t" * 43


class Office:
    """A desk with a console, and the API in front of it."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.kept: list[ChosenStatus] = []
        self.console = Console(self.desk.exchange, 0, lambda at: None, self.kept.append, lambda: self.desk.at)
        app = FastAPI()
        app.include_router(make_api(self.console, TOKEN))
        self._transport = httpx.ASGITransport(app=app)

    async def ask(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx.AsyncClient(transport=self._transport, base_url="http://test", headers=headers) as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.request(method, path, content=content if body is not None else None)

    async def agent(self, name: str) -> dict[str, Any]:
        found = (await self.ask("GET", "/api/agents")).json()
        return next(item for item in found if item["id"] == name)


@pytest.fixture
def office() -> Office:
    return Office()


# -- who may ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "t", "ü"])
async def test_nobody_gets_in_without_the_token(office: Office, token: str) -> None:
    for method, path in (("GET", "/api/agents"), ("GET", "/api/events"), ("POST", "/api/agents/anna/status")):
        if token == "ü":
            continue
        refused = await office.ask(method, path, {"status": "on_break"} if method == "POST" else None, token)
        assert refused.status_code == 401
        assert "web.api_token" in refused.json()["detail"]
    assert (await office.agent("anna"))["status"] == "available"


def test_the_token_is_made_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "api.token"
    made = make_token(path)
    assert len(made) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert make_token(path) == read_token(path) == made
    path.chmod(0o644)
    with pytest.raises(TokenError, match="chmod 600"):
        read_token(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(TokenError, match="delete it"):
        read_token(path)
    with pytest.raises(TokenError, match="cannot be read"):
        read_token(tmp_path / "none")


# -- agents ----------------------------------------------------------------------------------------------


async def test_a_break_with_its_reason_is_shown_kept_and_obeyed(office: Office) -> None:
    changed = await office.ask("POST", "/api/agents/anna/status", {"status": "on_break", "reason": "lunch"})
    assert changed.status_code == 200
    assert (changed.json()["status"], changed.json()["reason"]) == ("on_break", "lunch")
    assert [(item.agent_id, item.status, item.reason) for item in office.kept] == [("anna", "on_break", "lunch")]
    assert (await office.agent("anna"))["since_ns"] == office.kept[0].since_ns > 0
    out = office.desk.receive(invite(), CARRIER)
    assert "INVITE" not in names(out, ANNA)
    await office.ask("POST", "/api/agents/anna/status", {"status": "available"})
    assert (await office.agent("anna"))["status"] == "available"


async def test_wrap_up_is_ended_early(office: Office) -> None:
    office = Office()
    desk = office.desk
    desk.floor.agent_engaged("anna", "elsewhere", desk.now, wrap_up_seconds=60)
    desk.floor.agent_left("elsewhere", "anna", desk.now)
    assert (await office.agent("anna"))["state"] == "wrap_up"
    ended = await office.ask("POST", "/api/agents/anna/wrap-up-finished")
    assert ended.json()["state"] == "waiting"


@pytest.mark.parametrize(
    ("path", "body", "status", "advice"),
    [
        ("/api/agents/nobody/status", {"status": "on_break"}, 404, "there are: anna, ben, carla"),
        ("/api/agents/anna/status", {"status": "asleep"}, 422, "'on_break'"),
        ("/api/agents/anna/status", {"status": "on_break", "reason": "x" * 65}, 422, "reason"),
        ("/api/agents/anna/status", {"status": "on_break", "colour": "red"}, 422, "colour"),
        ("/api/agents/anna/status", b"{", 422, "JSON"),
        ("/api/agents/anna/status", b" " * 5000, 413, "4096"),
        ("/api/agents/nobody/wrap-up-finished", None, 404, "no agent"),
        ("/api/forwarding-tests", {"contract": "nobody", "line": "+49301"}, 404, "no contract"),
        ("/api/forwarding-tests", {"contract": "all-at-once", "line": "x"}, 422, "a line"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_said(office: Office, path: str, body: Any, status: int, advice: str) -> None:
    refused = await office.ask("POST", path, body)
    assert refused.status_code == status
    assert advice in refused.json()["detail"]


# -- calls and events ------------------------------------------------------------------------------------


async def test_calls_show_who_waits_and_who_talks(office: Office) -> None:
    desk = office.desk
    offered = only(desk.receive(invite(), CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    (ringing,) = (await office.ask("GET", "/api/calls")).json()
    assert (ringing["state"], ringing["ringing"], ringing["answered_ns"]) == ("seeking", ["anna"], 0)
    desk.receive(answer(offered, 200, SDP), ANNA)
    (talking,) = (await office.ask("GET", "/api/calls")).json()
    assert (talking["state"], talking["agent"], talking["contract"]) == ("talking", "anna", "one-after-the-other")
    assert talking["answered_ns"] >= talking["started_ns"] > 0


async def test_an_agents_screen_gets_greeting_and_caller_with_the_offer(office: Office) -> None:
    watcher = office.console.watch()
    assert watcher is not None
    desk = office.desk
    request = invite(extra={"Diversion": "<sip:+4930555@carrier.example>;reason=user-busy"})
    offered = only(desk.receive(request, CARRIER), "INVITE", ANNA)
    assert isinstance(offered, Request)
    desk.receive(answer(offered, 200, SDP), ANNA)
    desk.exchange.shut_down(desk.at)
    told = await watcher.next(1.0)
    assert [item["event"] for item in told] == ["offered", "taken", "ended"]
    screen = told[0]
    assert (screen["agent"], screen["customer"], screen["greeting"]) == (
        "anna", "Kanzlei Berger", "Kanzlei Berger, guten Tag!",
    )  # fmt: skip
    assert (screen["caller"], screen["forwarding_kind"]) == ("+4940123456", "busy")
    assert told[2]["result"] == "answered"


async def test_who_watches_but_does_not_listen_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_MOST_BEHIND", 3)
    watcher = Watcher()
    for number in range(5):
        watcher.tell({"event": "status", "number": number})
    assert watcher.lost
    assert len(await watcher.next(0.1)) == 3
    assert await watcher.next(0.01) == []


async def test_watchers_are_limited_and_go(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "MOST_WATCHERS", 1)
    watcher = office.console.watch()
    assert watcher is not None
    assert (await office.ask("GET", "/api/events")).status_code == 503
    office.console.unwatch(watcher)
    assert office.console.watch() is not None


async def test_a_forwarding_is_tested_through_the_api(office: Office) -> None:
    desk = office.desk
    asked = asyncio.create_task(
        office.ask("POST", "/api/forwarding-tests", {"contract": "one-after-the-other", "line": "030555010"})
    )
    while not (office.desk.exchange.controller.probes.running or asked.done()):
        await asyncio.sleep(0)
    sent = only(desk.sent(), "INVITE", CARRIER)
    assert isinstance(sent, Request)
    desk.advance(2.0)
    back = invite(extra={"Diversion": "<sip:030555010@carrier.example>;reason=no-answer"})
    assert 486 in names(desk.receive(back, CARRIER), CARRIER)
    result = (await asked).json()
    assert (result["outcome"], result["kind"], round(result["seconds"])) == ("came_back", "no_answer", 2)


# -- restarts --------------------------------------------------------------------------------------------


def test_statuses_outlive_a_restart_and_who_talked_in_a_crash_is_given_time(office: Office) -> None:
    before = [ChosenStatus("anna", "on_break", "lunch", 77), ChosenStatus("gone", "on_break", "", 1)]
    office.console.restore(before, ["ben", "gone"], 30.0)
    views = {view.id: view for view in office.desk.floor.agents()}
    assert (views["anna"].status, views["anna"].reason) == ("on_break", "lunch")
    assert views["ben"].paused
    assert office.kept == [], "what was kept is not written again"
    out = office.desk.receive(invite(), CARRIER)
    assert names(out) == [100, 480]
    office.desk.advance(31.0)
    out = office.desk.receive(invite(), CARRIER)
    assert "INVITE" in names(out)


def test_the_newest_choice_is_kept(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/b.db")
    metadata.create_all(engine)
    with engine.begin() as connection:
        write_statuses(connection, [ChosenStatus("anna", "on_break", "x", 1), ChosenStatus("anna", "available", "", 2)])
        write_statuses(connection, [ChosenStatus("ben", "logged_out", "", 3)])
    with engine.connect() as connection:
        assert load_statuses(connection) == [
            ChosenStatus("anna", "available", "", 2), ChosenStatus("ben", "logged_out", "", 3),
        ]  # fmt: skip


def test_a_database_that_is_away_loses_no_choice(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}/b.db")
    metadata.create_all(engine)
    away = True

    @event.listens_for(engine, "begin")
    def refuse(_connection: object) -> None:
        if away:
            raise exc.OperationalError("BEGIN", None, Exception("away"))

    keeper = StatusKeeper(engine)
    keeper.keep(ChosenStatus("anna", "on_break", "", 1))
    assert not keeper.write()
    away = False
    keeper.keep(ChosenStatus("anna", "available", "", 2))
    keeper.start()
    keeper.stop()
    with engine.connect() as connection:
        assert load_statuses(connection) == [ChosenStatus("anna", "available", "", 2)]
