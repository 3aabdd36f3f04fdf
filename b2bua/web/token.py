"""The token that opens the internal API: a file that only the server's user may read."""

import os
import secrets
from pathlib import Path

_MOST_OCTETS = 4096
_FEWEST_SIGNS = 32


class TokenError(Exception):
    """The file cannot be used; the text says what to do."""


def make_token(path: Path) -> str:
    """The token of this file; made, readable by its owner only, if there is none. Raises TokenError."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read_token(path)
    except OSError as error:
        raise TokenError(f"{path} cannot be made: {error.strerror} (web.api_token)") from error
    token = secrets.token_urlsafe(32)
    with os.fdopen(file, "w", encoding="ascii") as stream:
        stream.write(f"{token}\n")
    return token


def read_token(path: Path) -> str:
    """Raises TokenError."""
    try:
        mode = path.stat().st_mode
        with path.open("rb") as stream:
            token = stream.read(_MOST_OCTETS).decode("ascii", "replace").strip()
    except OSError as error:
        raise TokenError(f"{path} cannot be read: {error.strerror}; run this as the server's user") from error
    if os.name == "posix" and mode & 0o077:
        raise TokenError(f"{path} can be read by others, and whoever reads it can change agents: chmod 600 {path}")
    if len(token) < _FEWEST_SIGNS:
        raise TokenError(f"{path} holds no token of {_FEWEST_SIGNS} signs or more: delete it, and start the server")
    return token
