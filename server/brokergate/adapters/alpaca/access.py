"""What a key may do at Alpaca, by the account's own flags (alpaca-py `TradeAccount`), and how far its clock is."""

from __future__ import annotations

from typing import Any

from brokergate.adapters.alpaca import wire
from brokergate.adapters.alpaca.client import AlpacaClient
from brokergate.adapters.alpaca.values import flag, mapping, text, time_ns
from brokergate.ports.broker import AccessReport
from brokergate.ports.clock import Clock


async def access(client: AlpacaClient, clock: Clock) -> AccessReport:
    """Asks for both. Raises a `BrokerError`."""
    report = await client.ask(wire.ACCOUNT, _account)
    sent_ns = clock.now_ns()
    venue_ns = await client.ask(wire.CLOCK, _clock)
    offset_ns = venue_ns - (sent_ns + clock.now_ns()) // 2
    return AccessReport(report.may_trade, report.permissions, report.warnings, offset_ns)


def _account(answer: Any) -> AccessReport:
    fields = mapping(answer, "the account")
    status, crypto = text(fields, "status"), text(fields, "crypto_status", "")
    blocked = [
        name
        for name in ("account_blocked", "trading_blocked", "trade_suspended_by_user", "transfers_blocked")
        if flag(fields, name)
    ]
    permissions = [f"stocks: {status}", *([f"crypto: {crypto}"] if crypto else [])]
    if flag(fields, "shorting_enabled"):
        permissions.append("short selling")
    may_trade = status == "ACTIVE" and not set(blocked) - {"transfers_blocked"}
    return AccessReport(may_trade, permissions, blocked)


def _clock(answer: Any) -> int:
    return time_ns(mapping(answer, "the clock").get("timestamp"), "the clock's time")
