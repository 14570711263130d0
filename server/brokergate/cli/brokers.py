"""`brokergate brokers`: which there are, and what an account's credentials may do. Places nothing, changes nothing.

Exit status of `test`: 0 every account answered and may be read; 1 one did not, or does not take orders though it is
configured to; 2 wrong usage, or a configuration that cannot be used.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from typing import Annotated, TypeVar

import typer

from brokergate.adapters.registry import BROKERS, BrokerRegistry, UnknownBrokerError
from brokergate.cli.failure import Failure
from brokergate.cli.options import ConfigFiles, configuration
from brokergate.config import AccountConfig, ConfigError, Overrides
from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    BrokerTimeoutError,
    ExchangeMaintenanceError,
    RateLimitError,
    TemporaryConnectionError,
)
from brokergate.domain.money import normal
from brokergate.ports.broker import AbstractBroker

app = typer.Typer(no_args_is_help=True)
T = TypeVar("T")

_WAYS_OUT: Mapping[type[BrokerError], str] = {
    AuthenticationError: "check the credentials, that they are of the account's environment, that they have not "
    "expired, and that the broker lets them in from this machine's address",
    AccountSuspendedError: "ask the broker; nothing can be done from here",
    ExchangeMaintenanceError: "try again when the broker has ended its maintenance",
    RateLimitError: "try again in some minutes; others may be using the same key or address",
    BrokerTimeoutError: "try again, or set a longer connection.request_timeout_ms",
    TemporaryConnectionError: "check the network and, if they are set, the addresses in the broker's own section",
}
"""What to do about each class of error, where the error itself does not say."""


@app.command("list")
def list_() -> None:
    """List the brokers that an account may name: our own, and those that installed packages bring."""
    for name in BrokerRegistry.names():
        try:
            kind = BROKERS[name]
        except UnknownBrokerError as error:
            print(f"{name:12}{error}")
            continue
        worlds = ", ".join(world.name.lower() for world in kind.environments)
        print(f"{name:12}{worlds:24}{kind.takes()}".rstrip())


@app.command("test")
def try_(
    accounts: Annotated[
        list[str],
        typer.Argument(
            metavar="ACCOUNT...", help="Of the configuration; or a broker's name, for its default account."
        ),
    ],
    config: ConfigFiles = [],  # noqa: B006, typer copies it
    timeout: Annotated[float, typer.Option(min=1, max=600, help="Seconds for one account.")] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """Connect to brokers, read only, and say what the credentials may do and how the accounts stand."""
    configured = _accounts(config)
    failed = 0
    for account_id in accounts:
        try:
            report = asyncio.run(_tried(account_id, configured, timeout))
        except (BrokerError, ValueError, OSError, TimeoutError) as error:
            failed += 1
            print(f"brokergate: {_told(account_id, error, timeout)}", file=sys.stderr)
            continue
        failed += report["orders"] == REFUSED
        if as_json:
            print(json.dumps(report))
        else:
            print(
                "\n".join(
                    f"{name:{LABEL}}{_line(value, SENTENCES if name == 'warnings' else ', ')}"
                    for name, value in report.items()
                    if value not in ("", [])
                )
            )
        if report["orders"] == REFUSED:
            print(
                f"brokergate: account {account_id!r}: its trading is enabled, and the broker takes no orders "
                "with these credentials; permit them to trade at the broker, or set trading.enabled: false",
                file=sys.stderr,
            )
    if failed:
        raise typer.Exit(1)


REFUSED = "refused by the broker"


def _accounts(files: ConfigFiles) -> Mapping[str, AccountConfig]:
    """The accounts of the configuration; without files there are default accounts alone."""
    if not files:
        return {}
    try:
        return configuration(files, Overrides()).accounts
    except ConfigError as error:
        raise Failure(f"the configuration cannot be used\n{error}", 2) from None


async def _tried(
    account_id: str, configured: Mapping[str, AccountConfig], timeout_s: float
) -> dict[str, object]:
    """What an account is. Raises a `BrokerError`, `ValueError`, `OSError` or `TimeoutError`."""
    # What trades is loaded here: `brokers list` does without.
    from brokergate.adapters.factory import BrokerFactory

    async with (
        asyncio.timeout(timeout_s),
        BrokerFactory(accounts=_read_only(configured), trading_enabled=False) as factory,
    ):
        enabled = configured[account_id].trading_enabled if account_id in configured else None
        broker = await factory.create_broker(account_id)
        return await _report(account_id, factory.account(account_id).broker, broker, enabled)


def _read_only(configured: Mapping[str, AccountConfig]) -> dict[str, AccountConfig | Mapping[str, object]]:
    return {
        account_id: account.model_copy(
            update={"trading": account.trading.model_copy(update={"enabled": False})}
        )
        for account_id, account in configured.items()
    }


async def _report(
    account_id: str, name: str, broker: AbstractBroker, enabled: bool | None
) -> dict[str, object]:
    """Everything that is read, each by a query of its own."""
    access = await broker.check_access()
    info = await broker.get_account_info()
    balances = await broker.get_balances()
    positions = await broker.get_positions()
    open_orders = await broker.list_open_orders()
    instruments = await broker.list_instruments()
    return {
        "account": account_id,
        "broker": name,
        "environment": broker.environment.name.lower(),
        "orders": _orders(enabled, access.may_trade),
        "permissions": list(access.permissions),
        "clock offset": ""
        if access.clock_offset_ns is None
        else f"{round(access.clock_offset_ns / 1e6):+d} ms",
        "cash": f"{normal(info.cash):f} {info.base_currency}",
        "buying power": f"{normal(info.buying_power):f} {info.base_currency}",
        "equity": "" if info.equity is None else f"{normal(info.equity):f} {info.base_currency}",
        "balances": [
            f"{normal(balance.total):f} {balance.currency}" for balance in balances if balance.total
        ],
        "positions": [
            f"{normal(position.quantity):f} {position.symbol}" for position in positions if position.quantity
        ],
        "open orders": len(open_orders),
        "instruments": len(instruments),
        "order types": sorted(kind.name.lower() for kind in broker.capabilities.order_types),
        "warnings": list(access.warnings),
    }


def _orders(enabled: bool | None, may_trade: bool | None) -> str:
    """Whether a gateway of this configuration would take orders for the account."""
    if may_trade is False:
        return REFUSED if enabled else "not taken by the broker"
    if enabled is False:
        return "not taken: trading.enabled is false"
    return "taken" if may_trade else "taken, unless the broker says otherwise"


LABEL = 13
"""Columns that a value's name takes."""
SENTENCES = "\n" + " " * LABEL
"""What parts sentences, which have commas of their own: a line for each."""


def _line(value: object, between: str) -> str:
    """A value as it is printed; of a long list its beginning."""
    if not isinstance(value, list):
        return str(value)
    shown = between.join(map(str, value[:MAX_LISTED]))
    return shown if len(value) <= MAX_LISTED else f"{shown} and {len(value) - MAX_LISTED} more"


MAX_LISTED = 20
"""Items that a line lists."""


def _told(account_id: str, error: Exception, timeout_s: float) -> str:
    """The account, the cause and the way out."""
    if isinstance(error, TimeoutError):
        cause = (
            f"the broker did not answer within {timeout_s:g} s; check the network, or set a longer --timeout"
        )
    else:
        cause = str(error) or type(error).__name__
    if repr(account_id) not in cause:
        cause = f"account {account_id!r}: {cause}"
    if "; " in cause and isinstance(error, AuthenticationError | AccountSuspendedError | ValueError):
        # The adapter knows better what to do about it.
        return cause
    way_out = next((way for kind, way in _WAYS_OUT.items() if isinstance(error, kind)), "")
    return f"{cause}; {way_out}" if way_out else cause
