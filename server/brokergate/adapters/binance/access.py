"""What a key may do at Binance.

`account` tells of the account alone: what the key may do shows only where something is tried. `order/test` asks for the
permission to trade and places nothing (rest-api.md, "Test new order"; "Request Security").
"""

from __future__ import annotations

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import Refusal
from brokergate.adapters.binance.desk import Desk
from brokergate.domain.errors import AuthenticationError
from brokergate.domain.money import format_decimal
from brokergate.ports.broker import AccessReport


async def access(desk: Desk) -> AccessReport:
    """Asks for both. Raises a `BrokerError`."""
    account = parse.account(await desk.client.ask(wire.account()), desk.clock.now_ns())
    warnings = [] if account.can_trade else ["Binance lets the account not trade (canTrade is false)"]
    refused = await _refused(desk)
    if refused:
        warnings.append(refused)
    return AccessReport(not warnings, account.permissions, warnings, desk.client.offset.offset_ns)


async def _refused(desk: Desk) -> str:
    """Why the key may not place orders; empty where it may."""
    listed = desk.listing.instruments()
    if not listed:
        return ""
    instrument = listed[0]
    quantity = max(instrument.quantity_increment, instrument.min_quantity)
    order = [("symbol", instrument.broker_symbol), ("side", "BUY"), ("type", "MARKET")]
    try:
        await desk.client.command(wire.test([*order, ("quantity", format_decimal(quantity))]))
    except Refusal as refusal:
        if issubclass(refusal.meaning.error, AuthenticationError):
            return refusal.message
        if not refusal.meaning.sure:
            raise refusal.error() from None
        # Whatever else is wrong with the order, it was looked at.
    return ""
