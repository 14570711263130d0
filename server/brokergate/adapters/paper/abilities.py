"""What the paper venue can do."""

from __future__ import annotations

from dataclasses import replace

from brokergate.domain.capabilities import Capabilities, ReplaceSupport
from brokergate.domain.orders import SelfTradePrevention, TimeInForce
from brokergate.sim.intake import FORCES, SOURCES

CAPABILITIES = Capabilities(
    order_types=FORCES,
    replace=ReplaceSupport.ATOMIC,
    default_time_in_force=TimeInForce.GTC,
    native_oco=True,
    native_bracket=True,
    native_idempotency=True,
    absence_after_ms=0,
    post_only=True,
    reduce_only=True,
    quote_quantity=True,
    display_quantity=True,
    trigger_sources=SOURCES,
    self_trade_prevention=(
        SelfTradePrevention.CANCEL_MAKER,
        SelfTradePrevention.CANCEL_TAKER,
        SelfTradePrevention.CANCEL_BOTH,
    ),
    streams_quotes=True,
    streams_trades=True,
    streams_book=True,
    short_selling=True,
)
"""What the paper venue does. AT_OPEN and AT_CLOSE need hours with auctions, which the order's instrument may lack. An
order that says nothing of self-trade prevention gets the first way of it."""

ACROSS_A_LINE = replace(CAPABILITIES, replays_fills=True)
"""The same, where the gateway may miss something. What is under way to the venue is known to be, so that its silence
about an order proves at once that it never had it."""
