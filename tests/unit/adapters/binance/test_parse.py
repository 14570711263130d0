"""Documented answers, read; anything else is malformed."""

from __future__ import annotations

import contextlib
from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.binance import parse
from brokergate.adapters.binance.listing import RateLimit, listing
from brokergate.domain.fills import Liquidity, Money
from brokergate.domain.instruments import InstrumentTradingState
from brokergate.domain.orders import OrderState, OrderType, Side, TimeInForce
from tests.unit.adapters.binance.fixtures import FOLDER, fixture

D = Decimal
WRONG: tuple[Any, ...] = ([], None, 1.5, "x", {})


def test_a_placed_order_with_its_fills() -> None:
    shown = parse.order(fixture("order_full"))
    assert (shown.symbol, shown.order_id, shown.client_id) == ("BTCUSDT", "28", "6gCrw2kRUAF9CvJDGP16IP")
    assert (shown.side, shown.type, shown.state) == (Side.SELL, OrderType.MARKET, OrderState.FILLED)
    assert (shown.quantity, shown.filled, shown.price) == (D(10), D(10), None)
    assert [(fill.trade_id, fill.price, fill.quantity) for fill in shown.fills] == [
        ("56", D(4000), D(1)),
        ("57", D(3999), D(5)),
        ("58", D(3998), D(4)),
    ]
    assert [fill.fees for fill in shown.fills] == [(Money(D(4), "USDT"),), (Money(D("19.995"), "USDT"),), ()]
    assert shown.time_ns == 1507725176595 * 10**6


def test_an_order_that_was_asked_for() -> None:
    shown = parse.order(fixture("order"))
    assert (shown.price, shown.stop_price, shown.force) == (D("0.1"), None, TimeInForce.GTC)
    assert (shown.status, shown.list_id, shown.by_amount) == ("NEW", -1, False)


def test_a_type_of_tomorrow_is_an_order_all_the_same() -> None:
    assert parse.order({**fixture("order"), "type": "OF_TOMORROW"}).type is OrderType.UNSPECIFIED


def test_a_cancel_names_the_order_and_not_itself() -> None:
    assert parse.order(fixture("cancel")).client_id == "myOrder1"


def test_cancelled_orders_of_lists_are_among_the_cancelled() -> None:
    shown = parse.orders(fixture("cancel_open_orders"))
    assert [(one.order_id, one.type, one.list_id) for one in shown] == [
        ("11", OrderType.LIMIT, -1),
        ("20", OrderType.STOP_LIMIT, 1929),
        ("21", OrderType.LIMIT, 1929),
    ]


def test_linked_orders_that_were_placed() -> None:
    shown = parse.listed_orders(fixture("oco"))
    assert [(one.client_id, one.stop_price, one.price) for one in shown] == [
        ("44nZvqpemY7sVYgPYbvPih", D(1), D(1)),
        ("NuMp0nVYnciDiFmVqfpBqK", None, D(3)),
    ]


def test_an_amended_order() -> None:
    assert parse.amended(fixture("amend")) == ("NEW", D(0))


def test_executions() -> None:
    (one,) = parse.executions(fixture("my_trades"))
    assert (one.symbol, one.trade_id, one.order_id, one.side) == ("BNBBTC", 28457, "100234", Side.BUY)
    assert (one.price, one.quantity, one.fees) == (D("4.000001"), D(12), (Money(D("10.1"), "BNB"),))
    assert one.liquidity is Liquidity.TAKER


def test_the_account() -> None:
    seen = parse.account(fixture("account"), 7)
    assert seen.can_trade
    assert seen.taker_rate == D("0.0015")
    litecoin = seen.balances[1]
    assert (litecoin.currency, litecoin.total, litecoin.held, litecoin.as_of_ns) == (
        "LTC",
        D("4763370.18006011"),
        D("1.5"),
        7,
    )


