"""The HTTP side: ``/metrics`` for Prometheus, ``/health`` for whoever watches the service.

``/lines`` is for ``b2bua lines``, on the same machine.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Literal

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

#: "degraded": calls go on, but somebody should look; "failing": no new calls.
Status = Literal["ok", "degraded", "failing"]
#: Status and facts as ``/health`` tells them; failing has HTTP status 503.
Health = Callable[[], tuple[Status, dict[str, object]]]


def make_web_app(
    registry: CollectorRegistry,
    health: Health,
    lines: Callable[[], dict[str, int]] = dict,
    api: APIRouter | None = None,
) -> FastAPI:
    """The application; it reads the exchange's state on the loop's own thread, so nothing is locked.

    ``lines`` gives the phones of each line that has any, by user name.
    """
    app = FastAPI(title="b2bua", docs_url=None, redoc_url=None, openapi_url=None)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health")
    async def health_state(response: Response) -> dict[str, object]:
        status, facts = health()
        if status == "failing":
            response.status_code = 503
        return {"status": status, **facts}

    @app.get("/lines")
    async def line_phones(request: Request, response: Response) -> dict[str, int]:
        # user names are half of a password: for the command line on this machine only
        if request.client is None or request.client.host not in ("127.0.0.1", "::1"):
            response.status_code = 403
            return {}
        return lines()

    if api is not None:
        app.include_router(api)
    return app


class _QuietServer(uvicorn.Server):
    """uvicorn inside somebody else's event loop: signals stay with the exchange."""

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield


class WebServer:
    """Serves an application on a socket that is bound at once, so that a taken port is told at start."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        self._server = _QuietServer(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The bound port, also when port 0 was asked for."""
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        """Serve from now on, on the running loop."""
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="web")

    async def close(self) -> None:
        """Stop, giving running requests a second."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        self._socket.close()
