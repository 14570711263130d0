from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from brokergate.transport.logging import configure_logging

SECRETS = ("hunter2", "bg_verysecret")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_pipe_gets_json_with_the_facts() -> None:
    """Elsewhere than on a terminal a line is one JSON object with its time, level and facts."""
    out = io.StringIO()
    configure_logging("info", "auto", out)
    structlog.get_logger().info("listening", address="127.0.0.1:1", tls=False)
    line = json.loads(out.getvalue())
    assert (line["event"], line["level"], line["address"], line["tls"]) == (
        "listening",
        "info",
        "127.0.0.1:1",
        False,
    )
    assert line["time"].endswith("Z")


def test_a_terminal_gets_words() -> None:
    """On a terminal a line is for people."""
    out = Terminal()
    configure_logging("info", "auto", out)
    structlog.get_logger().info("listening", address="127.0.0.1:1")
    assert "listening" in out.getvalue()
    with pytest.raises(json.JSONDecodeError):
        json.loads(out.getvalue())


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_not_logged(form: str) -> None:
    """What a secret's name, type or form gives away is redacted: in a value, nested, in a traceback, from a library."""
    out = io.StringIO()
    configure_logging("debug", form, out)  # type: ignore[arg-type]
    log = structlog.get_logger()
    log.info("a", authorization="Bearer bg_verysecret", api_secret="hunter2", key=SecretStr("hunter2"))
    log.info("b", headers={"Authorization": "Bearer bg_verysecret", "x": ["bearer bg_verysecret"]})
    log.info("c", thing=object, raw=b"hunter2", nested=[SecretStr("hunter2")])
    logging.getLogger("library").warning("sent %s", "Bearer bg_verysecret")
    local = "hunter2"
    try:
        raise ValueError("authorization: Bearer bg_verysecret")
    except ValueError:
        log.exception("d")
    assert local not in out.getvalue()
    assert not any(secret in out.getvalue() for secret in SECRETS)
    assert out.getvalue().count("[redacted]") >= 6


def test_a_level_leaves_out_what_is_below_it() -> None:
    """At the level info nothing of debug is written, and the logger says so at no cost."""
    out = io.StringIO()
    configure_logging("info", "json", out)
    log = structlog.get_logger()
    log.debug("call")
    assert out.getvalue() == ""
    assert not log.is_enabled_for(logging.DEBUG)
