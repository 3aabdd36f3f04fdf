"""Who is to blame: the peer, or the code that called us."""


class SipError(Exception):
    """Anything wrong with SIP."""


class RemoteProtocolError(SipError):
    """The peer sent what it must not; ``status_hint`` is the answer it deserves if one can be sent."""

    def __init__(self, message: str, status_hint: int = 400) -> None:
        super().__init__(message)
        self.status_hint = status_hint


class LocalProtocolError(SipError):
    """Our own code asked for what the protocol or the state forbids."""
