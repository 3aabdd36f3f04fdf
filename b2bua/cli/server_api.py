"""Asks the running server, by its internal API."""

import json
import urllib.error
import urllib.request
from typing import Any

from b2bua.cli.start import give_up
from b2bua.config import Config
from b2bua.web.token import TokenError, read_token

_PATIENCE = 5.0


def ask(config: Config, path: str, body: object = None, patience: float = _PATIENCE) -> Any:
    """GET ``/api`` + path, or POST with a ``body``; ends the command with advice if that does not work."""
    web = config.web
    if not web.host or not web.port:
        give_up("the server has no fixed address: set host and port in [web] of its configuration")
    try:
        token = read_token(config.api_token_path)
    except TokenError as error:
        give_up(f"{error}. Is the server running? It makes this file")
    host = f"[{web.host}]" if ":" in web.host else web.host
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://{host}:{web.port}/api{path}", data, headers)
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        give_up(_detail(error.read()) or f"the server says {error.code}")
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        give_up(f"no server answers at {web.host}:{web.port} ({reason}): start it, or name its --config")


def _detail(body: bytes) -> str:
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return ""
