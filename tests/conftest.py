"""For all tests: a silent log, and one PostgreSQL server for those who need it."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.postgresql import PostgreSQLServer

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a server that all tests of this process share."""
    server = PostgreSQLServer()
    yield server.url
    server.remove()
