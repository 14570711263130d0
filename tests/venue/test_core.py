"""The judged venue, by cases that were worked out by hand.

The book is pushed: AAPL, a tick of 0.01, a lot of 1; asks 100 at 10.00 and 100 at 10.01, bids 100 at 9.99.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.domain.values import changed
from brokergate.ports.broker import Accepted, FillReport, OrderReport, Rejected, ReplaceCommand
from brokergate.sim.market import BookSnapshot, TradeUpdate
from tests.venue import log
from tests.venue.core import JudgedVenue, VenueRules
from tests.venue.log import Entry, EntryKind

AAPL = Instrument(
    symbol="AAPL",
    broker_symbol="AAPL",
    kind=InstrumentKind.EQUITY,
    base_currency="",
    quote_currency="USD",
    price_increment=Decimal("0.01"),
    quantity_increment=Decimal(1),
)
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def opened(**rules: Any) -> JudgedVenue:
    venue = JudgedVenue([AAPL], START, VenueRules(**rules))
    venue.apply([BookSnapshot(START, "AAPL", ((999, 100),), ((1000, 100), (1001, 100)))])
    return venue


def order(name: str, side: Side = Side.BUY, quantity: str = "10", limit: str | None = None) -> Order:
    spec = OrderSpec(
        symbol="AAPL",
        side=side,
        type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        quantity=Decimal(quantity),
        limit_price=None if limit is None else Decimal(limit),
        time_in_force=TimeInForce.GTC,
    )
    return Order(
        order_id=f"o-{name}",
        client_order_id=name,
        account_id="a",
        spec=spec,
        quantity=Decimal(quantity),
        state=OrderState.PENDING_NEW,
        create_time_ns=START,
        update_time_ns=START,
    )


def trade(lots: int, ticks: int, at_ns: int) -> TradeUpdate:
    return TradeUpdate(at_ns, "AAPL", ticks, lots, -1)


def test_a_market_order_is_told_as_acknowledged_and_then_filled_level_by_level() -> None:
    """150 lots take 100 at 10.00 and 50 at 10.01, at 0.05 % each: 0.50 and 0.25025, rounded to cents."""
    venue = opened()
    position = venue.position
    outcome = venue.place(order("a", quantity="150"), START + 1)
    reports, after = venue.events_after(position, 100)
    told = [report for report in reports if isinstance(report, OrderReport | FillReport)]
    assert outcome == Accepted("P1")
    assert [(report.client_order_id, report.broker_order_id) for report in told] == [("a", "P1")] * 3
    assert isinstance(told[0], OrderReport)
    assert told[0].event is OrderEventType.ACKNOWLEDGED
    filled = [
        (report.quantity, report.price, report.fees[0].amount)
        for report in told
        if isinstance(report, FillReport)
    ]
    assert filled == [
        (Decimal(100), Decimal("10.00"), Decimal("0.5")),
        (Decimal(50), Decimal("10.01"), Decimal("0.25")),
    ]
    assert venue.events_after(after, 100) == ([], after)


def test_the_same_client_order_id_twice_is_two_orders_and_the_log_shows_it() -> None:
    """By default nothing is refused: who sends twice, buys twice."""
    venue = opened()
    venue.place(order("a"), START + 1)
    venue.place(order("b"), START + 2)
    assert log.sent_twice(venue.log) == []
    venue.place(order("a"), START + 3)
    assert log.sent_twice(venue.log) == [("a", 1)]
    assert log.held(venue.log) == {"AAPL": Decimal(30)}


def test_a_venue_that_knows_client_ids_refuses_the_second_order_and_still_logs_the_request() -> None:
    venue = opened(refuse_duplicates=True)
    venue.place(order("a"), START + 1)
    outcome = venue.place(order("a"), START + 2)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.CLIENT_ORDER_ID_REUSED
    assert log.sent_twice(venue.log) == [("a", 1)]
    assert log.held(venue.log) == {"AAPL": Decimal(10)}


def test_an_order_is_found_for_ever_by_either_id_and_in_its_last_state() -> None:
    venue = opened()
    venue.place(order("resting", limit="9.50"), START + 1)
    venue.place(order("gone", limit="9.50"), START + 1)
    venue.place(order("filled"), START + 1)
    venue.cancel(order("gone"), START + 2)
    states = {
        name: found.state for name in ("resting", "gone", "filled") if (found := venue.find(name, START + 3))
    }
    assert states == {
        "resting": OrderState.NEW,
        "gone": OrderState.CANCELED,
        "filled": OrderState.FILLED,
    }
    assert venue.find("", START + 3, "P2") == venue.find("gone", START + 3)
    assert venue.find("never", START + 3) is None
    assert [shown.client_order_id for shown in venue.open_orders(START + 3)] == ["resting"]


def test_an_order_that_the_venue_refuses_is_found_as_rejected_with_the_reason() -> None:
    """A purchase of more than the account can pay is refused, and stays findable."""
    venue = opened(initial_balances={"USD": Decimal(50)})
    outcome = venue.place(order("a", quantity="100"), START + 1)
    found = venue.find("a", START + 2)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.INSUFFICIENT_FUNDS
    assert found is not None
    assert (found.state, found.reason) == (OrderState.REJECTED, ErrorReason.INSUFFICIENT_FUNDS)


def test_a_resting_order_fills_when_the_market_trades_through_it() -> None:
    """4 lots at 9.40 fill a bid at 9.50 at its own price, as maker at 0.01 %: nothing to the cent."""
    venue = opened()
    venue.place(order("a", limit="9.50"), START + 1)
    venue.apply([trade(4, 940, START + SECOND)])
    found = venue.find("a", START + 2 * SECOND)
    assert found is not None
    assert (found.state, found.cum_quantity) == (OrderState.PARTIALLY_FILLED, Decimal(4))
    assert [(fill.price, fill.quantity) for fill in venue.fills] == [(Decimal("9.50"), Decimal(4))]


def test_a_replace_makes_a_generation_under_a_new_broker_id_and_older_ids_still_name_the_order() -> None:
    venue = opened()
    placed = order("a", limit="9.50")
    venue.place(placed, START + 1)
    sent = changed(placed, broker_order_id="P1")
    spec = changed(placed.spec, limit_price=Decimal("9.60"), quantity=Decimal(12))
    outcome = venue.replace(ReplaceCommand(sent, spec, Decimal(12)), START + 2)
    found = venue.find("a", START + 3, "P1")
    assert outcome == Accepted("P1-2")
    assert found is not None
    assert (found.broker_order_id, found.quantity, found.limit_price) == (
        "P1-2",
        Decimal(12),
        Decimal("9.60"),
    )


def test_the_same_replace_twice_is_done_twice_and_the_log_shows_it() -> None:
    venue = opened()
    placed = order("a", limit="9.50")
    venue.place(placed, START + 1)
    command = ReplaceCommand(changed(placed, broker_order_id="P1"), placed.spec, Decimal(5))
    venue.replace(command, START + 2)
    venue.replace(command, START + 3)
    assert log.sent_twice(venue.log) == [("a", 2)]


def test_a_replace_that_the_venue_refused_may_be_asked_for_again() -> None:
    """Nothing was done the first time, which asked for less than was filled."""
    venue = opened()
    placed = changed(order("a", limit="9.50"), broker_order_id="P1")
    venue.place(order("a", limit="9.50"), START + 1)
    venue.apply([trade(4, 940, START + SECOND)])
    refused = venue.replace(ReplaceCommand(placed, placed.spec, Decimal(3)), START + 2 * SECOND)
    done = venue.replace(ReplaceCommand(placed, placed.spec, Decimal(5)), START + 3 * SECOND)
    assert isinstance(refused, Rejected)
    assert isinstance(done, Accepted)
    assert log.sent_twice(venue.log) == []


def test_fills_after_a_watermark_are_each_given_once_over_pages_of_any_size() -> None:
    venue = opened()
    for index in range(7):
        venue.place(order(f"o{index}"), START + index)
    watermark, pages = 0, 0
    given: list[FillReport] = []
    while True:
        page = venue.fills_after(watermark, 3, START + 10)
        given += page.fills
        watermark, pages = int(page.watermark), pages + 1
        if page.complete:
            break
    assert (given, pages, watermark) == (venue.fills, 3, 7)


def test_a_fill_that_is_not_visible_yet_is_given_by_a_later_query_and_never_skipped() -> None:
    venue = opened(fill_latency_ns=SECOND)
    venue.place(order("a"), START)
    venue.place(order("b"), START + SECOND // 2)
    seen = venue.fills_after(0, 100, START + SECOND)
    later = venue.fills_after(int(seen.watermark), 100, START + 2 * SECOND)
    assert [fill.client_order_id for fill in seen.fills] == ["a"]
    assert [fill.client_order_id for fill in later.fills] == ["b"]


def test_an_order_becomes_visible_to_queries_only_after_the_declared_while() -> None:
    venue = opened(order_latency_ns=SECOND)
    venue.place(order("a", limit="9.50"), START + 1)
    assert venue.find("a", START + SECOND) is None
    assert venue.open_orders(START + SECOND) == []
    assert venue.find("a", START + SECOND + 1) is not None


def test_an_order_of_others_has_no_client_id_and_counts_for_everything_else() -> None:
    venue = opened()
    venue.place_external(order("x", limit="9.50").spec, START + 1)
    (shown,) = venue.open_orders(START + 2)
    venue.apply([trade(3, 940, START + SECOND)])
    assert (shown.client_order_id, shown.broker_order_id) == ("", "P1")
    assert log.held(venue.log) == {"AAPL": Decimal(3)}
    assert log.sent_twice(venue.log) == []


def test_the_log_has_every_request_before_its_outcome_and_every_fill_and_is_written_as_it_is_made() -> None:
    written: list[Entry] = []
    venue = JudgedVenue([AAPL], START, write=written.append)
    venue.apply([BookSnapshot(START, "AAPL", ((999, 100),), ((1000, 100),))])
    venue.place(order("a"), START + 1)
    venue.cancel(order("a"), START + 2)
    assert [entry.kind for entry in written] == [
        EntryKind.PLACE,
        EntryKind.ACCEPTED,
        EntryKind.FILL,
        EntryKind.CANCEL,
        EntryKind.REFUSED,
    ]
    assert written == venue.log
    assert [entry.number for entry in written] == [1, 2, 3, 4, 5]


def test_positions_and_cash_of_the_venue_are_what_its_own_log_adds_up_to() -> None:
    """Bought 150 (1,500.50 and fees of 0.75), sold 50 at 9.99 (499.50 and 0.25 of fees): 1,002 less in cash."""
    venue = opened(initial_balances={"USD": Decimal(10_000)})
    venue.place(order("a", quantity="150"), START + 1)
    venue.place(order("b", Side.SELL, "50"), START + 2)
    held = {position.symbol: position.quantity for position in venue.positions()}
    cash = {balance.currency: balance.total for balance in venue.balances()}
    assert held == log.held(venue.log) == {"AAPL": Decimal(100)}
    assert log.cash_moved(venue.log) == {"USD": Decimal(-1002)}
    assert cash == {"USD": Decimal(8998)}


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_a_subscriber_hears_everything_once_from_where_it_began(limit: int) -> None:
    venue = opened()
    position = venue.position
    for index in range(3):
        venue.place(order(f"o{index}"), START + index)
    heard, at = [], position
    while batch := venue.events_after(at, limit)[0]:
        heard += batch
        at += len(batch)
    names = [report.client_order_id for report in heard if isinstance(report, FillReport)]
    assert names == ["o0", "o1", "o2"]
    assert at == venue.position
