"""A server with two accounts, and a history that the tests of one module share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.process import ServerProcess, tracebacks

CONFIG = """\
server: {log: {level: warning, format: json}}
accounts:
  idle: {broker: paper, paper: {initial_balance: {USDT: "1"}, feed: {push: {}}}}
"""
"""An account that nothing happens on; those that trade are made by the tests."""


@pytest.fixture
def still_server(tmp_path: Path, start_server: Callable[..., ServerProcess]) -> Iterator[ServerProcess]:
    """A server on which nothing moves by itself."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(CONFIG, "utf-8")
    server = start_server("--config", config)
    yield server
    assert tracebacks(server.log) == []
