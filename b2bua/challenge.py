"""Which digest algorithms a name is offered, without telling strangers which names exist.

Real phones fail when they are offered an algorithm that they do not know beside MD5, so that what is offered
depends on the endpoint. Names that nobody has get an offer too, by a keyed hash and in the same proportion as
the real ones: whoever asks around sees both kinds everywhere. See docs/decisions/0003.
"""

import hashlib
import hmac

from routing.directory import Directory

_DEFAULT = ("MD5",)


class ChallengeOffers:
    """The offers that belong to one snapshot of the business data."""

    __slots__ = ("_directory", "_key", "_offers")

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        endpoints = sorted(directory.endpoints.values(), key=lambda endpoint: endpoint.username)
        self._offers = [endpoint.algorithms for endpoint in endpoints]
        # out of the stored secrets: unguessable, and the same after a restart, or asking twice would tell
        secrets = "".join(endpoint.ha1_sha256 + endpoint.ha1_md5 for endpoint in endpoints)
        self._key = hashlib.sha256(secrets.encode()).digest()

    def to(self, name: str) -> tuple[str, ...]:
        """The algorithms to offer, strongest first."""
        endpoint = self._directory.endpoint(name)
        drawn = int.from_bytes(hmac.digest(self._key, name.encode("utf-8", "surrogateescape"), "sha256")[:8], "big")
        if endpoint is not None:
            return endpoint.algorithms
        return self._offers[drawn % len(self._offers)] if self._offers else _DEFAULT
