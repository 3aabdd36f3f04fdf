"""The internal API: agents, calls, events; for the agents' console and the command line. JSON, one token.

``Authorization: Bearer TOKEN``. Errors are ``{"detail": "what to do"}``.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from b2bua.call.forwarding_probe import ProbeError
from b2bua.console import Console, Plain, UnknownError
from routing.floor import Status
from routing.numbers import NumberReader

_MOST_OCTETS = 4096
_KEEP_ALIVE = 15.0
_Line = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


_B = TypeVar("_B", bound=_Body)
_T = TypeVar("_T")


class StatusBody(_Body):
    """``{"status": "on_break", "reason": "lunch"}``"""

    status: Status
    reason: str = Field(default="", max_length=64)


class ProbeBody(_Body):
    """``{"contract": "praxis-winter", "line": "+49304505010", "seconds": 60}``"""

    contract: str = Field(max_length=64)
    line: _Line
    seconds: int = Field(default=60, ge=5, le=180)


def make_api(console: Console, token: str) -> APIRouter:
    """Everything under ``/api``."""

    def authorised(request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {token}".encode()):
            raise HTTPException(401, "send Authorization: Bearer with the token of web.api_token")

    router = APIRouter(prefix="/api", dependencies=[Depends(authorised)])

    @router.get("/agents")
    async def agents() -> list[Plain]:
        return console.agents()

    @router.get("/calls")
    async def calls() -> list[Plain]:
        return console.calls()

    @router.post("/agents/{agent_id}/status")
    async def choose_status(agent_id: str, request: Request) -> Plain:
        body = await _read(request, StatusBody)
        _found(lambda: console.choose_status(agent_id, body.status, body.reason))
        return _agent(console, agent_id)

    @router.post("/agents/{agent_id}/wrap-up-finished")
    async def finish_wrap_up(agent_id: str) -> Plain:
        _found(lambda: console.finish_wrap_up(agent_id))
        return _agent(console, agent_id)

    @router.post("/forwarding-tests")
    async def test_forwarding(request: Request) -> Plain:
        body = await _read(request, ProbeBody)
        contract = _found(lambda: console.contract(body.contract))
        number = next((held.number for held in contract.target_numbers if held.number.startswith("+")), "")
        line = NumberReader().read(body.line) or ""
        if not number or not line.startswith("+"):
            raise HTTPException(422, "a contract with an international target number, and a line, are needed")
        try:
            result = await asyncio.shield(console.probe(body.contract, number, line, body.seconds))
        except ProbeError as error:
            raise HTTPException(409, str(error)) from error
        return asdict(result)

    @router.get("/events")
    async def events() -> StreamingResponse:
        if (watcher := console.watch()) is None:
            raise HTTPException(503, "too many are watching already")

        async def stream() -> AsyncIterator[str]:
            try:
                # who connects knows at once that it works
                yield ": watching\n\n"
                while not watcher.lost:
                    happened = await watcher.next(_KEEP_ALIVE)
                    yield "".join(f"data: {json.dumps(item)}\n\n" for item in happened) or ": still here\n\n"
                yield 'data: {"event": "lost"}\n\n'
            finally:
                console.unwatch(watcher)

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return router


async def _read(request: Request, kind: type[_B]) -> _B:
    """The body, of a limited size."""
    received = b""
    async for chunk in request.stream():
        received += chunk
        if len(received) > _MOST_OCTETS:
            raise HTTPException(413, f"more than {_MOST_OCTETS} octets")
    try:
        return kind.model_validate_json(received)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in error.errors())
        raise HTTPException(422, faults) from None


def _found(ask: Callable[[], _T]) -> _T:
    try:
        return ask()
    except UnknownError as error:
        raise HTTPException(404, str(error)) from None


def _agent(console: Console, agent_id: str) -> Plain:
    return next(agent for agent in console.agents() if agent["id"] == agent_id)
