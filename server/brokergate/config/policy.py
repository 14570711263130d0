"""What an account's settings mean to the engine."""

from __future__ import annotations

from typing import Final

from brokergate.config.accounts import AccountConfig, Ownership, TradingConfig, WhenDisconnected
from brokergate.domain.policy import AccountPolicy

QUEUE_MAX_AGE_S: Final = 60
"""How long an order is held where the settings say `queue` and not for how long."""

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000


def policy_of(account: AccountConfig) -> AccountPolicy:
    """What the account may do, as the engine takes it. A paper account made at run time has `AccountPolicy()`: it
    trades, rejects what comes while it is away, is shared, stops by nobody's but a caller's word, has no limits, and
    survives the process."""
    return AccountPolicy(
        trading_enabled=account.trading_enabled,
        queue_max_age_ns=_queue_max_age_ns(account.trading),
        exclusive=account.ownership is Ownership.EXCLUSIVE,
        stop_on=frozenset(account.trading.stop_on),
        durable=account.durable,
        risk=account.risk_limits.policy(),
        poll_interval_ns=account.connection.poll_interval_ms * _NS_PER_MS,
        quiet_period_ns=account.connection.quiet_period_ms * _NS_PER_MS,
        reconnect_max_ns=account.connection.reconnect_max_ms * _NS_PER_MS,
    )


def _queue_max_age_ns(trading: TradingConfig) -> int | None:
    if trading.when_disconnected is not WhenDisconnected.QUEUE:
        return None
    age_s = QUEUE_MAX_AGE_S if trading.queue_max_age_s is None else trading.queue_max_age_s
    return age_s * _NS_PER_S
