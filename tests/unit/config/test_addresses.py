"""Addresses of servers, as brokers' sections have them."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from brokergate.config.section import HttpUrl, WebSocketUrl

HTTP, STREAM = TypeAdapter[str](HttpUrl), TypeAdapter[str](WebSocketUrl)


@pytest.mark.parametrize("rest", ["host", "127.0.0.1:8081", "[::1]:8081", "host/api", "host:443/api/"])
def test_an_address(rest: str) -> None:
    """With a port and a path, or without; nothing of the end's `/` is kept."""
    assert HTTP.validate_python(f"http://{rest}") == f"http://{rest}".rstrip("/")
    assert STREAM.validate_python(f"wss://{rest}") == f"wss://{rest}".rstrip("/")


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "/path",
        "user:pass@host",
        "@host",
        "host?x=1",
        "host#x",
        "a host",
        "host:port",
        "host:8081x",
        "[::1",
    ],
)
def test_what_is_none(rest: str) -> None:
    """Least of all one with a password in it."""
    with pytest.raises(ValidationError, match="no address of a server; write one such as https://host"):
        HTTP.validate_python(f"https://{rest}")
    with pytest.raises(ValidationError, match="no address of a server; write one such as wss://host"):
        STREAM.validate_python(f"wss://{rest}")


def test_one_is_not_taken_for_the_other() -> None:
    """REST is no WebSocket."""
    with pytest.raises(ValidationError):
        HTTP.validate_python("wss://host")
    with pytest.raises(ValidationError):
        STREAM.validate_python("https://host")
