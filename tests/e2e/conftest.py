"""Servers to test against, each a real process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import grpc
import pytest

from tests.e2e.process import ServerProcess


class StartServer(Protocol):
    """Starts one more server for this test; see `ServerProcess` for the arguments."""

    def __call__(
        self,
        *arguments: str | Path,
        listen: str = ...,
        env: dict[str, str] | None = ...,
        credentials: grpc.ChannelCredentials | None = ...,
    ) -> ServerProcess: ...


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Start servers with a configuration of the test's own, each over its own data; all end with the test."""
    with ExitStack() as stack:

        def start(
            *arguments: str | Path,
            listen: str = "127.0.0.1:0",
            env: dict[str, str] | None = None,
            credentials: grpc.ChannelCredentials | None = None,
        ) -> ServerProcess:
            folder = tmp_path_factory.mktemp("server")
            server = ServerProcess(folder, *arguments, listen=listen, env=env, credentials=credentials)
            stack.callback(server.close)
            server.start()
            return server

        yield start


@pytest.fixture
def server(start_server: Callable[[], ServerProcess]) -> ServerProcess:
    """A server of this test's own, with no configuration file: one paper account, `paper`, on a synthetic market."""
    return start_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The same, shared by a module's tests: for those that neither kill it nor mind each other's orders."""
    server = ServerProcess(tmp_path_factory.mktemp("server"))
    try:
        server.start()
        yield server
    finally:
        server.close()
