"""The phones of the business file: credentials of those that register, addresses of those that do not.

Passwords do not survive the reading: only their HA1 hashes do (RFC 7616 section 3.4.2).
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from routing.business_fields import STRICT
from routing.business_ways import number_to_dial
from routing.contract import Endpoint
from routing.toml_text import Value

USERNAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}\z"
_CONTACT = re.compile(
    r"sips?:([A-Za-z0-9_.!~*'()&=+$,;?/%-]+@)?([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?"
    r"(;[A-Za-z0-9_.!~*'()%\[\]:&+$/=-]+)*",
    re.ASCII,
)


def _contact(value: str) -> str:
    if not _CONTACT.fullmatch(value):
        raise ValueError("is no SIP URI, such as sip:anna@192.0.2.10:5060")
    return value


def _algorithms(value: list[str]) -> list[str]:
    if len(set(value)) != len(value):
        raise ValueError("names an algorithm twice")
    return value


class CredentialsTable(BaseModel):
    """A ``username`` with its ``password`` or the hashes of one."""

    model_config = STRICT

    username: str | None = Field(default=None, pattern=USERNAME)
    password: str | None = Field(default=None, min_length=1, max_length=256, repr=False)
    realm: str | None = Field(default=None, pattern=r'^[^"\\\x00-\x1f\x7f]{1,128}\z')
    ha1_md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}\z", repr=False)
    ha1_sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}\z", repr=False)
    algorithms: Annotated[list[Literal["MD5", "SHA-256"]], Field(min_length=1), AfterValidator(_algorithms)] = ["MD5"]


class EndpointTable(CredentialsTable):
    """The same, or a ``contact``, or a ``number`` of the public network."""

    contact: Annotated[str, StringConstraints(max_length=256), AfterValidator(_contact)] | None = None
    number: Annotated[str, StringConstraints(max_length=64), AfterValidator(number_to_dial)] | None = None


def endpoint_of(agent_id: str, table: EndpointTable, realm: str) -> Endpoint:
    """An agent's phone; ``realm`` is for those that name none."""
    if table.contact is not None:
        return Endpoint(agent_id, contact=table.contact)
    if table.number is not None:
        return Endpoint(agent_id, number=table.number)
    return registering(agent_id, table, realm)


def registering(agent_id: str, table: CredentialsTable, realm: str) -> Endpoint:
    """A phone that registers, an agent's or (with an empty id) a line's."""
    username = table.username or ""
    own = realm if table.realm is None else table.realm
    md5, sha256 = table.ha1_md5 or "", table.ha1_sha256 or ""
    if table.password is not None:
        secret = f"{username}:{own}:{table.password}".encode()
        md5 = hashlib.md5(secret, usedforsecurity=False).hexdigest()
        sha256 = hashlib.sha256(secret).hexdigest()
    return Endpoint(agent_id, username, "", own, md5, sha256, tuple(table.algorithms))


def endpoint_value(endpoint: Endpoint) -> Mapping[str, Value]:
    """A phone as the file has it."""
    if endpoint.contact:
        return {"contact": endpoint.contact}
    if endpoint.number:
        return {"number": endpoint.number}
    value: dict[str, Value] = {"username": endpoint.username, "realm": endpoint.realm}
    if endpoint.ha1_md5:
        value["ha1_md5"] = endpoint.ha1_md5
    if endpoint.ha1_sha256:
        value["ha1_sha256"] = endpoint.ha1_sha256
    value["algorithms"] = endpoint.algorithms
    return value
