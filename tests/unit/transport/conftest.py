"""A real server on a real socket, over a real gateway with its journal in memory."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.domain.commands import CreatePaperAccount
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.journal.memory import MemoryJournal
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import SystemClock
from brokergate.ports.journal import Journal
from brokergate.tokens import TokenStore
from brokergate.transport.auth import Authenticator, NoTokens
from brokergate.transport.server import GatewayServer
from brokergate.transport.settings import ListenerSettings, TransportSettings
from tests.unit.transport.desk import Desk

LOOPBACK = (ListenerSettings("127.0.0.1:0"),)


class Log:
    """A structlog logger, as far as the server uses one, that keeps what it was told."""

    def __init__(self, level: int = 20) -> None:
        self.level = level
        self.lines: list[dict[str, Any]] = []

    def is_enabled_for(self, level: int) -> bool:
        return level >= self.level

    def _keep(self, level: str, event: str, **facts: Any) -> None:
        self.lines.append({"level": level, "event": event, **facts})

    def debug(self, event: str, **facts: Any) -> None:
        self._keep("debug", event, **facts)

    def info(self, event: str, **facts: Any) -> None:
        self._keep("info", event, **facts)

    def warning(self, event: str, **facts: Any) -> None:
        self._keep("warning", event, **facts)

    def error(self, event: str, **facts: Any) -> None:
        self._keep("error", event, **facts)


@dataclass
class Served:
    """A gateway that is being served."""

    gateway: Gateway
    desk: Desk
    server: GatewayServer
    address: str
    addresses: Sequence[str]
    log: Log
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    def channel(self) -> grpc.aio.Channel:
        """A connection of its own to the first listener."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        channel = grpc.aio.insecure_channel(self.address, options=options)
        self.channels.append(channel)
        return channel


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves a gateway with the accounts `main` and `other` at a desk each; the test gives settings, tokens, the
    journal and what `main` may do."""
    async with AsyncExitStack() as stack:

        async def start(
            settings: TransportSettings | None = None,
            authenticator: Authenticator | None = None,
            log: Log | None = None,
            journal: Journal | None = None,
            policy: AccountPolicy | None = None,
        ) -> Served:
            journal = journal or MemoryJournal(random.Random(1).getrandbits)
            clock, desk = SystemClock(), Desk()
            kept = log or Log()
            gateway = Gateway(journal, clock, lambda *_, **__: None, no_paper)
            stack.callback(journal.close)
            stack.push_async_callback(gateway.close)
            await gateway.add_account("main", desk, policy or AccountPolicy())
            await gateway.add_account("other", Desk(), AccountPolicy())
            server = GatewayServer(
                gateway,
                EventStreams(journal, gateway.accounts, clock),
                settings or TransportSettings(listeners=LOOPBACK),
                authenticator or NoTokens(),
                clock,
                kept,
                random.Random(2),
            )
            addresses = await server.start()
            stack.push_async_callback(server.stop)
            served = Served(gateway, desk, server, addresses[0], addresses, kept)

            async def close() -> None:
                for channel in served.channels:
                    await channel.close()

            stack.push_async_callback(close)
            return served

        yield start


@pytest.fixture
async def served(serve: Serve) -> Served:
    """The same with the settings that a server without a file has, on a free port."""
    return await serve()


@pytest.fixture
def tokens(tmp_path: Path) -> TokenStore:
    """The file of tokens as the server reads it; `tests` write it through a store of their own."""
    return TokenStore(tmp_path / "tokens.json", SystemClock())


def no_paper(command: CreatePaperAccount) -> AbstractBroker:
    raise AssertionError("no paper account is made here")
