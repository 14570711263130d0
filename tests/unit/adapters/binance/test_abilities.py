"""What Binance can do, pinned: a change of this table is a change of what users are promised."""

from __future__ import annotations

import pytest

from brokergate.adapters.binance.abilities import capabilities
from brokergate.domain.capabilities import ReplaceSupport
from brokergate.domain.orders import OrderType, SelfTradePrevention, TriggerSource

FORCES = {
    "MARKET": {"IOC"},
    "LIMIT": {"GTC", "IOC", "FOK"},
    "STOP": {"GTC"},
    "STOP_LIMIT": {"GTC", "IOC", "FOK"},
    "TRAILING_STOP": {"GTC"},
    "MARKET_IF_TOUCHED": {"GTC"},
    "LIMIT_IF_TOUCHED": {"GTC", "IOC", "FOK"},
}
FLAGS = {
    "native_oco": True,
    "native_bracket": True,
    "native_idempotency": False,
    "post_only": True,
    "reduce_only": False,
    "quote_quantity": True,
    "display_quantity": True,
    "extended_hours": False,
    "replays_fills": True,
    "streams_quotes": True,
    "streams_trades": True,
    "streams_book": True,
    "short_selling": False,
    "trails_by_amount": False,
}


def test_order_types_with_their_times_in_force() -> None:
    shown = {
        kind.name: {force.name for force in forces} for kind, forces in capabilities(5000).order_types.items()
    }
    assert shown == FORCES
    assert set(shown) == {kind.name for kind in OrderType if kind}


@pytest.mark.parametrize("flag", FLAGS)
def test_flags(flag: str) -> None:
    assert getattr(capabilities(5000), flag) is FLAGS[flag]


def test_the_rest() -> None:
    able = capabilities(5000)
    assert able.replace is ReplaceSupport.CANCEL_NEW
    assert able.trigger_sources == (TriggerSource.LAST,)
    assert set(able.self_trade_prevention) == {way for way in SelfTradePrevention if way}
    assert able.broker_options == frozenset()


@pytest.mark.parametrize(("window_ms", "absence_ms"), [(5000, 16_000), (1000, 12_000), (60_000, 71_000)])
def test_absence_is_proven_after_the_window_and_the_matching_engine(window_ms: int, absence_ms: int) -> None:
    assert capabilities(window_ms).absence_after_ms == absence_ms
