"""What Binance spot can do.

Sources: rest-api.md ("New order"), enums.md and the faqs on self-trade prevention, trailing stops and amendments
of binance/binance-spot-api-docs.
"""

from __future__ import annotations

from dataclasses import replace

from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.orders import OrderType, SelfTradePrevention, TimeInForce, TriggerSource

_GTC, _IOC, _FOK = TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK
ENGINE_TIMEOUT_MS = 10_000
"""For so long Binance waits for its matching engine (-1007); what was passed to it in time may come about until
then."""
MARGIN_MS = 1_000
"""For a timestamp that was ahead: Binance takes up to a second."""

CAPABILITIES = Capabilities(
    order_types={
        # A MARKET order has no time in force there, and its rest ends at once.
        OrderType.MARKET: frozenset({_IOC}),
        OrderType.LIMIT: frozenset({_GTC, _IOC, _FOK}),
        OrderType.STOP: frozenset({_GTC}),
        OrderType.STOP_LIMIT: frozenset({_GTC, _IOC, _FOK}),
        OrderType.MARKET_IF_TOUCHED: frozenset({_GTC}),
        OrderType.LIMIT_IF_TOUCHED: frozenset({_GTC, _IOC, _FOK}),
        OrderType.TRAILING_STOP: frozenset({_GTC}),
    },
    replace=ReplaceSupport.CANCEL_NEW,
    default_time_in_force=_GTC,
    native_oco=True,
    native_bracket=True,
    # A client id is refused a second time only while the first order is open.
    native_idempotency=False,
    post_only=True,
    quote_quantity=True,
    display_quantity=True,
    trigger_sources=(TriggerSource.LAST,),
    self_trade_prevention=(
        SelfTradePrevention.CANCEL_TAKER,
        SelfTradePrevention.CANCEL_MAKER,
        SelfTradePrevention.CANCEL_BOTH,
    ),
    replays_fills=True,
    streams_quotes=True,
    streams_trades=True,
    streams_book=True,
    # A trailing stop follows by a share of the price.
    trails_by_amount=False,
)
"""Without the time after which absence is proven, which goes by the account's receive window."""


def capabilities(recv_window_ms: int) -> Capabilities:
    """What an account can do. An order is refused that reaches Binance later than its window, looked at again before
    the matching engine; so that a query that begins later than that, and than the engine's own time, shows it or it
    never was."""
    return replace(CAPABILITIES, absence_after_ms=recv_window_ms + ENGINE_TIMEOUT_MS + MARGIN_MS)
