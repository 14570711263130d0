"""What the gateway looks up of an account, and the refusals where there is nothing to find."""

from __future__ import annotations

from brokergate.domain.accounts import ConnectionState, TradingState
from brokergate.domain.errors import ErrorReason, GatewayError, shorten
from brokergate.engine.account import Account
from brokergate.engine.shown import info_of
from brokergate.engine.views import AccountView, TradingView
from brokergate.ports.broker import SimulatedVenue


def simulated_venue(account: Account) -> SimulatedVenue:
    """The account's paper venue; NOT_A_PAPER_ACCOUNT for an account at a real broker."""
    if not isinstance(account.broker, SimulatedVenue):
        raise GatewayError(
            ErrorReason.NOT_A_PAPER_ACCOUNT,
            f"account {account.account_id!r} is at {account.broker.name!r}; only a paper account can do this",
        )
    return account.broker


def no_position(account_id: str, symbol: str) -> GatewayError:
    """POSITION_NOT_FOUND."""
    return GatewayError(
        ErrorReason.POSITION_NOT_FOUND, f"account {account_id!r} holds no position in {shorten(symbol)!r}"
    )


def trading_view(account: Account) -> TradingView:
    """Whether the account takes new orders, and why not."""
    state, reason, since_ns = TradingState.ACTIVE, "", account.connection.since_ns
    stop = account.control.stop
    if not account.policy.trading_enabled:
        state, reason = TradingState.READ_ONLY, "trading.enabled is false"
    elif stop is not None:
        state, reason, since_ns = TradingState.STOPPED, stop.reason, stop.since_ns
    elif account.journal.failed is not None:
        state, reason = TradingState.PAUSED, "the journal cannot be written"
    elif account.connection.state is not ConnectionState.CONNECTED:
        state, reason = TradingState.PAUSED, f"the broker is {account.connection.state.name}"
    return TradingView(
        account.account_id,
        state,
        reason,
        since_ns,
        "" if stop is None else stop.operation_id,
        account.control.frozen(account.unprovable),
    )


async def account_view(account: Account) -> AccountView:
    """The account with its figures."""
    info = await info_of(account)
    return AccountView(
        account_id=account.account_id,
        broker=account.broker.name,
        environment=account.broker.environment,
        trading_enabled=account.policy.trading_enabled,
        info=info.value,
        stale=info.stale,
    )
