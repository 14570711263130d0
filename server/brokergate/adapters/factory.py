"""Brokers in one's own process, without the gateway: `await BrokerFactory().create_broker("alpaca")`.

What the gateway adds (the journal, law 2 over restarts, limits, the emergency stop) is not here.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from brokergate.adapters.connection.manager import ConnectionManager
from brokergate.adapters.context import BrokerContext
from brokergate.adapters.read_only import ReadOnlyBroker
from brokergate.adapters.registry import BROKERS, BrokerRegistry, UnknownBrokerError, create_broker
from brokergate.config import AccountConfig, gateway_model, load_config
from brokergate.config.brokers import WORDS, BrokerKind
from brokergate.credentials import BrokerCredentials, CredentialsError
from brokergate.credentials.keyrings import read_if_any
from brokergate.credentials.lookup import Lookup
from brokergate.domain.accounts import Environment
from brokergate.domain.errors import BrokerError
from brokergate.ports.broker import AbstractBroker, RestoredState
from brokergate.ports.clock import Clock, SystemClock
from brokergate.resilience import BrokerMetrics

NOTHING_KNOWN = RestoredState((), (), (), 0, 0)
"""What a broker without a journal begins from."""
_log = logging.getLogger("brokergate")


class BrokerFactory:
    """Makes connected brokers that share sessions and rate budgets. `close`, or `async with`, ends them all."""

    def __init__(
        self,
        credentials: BrokerCredentials | None = None,
        *,
        accounts: Mapping[str, AccountConfig | Mapping[str, object]] | None = None,
        trading_enabled: bool | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        log: Callable[..., object] | None = None,
    ) -> None:
        """`credentials` are for accounts without their own, and for the default accounts of brokers; by default
        `BrokerCredentials()`. `accounts` are as in `brokergate.yaml`, by their ids. `trading_enabled` says for default
        accounts what `trading.enabled` says for the others: by default a live one is only read."""
        self._credentials = credentials
        self._accounts = dict(accounts or {})
        self._trading_enabled = trading_enabled
        self._clock = clock or SystemClock()
        self._rng = rng or random.SystemRandom()
        self._log = log or _logged
        self._connections: ConnectionManager | None = None
        self._brokers: list[AbstractBroker] = []

    @classmethod
    def of_files(cls, *files: Path, credentials: BrokerCredentials | None = None) -> BrokerFactory:
        """For the accounts of configuration files, as `brokergate serve` reads them. Raises `ConfigError`."""
        config = load_config(files, brokers=BROKERS, environment=os.environ, keyring=read_if_any)
        return cls(credentials, accounts=config.accounts)

    async def __aenter__(self) -> BrokerFactory:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def create_broker(self, name: str) -> AbstractBroker:
        """The broker of the account `name`, or of the default account of the broker of that name: connected, with the
        venue's word that the credentials are good. One that is only read refuses orders with TRADING_DISABLED.

        Raises `UnknownBrokerError` for a name that is neither, `CredentialsError` and `ValueError` for a configuration
        that cannot be used, and a `BrokerError` where the venue refuses or cannot be reached."""
        account = self.account(name)
        self._connections = self._connections or ConnectionManager(self._clock)
        context = BrokerContext(
            account_id=name,
            clock=self._clock,
            random=self._rng,
            log=self._log,
            connections=self._connections,
            metrics=BrokerMetrics(self._clock),
        )
        broker = create_broker(account, context)
        if not account.trading_enabled:
            broker = ReadOnlyBroker(
                broker, f"account {name!r} is only read; set trading.enabled: true, or trading_enabled=True"
            )
        try:
            await broker.connect(NOTHING_KNOWN)
        except BaseException as error:
            await broker.close()
            if isinstance(error, BrokerError) and repr(name) not in str(error):
                world = account.environment.name.lower()
                error.args = (f"account {name!r} ({account.broker}, {world}): {error}",)
            raise
        self._brokers.append(broker)
        return broker

    def account(self, name: str) -> AccountConfig:
        """The configuration of an account, or of a broker's default account, complete. Raises as `create_broker`."""
        configured = self._accounts.get(name)
        if configured is None and name not in BROKERS:
            known = ", ".join(sorted({*self._accounts, *BROKERS}))
            raise UnknownBrokerError(f"no account and no broker {name!r}; there are {known}")
        if isinstance(configured, AccountConfig):
            return self._with_credentials(name, configured)
        settings: dict[str, object] = {"broker": name} if configured is None else dict(configured)
        kind = BrokerRegistry.get(str(settings.get("broker")))
        settings.setdefault("environment", self._environment(kind, is_default=configured is None))
        settings.setdefault(kind.name, self._known().address(kind.name) if configured is None else {})
        if configured is None and self._trading_enabled is not None:
            settings["trading"] = {"enabled": self._trading_enabled}
        try:
            config = gateway_model({kind.name: kind}).model_validate({"accounts": {name: settings}})
        except ValidationError as error:
            # Without the input, which may hold credentials.
            wrong = "; ".join(
                f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"
                for found in error.errors(include_url=False, include_input=False, include_context=False)
            )
            raise ValueError(wrong) from None
        return self._with_credentials(name, config.accounts[name])

    def _environment(self, kind: BrokerKind, *, is_default: bool) -> str:
        """The environment of an account that names none: a default account's is what its switch says."""
        live = is_default and self._known().is_live(kind.name) and Environment.LIVE in kind.environments
        return (Environment.LIVE if live else kind.environments[0]).name.lower()

    def _known(self) -> BrokerCredentials:
        if self._credentials is None:
            self._credentials = BrokerCredentials()
        return self._credentials

    def _with_credentials(self, name: str, account: AccountConfig) -> AccountConfig:
        """`account` with what its broker wants to see, and in an environment that it has."""
        kind = BrokerRegistry.get(account.broker)
        world = account.environment.name.lower()
        if account.environment not in kind.environments:
            worlds = " or ".join(word for word in WORDS if WORDS[word] in kind.environments)
            raise ValueError(f"account {name!r}: {world} is no environment of {kind.name}; write {worlds}")
        found: Mapping[str, object] = account.credentials
        if not found and kind.credential_names:
            try:
                taken = Lookup(self._known()).find(
                    name, kind.name, kind.credential_names, account.environment
                )
            except CredentialsError as error:
                raise CredentialsError(f"account {name!r} {error}") from None
            if taken is not None:
                found = taken.secrets()
                account = account.model_copy(update={"credentials": found})
        if lacking := kind.lacking(found):
            raise CredentialsError(
                f"account {name!r} lacks {' and '.join(lacking)}; {kind.name} takes {kind.takes()}: docs/credentials.md"
            )
        try:
            kind.check_credentials(account.credentials)
        except ValueError as error:
            raise CredentialsError(f"account {name!r}: credentials {error}") from None
        return account

    async def close(self) -> None:
        """Closes every broker that was made, and the connections that they shared."""
        brokers, self._brokers = self._brokers, []
        for broker in brokers:
            await broker.close()
        if self._connections is not None:
            await self._connections.close()
            self._connections = None


def _logged(event: str, **values: object) -> None:
    """The standard library's log, for programs that have not set up one of their own."""
    _log.info("%s %s", event, values)
