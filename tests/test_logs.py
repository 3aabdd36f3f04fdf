"""What a log tells, and what it keeps to itself."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from b2bua.logs import configure_logging, mask_number


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = structlog.get_config()
    handlers = logging.getLogger().handlers[:]
    yield
    structlog.configure(**before)
    logging.getLogger().handlers[:] = handlers


def test_numbers_are_cut() -> None:
    assert mask_number("+49301234567") == "+493…67"
    assert mask_number("sip:+49301234567@192.0.2.1") == "sip:+493…67@192.0.2.1"
    assert mask_number("12345") == "12345"


def test_json_without_numbers_and_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json", full_numbers=False)
    structlog.get_logger("test").info("happened", caller="+49301234567", password="secret", call_id="1234567890")
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["caller"]) == ("happened", "info", "+493…67")
    assert line["password"] == "***"
    assert line["call_id"] == "1234567890"


def test_full_numbers_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json", full_numbers=True)
    structlog.get_logger("test").info("happened", caller="+49301234567", password="secret")
    line = json.loads(capsys.readouterr().err)
    assert (line["caller"], line["password"]) == ("+49301234567", "***")


def test_below_the_level_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "console", full_numbers=False)
    structlog.get_logger("test").info("nothing")
    structlog.get_logger("test").warning("something")
    said = capsys.readouterr().err
    assert "nothing" not in said
    assert "something" in said
