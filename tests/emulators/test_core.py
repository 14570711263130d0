"""The account and market that every emulator has."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side, TimeInForce
from tests.emulators.core import VenueCore
from tests.emulators.orders import Ended, Filled, Happening, MarketTraded, Placed, Refused, Triggered

NOW = 1_800_000_000_000_000_000
RATE = Decimal("0.001")
SYMBOL = "BTC/USDT"
BTC = Instrument(
    symbol=SYMBOL,
    broker_symbol="BTCUSDT",
    kind=InstrumentKind.SPOT,
    base_currency="BTC",
    quote_currency="USDT",
    price_increment=Decimal("0.01"),
    quantity_increment=Decimal("0.00001"),
)


def core(**balances: str) -> tuple[VenueCore, list[Happening]]:
    """A venue with a book of one level a side, and what happens there."""
    money = {name: Decimal(amount) for name, amount in (balances or {"USDT": "1000", "BTC": "2"}).items()}
    venue = VenueCore([BTC], money, NOW, taker_rate=RATE, maker_rate=RATE)
    venue.show("BTCUSDT", [(Decimal(99), Decimal(1))], [(Decimal(101), Decimal(1))], NOW)
    happened: list[Happening] = []
    venue.listeners.append(happened.append)
    return venue, happened


def limit(side: Side, quantity: str, price: str, force: TimeInForce = TimeInForce.GTC) -> OrderSpec:
    return OrderSpec(
        SYMBOL, side, OrderType.LIMIT, Decimal(quantity), limit_price=Decimal(price), time_in_force=force
    )


def test_a_taker_pays_its_fee_in_what_it_receives() -> None:
    venue, happened = core()
    order = venue.place(limit(Side.BUY, "1", "101"), Decimal(1), NOW)
    assert order.state is OrderState.FILLED
    assert venue.totals == {"BTC": Decimal("2.999"), "USDT": Decimal(899)}
    assert [type(each) for each in happened[:3]] == [Placed, Filled, MarketTraded]


def test_a_resting_order_locks_what_it_needs_and_no_more() -> None:
    venue, _ = core()
    order = venue.place(limit(Side.BUY, "5", "100"), Decimal(5), NOW)
    assert venue.locked("USDT") == 500
    venue.trade("BTCUSDT", Decimal(100), Decimal(2), "sell", NOW)
    assert order.cum_quantity == 2
    assert venue.locked("USDT") == 300
    assert venue.totals["USDT"] == 800
    venue.cancel(order, NOW)
    assert venue.free("USDT") == 800


def test_an_order_that_the_account_cannot_pay_is_refused_and_leaves_no_trace() -> None:
    venue, happened = core()
    with pytest.raises(Refused) as refused:
        venue.place(limit(Side.BUY, "50", "100"), Decimal(50), NOW)
    assert refused.value.reason is ErrorReason.INSUFFICIENT_FUNDS
    assert not venue.orders
    assert not happened


def test_orders_that_share_a_lock_group_lock_the_most_of_one() -> None:
    venue, _ = core()
    for price in ("150", "160"):
        venue.place(limit(Side.SELL, "2", price), Decimal(2), NOW, lock_group=1)
    assert venue.locked("BTC") == 2


def test_a_fill_or_kill_that_cannot_be_filled_is_taken_and_expires() -> None:
    venue, happened = core()
    order = venue.place(limit(Side.BUY, "3", "101", TimeInForce.FOK), Decimal(3), NOW)
    assert order.state is OrderState.EXPIRED
    assert not order.executions
    assert [type(each) for each in happened[:2]] == [Placed, Ended]


def test_what_is_shown_again_is_there_again() -> None:
    venue, _ = core(USDT="100000")
    for _ in range(2):
        order = venue.place(limit(Side.BUY, "1", "101", TimeInForce.IOC), Decimal(1), NOW)
        assert order.state is OrderState.FILLED
        venue.show("BTCUSDT", [(Decimal(99), Decimal(1))], [(Decimal(101), Decimal(1))], NOW)


def test_the_account_s_own_trade_sets_its_stop_off() -> None:
    venue, happened = core()
    stop = OrderSpec(
        SYMBOL, Side.SELL, OrderType.STOP_LIMIT, limit_price=Decimal(90), stop_price=Decimal("99.5")
    )
    venue.trade("BTCUSDT", Decimal(100), Decimal(1), "buy", NOW)
    waiting = venue.place(stop, Decimal(1), NOW)
    venue.place(OrderSpec(SYMBOL, Side.SELL, OrderType.MARKET), Decimal("0.5"), NOW)
    assert waiting.triggered
    assert any(isinstance(each, Triggered) for each in happened)
    assert waiting.cum_quantity == Decimal("0.5")


def test_fills_of_others_come_whatever_the_book_shows() -> None:
    venue, _ = core()
    order = venue.add_fill("BTCUSDT", Side.SELL, Decimal(1), Decimal(500), NOW)
    assert order.external
    assert order.state is OrderState.FILLED
    assert venue.totals["BTC"] == 1
    assert venue.totals["USDT"] == Decimal("1499.5")
