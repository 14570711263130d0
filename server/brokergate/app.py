"""The gateway as a process: wires every floor, serves until it is told to end, and ends in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import structlog

from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.adapters.paper.making import create_paper_broker, market_order
from brokergate.adapters.registry import create_broker
from brokergate.config import AccountConfig, GatewayConfig, ListenerConfig, policy_of
from brokergate.config.server import MIB
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import EventStreams
from brokergate.journal.lock import DataDirectoryLock, DataDirectoryLocked
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.journal.sqlite.opening import UNKNOWN_BOOT
from brokergate.journal.sqlite.retention import Retention
from brokergate.journal.sqlite.schema import journal_path
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock, SystemClock
from brokergate.ports.journal import Journal, JournalError
from brokergate.resilience import BrokerMetrics
from brokergate.tokens import TokenError, TokenStore
from brokergate.transport.listeners import ListenError
from brokergate.transport.logging import configure_logging
from brokergate.transport.server import GatewayServer
from brokergate.transport.settings import ListenerSettings, TlsSettings, TransportSettings

_NS_PER_DAY = 86_400 * 1_000_000_000
_GC_THRESHOLDS = (20_000, 20, 50)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class StartError(Exception):
    """The gateway cannot start; the text says why, and the way out."""


def run(config: GatewayConfig) -> None:
    """Serves until SIGTERM or SIGINT, on uvloop where it is installed. Raises `StartError`."""
    log = config.server.log
    configure_logging(log.level.value, log.format.value)
    # What the imports made stays for ever: the collector need not look at it again. An order leaves no cycles behind,
    # so it need not look often either.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(config, SystemClock()))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(config: GatewayConfig, clock: Clock) -> None:
    """Serves until SIGTERM or SIGINT. `data_dir/address` names the addresses while it does. Raises `StartError`."""
    log = structlog.get_logger("brokergate")
    settings = transport_settings(config)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    try:
        async with _open(config, clock, log) as (gateway, journal):
            streams = EventStreams(journal, gateway.accounts, clock)
            tokens = TokenStore(config.server.tokens_path, clock)
            server = GatewayServer(gateway, streams, settings, tokens, clock, log, random.Random())
            addresses = await server.start()
            address_file = config.server.data_dir / "address"
            _replace(address_file, "".join(f"{address}\n" for address in addresses))
            try:
                await ending.wait()
                log.info("draining", grace_s=config.server.drain_grace_s)
                await server.drain(settings.drain_grace_ms / 1000)
            finally:
                address_file.unlink(missing_ok=True)
                await server.stop()
    except (DataDirectoryLocked, JournalError, ListenError, TokenError, OSError) as error:
        raise StartError(str(error)) from error
    log.info("ended")


@contextlib.asynccontextmanager
async def _open(config: GatewayConfig, clock: Clock, log: Any) -> AsyncIterator[tuple[Gateway, Journal]]:
    """The gateway with all its accounts over the locked data directory; closes what it opened, in order."""
    data_dir = config.server.data_dir
    with DataDirectoryLock(data_dir):
        journal = SqliteJournal(
            journal_path(data_dir), secrets.randbits, boot_id(), retention=retention_of(config)
        )
        try:
            gateway = Gateway(
                journal,
                clock,
                _log_of(log),
                lambda command: create_paper_broker(command, clock),
                random.SystemRandom(),
                config.routes,
            )
            connections = ConnectionManager(clock)
            try:
                for account_id, account in config.accounts.items():
                    context = BrokerContext(
                        account_id=account_id,
                        clock=clock,
                        random=random.SystemRandom(),
                        log=log.bind(account=account_id, broker=account.broker).info,
                        connections=connections,
                        metrics=BrokerMetrics(clock),
                        market_of=gateway.market,
                    )
                    try:
                        broker = _made(account, context)
                    except Exception as error:  # noqa: BLE001 - one that cannot start leaves the others alone
                        gateway.absent[account_id] = f"cannot start: {error}"
                        log.error("account cannot start", account=account_id, error=str(error))
                        continue
                    gateway.open_account(account_id, broker, policy_of(account), context.metrics)
                if not gateway.accounts:
                    raise StartError(
                        "\n".join(f"account {name!r} {why}" for name, why in gateway.absent.items())
                    )
                for gap in gateway.routes.gaps():
                    log.warning("route without an account", problem=gap)
                for account_id in market_order(config.accounts):
                    if account_id not in gateway.accounts:
                        continue
                    # A broker that is far away connects while the gateway serves; what is at hand is there first.
                    if gateway.accounts[account_id].broker.keeps_venue:
                        await gateway.tried(account_id)
                await gateway.simulators.restore()
                yield gateway, journal
            finally:
                await gateway.close()
                await connections.close()
        finally:
            journal.close()


def _made(account: AccountConfig, context: BrokerContext) -> AbstractBroker:
    """The broker of an account. Raises `StartError` where its adapter cannot be loaded, or makes none."""
    try:
        return create_broker(account, context)
    except Exception as error:
        # What else an adapter raises may hold what it was given.
        cause = f": {error}" if isinstance(error, ValueError | ImportError) else ""
        raise StartError(
            f"account {context.account_id!r}: its broker {account.broker!r} cannot be made "
            f"({type(error).__name__}{cause}); mend the account's settings, or remove it"
        ) from error


def _log_of(log: Any) -> Callable[..., object]:
    """What the engine logs with: a warning, unless it says another `level`."""

    def write(event: str, *, level: str = "warning", **fields: object) -> None:
        getattr(log, level)(event, **fields)

    return write


def boot_id() -> str:
    """What tells this run of the machine from others; see `SqliteJournal`."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return UNKNOWN_BOOT


def retention_of(config: GatewayConfig) -> Retention:
    """How long events are kept, as the configuration has it."""
    settings = config.server.retention
    return Retention(
        max_age_ns=settings.max_age_days * _NS_PER_DAY or None, max_bytes=settings.max_size_mib * MIB or None
    )


def transport_settings(config: GatewayConfig) -> TransportSettings:
    """The transport's settings as the configuration has them."""
    server = config.server
    return TransportSettings(
        listeners=tuple(_listener(listener) for listener in server.listen),
        client_scopes=server.client_certificates.scopes,
        default_client_scope=server.client_certificates.default_scope,
        reflection=server.reflection,
        drain_grace_ms=server.drain_grace_s * 1000,
        **server.limits.model_dump(),
    )


def _listener(listener: ListenerConfig) -> ListenerSettings:
    tls = listener.tls
    return ListenerSettings(
        address=listener.address,
        tls=None if tls is None else TlsSettings(tls.certificate, tls.key, tls.client_ca),
        insecure=listener.insecure,
    )


def _replace(path: Path, text: str) -> None:
    """Writes `path` so that a reader sees all of it or nothing."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, "utf-8")
    temporary.replace(path)