def test_instruments_and_limits() -> None:
    listed = listing(fixture("exchange_info"))
    bitcoin, ether = listed.instruments()
    assert (bitcoin.symbol, bitcoin.broker_symbol) == ("BTC/USDT", "BTCUSDT")
    assert (bitcoin.price_increment, bitcoin.quantity_increment) == (D("0.01"), D("0.00001"))
    assert (bitcoin.min_quantity, bitcoin.max_quantity, bitcoin.min_notional) == (D("0.00001"), D(9000), D(5))
    assert ether.trading_state is InstrumentTradingState.CANCEL_ONLY
    # A tick that is switched off.
    assert (ether.price_increment, ether.min_notional) == (D("0.00000001"), D(0))
    assert listed.limits == [
        RateLimit("REQUEST_WEIGHT", 60, "1M", 6000),
        RateLimit("ORDERS", 10, "10S", 100),
        RateLimit("ORDERS", 86_400, "1D", 200_000),
        RateLimit("RAW_REQUESTS", 300, "5M", 300_000),
    ]
    assert (listed.symbol("BTCUSDT"), listed.symbol("GONEUSDT")) == ("BTC/USDT", "GONEUSDT")
    assert listed.among(frozenset({"BTC", "USDT", "LTC"})) == ["BTCUSDT"]


def test_a_name_that_the_contract_cannot_write_is_left_out() -> None:
    shown = fixture("exchange_info")
    shown["symbols"].append({**shown["symbols"][0], "symbol": "\u5e01USDT", "baseAsset": "\u5e01"})
    assert len(listing(shown).instruments()) == 2


def test_a_state_that_is_new_takes_no_orders() -> None:
    shown = fixture("exchange_info")
    shown["symbols"][0]["status"] = "OF_TOMORROW"
    assert listing(shown).instruments()[0].trading_state is InstrumentTradingState.HALTED


def test_an_order_event() -> None:
    event = parse.order_event(fixture("execution_report_new")["event"])
    assert (event.kind, event.works, event.trade, event.cancel_id) == ("NEW", True, None, "")
    assert event.order.client_id == "mUvoqJxFIILMdfAW5iGSOW"
    cancelled = parse.order_event(fixture("execution_report_canceled")["event"])
    assert (cancelled.order.client_id, cancelled.cancel_id) == ("mUvoqJxFIILMdfAW5iGSOW", "cancelMyOrder1")


def test_an_execution_on_the_stream() -> None:
    event = parse.order_event(fixture("execution_report_trade")["event"])
    assert event.trade is not None
    assert (event.trade.trade_id, event.trade.price, event.trade.quantity) == (77517, D("0.102644"), D("0.4"))
    assert event.trade.fees == (Money(D("0.0004"), "ETH"),)
    assert event.trade.liquidity is Liquidity.MAKER


def test_balances_on_the_stream() -> None:
    (balance,) = parse.balances_event(fixture("outbound_account_position")["event"])
    assert (balance.currency, balance.total, balance.held) == ("ETH", D("10000.5"), D("0.5"))
    assert parse.balance_move(fixture("balance_update")["event"]) == ("BTC", D(100), 1573200697068 * 10**6)


def test_books_and_best_prices() -> None:
    assert parse.depth(fixture("depth")) == (1027024, [(D(4), D(431))], [(D("4.000002"), D(12))])
    assert parse.book_tickers(fixture("book_tickers")) == {
        "LTCBTC": (D(4), D("4.000002")),
        "ETHBTC": (None, None),
    }


@pytest.mark.parametrize("body", [b"<html>Attention Required!</html>", b'{"orderId": 1', b"", b"\xff"])
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(parse.Malformed):
        parse.load(body)


@pytest.mark.parametrize("name", [path.stem for path in FOLDER.glob("*.json")])
def test_whatever_a_fixture_lacks_is_malformed_and_nothing_else(name: str) -> None:
    """Each field of each documented answer, left out or of another kind: read all the same, or `Malformed`."""
    readers: list[Any] = [
        parse.order,
        parse.orders,
        parse.listed_orders,
        parse.amended,
        parse.executions,
        lambda shown: parse.account(shown, 0),
        listing,
        parse.order_event,
        parse.balances_event,
        parse.balance_move,
        parse.depth,
        parse.book_tickers,
    ]
    shown = fixture(name)
    if isinstance(shown, dict) and "event" in shown:
        shown = shown["event"]
    first = shown[0] if isinstance(shown, list) else shown
    for field in first:
        for wrong in WRONG:
            broken = {**first, field: wrong}
            for read in readers:
                for given in (broken, [broken]):
                    with contextlib.suppress(parse.Malformed):
                        read(given)
