"""Risk limits on a real server with a configuration file: a paper account whose market the test pushes."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.v1 import (
    enums_pb2,
    error_pb2,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
    simulator_pb2,
    simulator_service_pb2_grpc,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess

BTC = "BTC/USDT"
RISK_LIMIT = error_pb2.ERROR_REASON_RISK_LIMIT
NO_REFERENCE_PRICE = error_pb2.ERROR_REASON_NO_REFERENCE_PRICE
BUY, SELL = enums_pb2.SIDE_BUY, enums_pb2.SIDE_SELL
REJECTED, NEW, FILLED = (
    enums_pb2.ORDER_STATE_REJECTED,
    enums_pb2.ORDER_STATE_NEW,
    enums_pb2.ORDER_STATE_FILLED,
)
LOOK_TIMEOUT_S = 20.0


class Desk:
    """A client of one server, and its market."""

    def __init__(self, server: ServerProcess) -> None:
        self.server = server
        self._ids = itertools.count()
        self._connect()

    def _connect(self) -> None:
        channel = self.server.channel()
        self.orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        self.positions: Any = position_service_pb2_grpc.PositionServiceStub(channel)
        self.simulator: Any = simulator_service_pb2_grpc.SimulatorServiceStub(channel)

    def kill_and_start(self) -> None:
        """The gateway dies as in a power cut, and comes back over the same data."""
        self.server.kill9()
        self.server.start()
        self._connect()

    def quote(self, ask: str) -> None:
        """The market asks `ask` and bids a tick less, with enough of both."""
        request = simulator_pb2.PushMarketDataRequest(account_id="paper")
        quote = request.updates.add().quote
        quote.symbol, quote.bid_price, quote.ask_price = BTC, str(Decimal(ask) - Decimal("0.01")), ask
        quote.bid_quantity = quote.ask_quantity = "1000"
        self.simulator.PushMarketData(iter([request]), timeout=20)

    def place(
        self, side: int, quantity: str, limit: str | None = None, client_order_id: str = ""
    ) -> order_pb2.Order:
        """Places an order; it comes back as it stands."""
        request = order_pb2.PlaceOrderRequest(
            account_id="paper",
            client_order_id=client_order_id or f"{next(self._ids)}-{time.monotonic_ns()}",
            order=spec(side, quantity, limit),
        )
        order: order_pb2.Order = self.orders.PlaceOrder(request, timeout=20).order
        return order

    def batch(self, *specs: order_pb2.OrderSpec) -> list[order_pb2.Order]:
        """Places orders in one call."""
        request = order_pb2.BatchPlaceOrdersRequest(account_id="paper")
        for item in specs:
            request.orders.add(client_order_id=f"{next(self._ids)}-{time.monotonic_ns()}", order=item)
        return [result.order for result in self.orders.BatchPlaceOrders(request, timeout=20).results]

    def position(self) -> Decimal:
        """Units held."""
        request = position_pb2.ListPositionsRequest(account_id="paper")
        return Decimal(
            next((p.quantity for p in self.positions.ListPositions(request, timeout=20).positions), "0")
        )


def spec(side: int, quantity: str, limit: str | None = None) -> order_pb2.OrderSpec:
    """An order for BTC/USDT, at the market where no limit is given."""
    return order_pb2.OrderSpec(
        symbol=BTC,
        side=side,  # type: ignore[arg-type]
        type=enums_pb2.ORDER_TYPE_LIMIT if limit else enums_pb2.ORDER_TYPE_MARKET,
        quantity=quantity,
        limit_price=limit,
    )


def refused(order: order_pb2.Order, limit: str, reason: int = RISK_LIMIT) -> None:
    """The order ended REJECTED, for this limit."""
    assert order.state == REJECTED, order
    assert order.reject_reason == reason
    assert order.reject_message.startswith(f"risk_limits.{limit} "), order.reject_message


class Open:
    """Starts servers with limits."""

    def __init__(self, start_server: StartServer, folder: Path) -> None:
        self._start, self._folder = start_server, folder

    def __call__(self, limits: str) -> Desk:
        file = self._folder / "brokergate.yaml"
        file.write_text(
            "accounts:\n  paper:\n    broker: paper\n    paper:\n"
            "      initial_balance: {USDT: 1000000}\n"
            "      feed: {push: {instruments: [{symbol: BTC/USDT, price_increment: 0.01, "
            "quantity_increment: 0.001}]}}\n"
            f"    risk_limits: {{{limits}}}\n"
        )
        return Desk(self._start("--config", file))


@pytest.fixture
def open_desk(start_server: StartServer, tmp_path: Path) -> Open:
    """Starts a server whose paper account has these limits."""
    return Open(start_server, tmp_path)


def test_an_order_over_a_limit_is_a_rejected_order(open_desk: Open) -> None:
    """Journalled under its id with the reason, and told what would have passed; a repeat gets the same order."""
    desk = open_desk("max_order_quantity: {BTC/USDT: 2}, max_order_notional: {amount: 150, currency: USDT}")
    desk.quote("100")
    refused(order := desk.place(BUY, "3", client_order_id="three"), "max_order_quantity")
    assert order.reject_message.endswith("the order is 3; order at most 2")
    assert desk.place(BUY, "3", client_order_id="three") == order
    desk.kill_and_start()
    assert desk.place(BUY, "3", client_order_id="three") == order
    desk.quote("100")
    refused(order := desk.place(BUY, "2"), "max_order_notional")
    assert order.reject_message.endswith("come to 200 USDT; order at most 1.5")
    assert desk.place(BUY, "1.5").state == FILLED
    assert desk.position() == Decimal("1.5")


def test_only_allowed_instruments_are_traded(open_desk: Open) -> None:
    """The account has another one, and it is refused."""
    desk = open_desk("instruments: [ETH/USDT]")
    desk.quote("100")
    refused(desk.place(BUY, "1"), "instruments")


def test_two_orders_of_a_batch_that_do_not_fit_together_do_not_both_pass(open_desk: Open) -> None:
    """The first passes, the second does not, a third that still fits does."""
    desk = open_desk("max_position_quantity: {BTC/USDT: 5}")
    desk.quote("100")
    first, second, third = desk.batch(spec(BUY, "3", "90"), spec(BUY, "3", "90"), spec(BUY, "2", "90"))
    assert (first.state, third.state) == (NEW, NEW)
    refused(second, "max_position_quantity")
    market, resting = desk.batch(spec(BUY, "1"), spec(SELL, "1"))
    refused(market, "max_position_quantity")
    assert not resting.reject_message.startswith("risk_limits")


def test_many_clients_at_once_do_not_pass_a_limit_together(open_desk: Open) -> None:
    """Of twenty orders of one that come at the same time five fit."""
    desk = open_desk("max_position_notional: {amount: 500, currency: USDT}")
    desk.quote("100")
    with ThreadPoolExecutor(20) as threads:
        orders = list(threads.map(lambda _: desk.place(BUY, "1", "100.00"), range(20)))
    assert sorted(order.state for order in orders).count(REJECTED) == 15
    assert desk.position() == 5


def test_open_orders_and_pace_are_limited(open_desk: Open) -> None:
    """A batch counts each of its orders, for both."""
    desk = open_desk("max_open_orders: 2")
    desk.quote("100")
    first, second, third = desk.batch(*[spec(BUY, "1", "90")] * 3)
    refused(third, "max_open_orders")
    reference = order_pb2.OrderRef(order_id=first.order_id)
    desk.orders.CancelOrder(
        order_pb2.CancelOrderRequest(account_id="paper", order=reference, request_id="c1"), timeout=20
    )
    assert desk.place(BUY, "1", "90").state == second.state == NEW


def test_orders_a_second_are_limited(open_desk: Open) -> None:
    """Of a batch of five two pass; a second later more do."""
    desk = open_desk("max_orders_per_second: 2")
    desk.quote("100")
    orders = desk.batch(*[spec(BUY, "1", "90")] * 5)
    assert [order.state for order in orders[:2]] == [NEW, NEW]
    for order in orders[2:]:
        refused(order, "max_orders_per_second")
    assert until(lambda: desk.place(BUY, "1", "90"), NEW).state == NEW


def test_the_collar_needs_a_quote_and_holds(open_desk: Open) -> None:
    """Without one there is nothing to measure by; far from it, on either side, is too far."""
    desk = open_desk("price_collar_percent: 5")
    refused(desk.place(BUY, "1", "100"), "price_collar_percent", NO_REFERENCE_PRICE)
    desk.quote("100")
    refused(desk.place(BUY, "1", "105.01"), "price_collar_percent")
    refused(desk.place(BUY, "1", "94.99"), "price_collar_percent")
    assert desk.place(BUY, "1", "95").state == NEW


def test_what_reduces_a_position_passes_at_the_limit(open_desk: Open) -> None:
    """By orders, by a stop and by ClosePosition, of all at once; what opens more does not."""
    desk = open_desk(
        "max_position_quantity: {BTC/USDT: 5}, max_order_quantity: {BTC/USDT: 2}, max_open_orders: 1, "
        "max_order_notional: {amount: 200, currency: USDT}"
    )
    desk.quote("100")
    for quantity in ("2", "2", "1"):
        assert desk.place(BUY, quantity).state == FILLED
    refused(desk.place(BUY, "0.001"), "max_position_quantity")
    resting = [desk.place(SELL, "1", "150"), desk.place(SELL, "1", "160")]
    assert [order.state for order in resting] == [NEW, NEW]
    assert desk.place(SELL, "3").state == FILLED
    desk.orders.CancelAllOrders(
        order_pb2.CancelAllOrdersRequest(account_id="paper", request_id="all"), timeout=20
    )
    close = position_pb2.ClosePositionRequest(account_id="paper", symbol=BTC, request_id="close")
    assert desk.positions.ClosePosition(close, timeout=20).order.state == FILLED
    assert desk.position() == 0


def test_a_replace_over_a_limit_is_refused_and_changes_nothing(open_desk: Open) -> None:
    """With the reason; one that fits passes, and counts."""
    desk = open_desk("max_position_quantity: {BTC/USDT: 5}")
    desk.quote("100")
    order = desk.place(BUY, "3", "90")
    request = order_pb2.ReplaceOrderRequest(
        account_id="paper",
        order=order_pb2.OrderRef(order_id=order.order_id),
        request_id="too-much",
        expected_generation=order.generation,
        quantity="6",
    )
    with pytest.raises(grpc.RpcError) as caught:
        desk.orders.ReplaceOrder(request, timeout=20)
    assert caught.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert "order at most 5" in (caught.value.details() or "")
    request.request_id, request.quantity = "fits", "5"
    assert desk.orders.ReplaceOrder(request, timeout=20).order.quantity == "5"
    refused(desk.place(BUY, "0.001", "90"), "max_position_quantity")


def test_a_restart_keeps_what_counts(open_desk: Open) -> None:
    """Open orders and the position are there again before the first order is asked about."""
    desk = open_desk("max_position_quantity: {BTC/USDT: 5}")
    desk.quote("100")
    assert desk.place(BUY, "2").state == FILLED
    assert desk.place(BUY, "2", "90").state == NEW
    for _ in range(2):
        desk.kill_and_start()
        refused(order := desk.place(BUY, "2", "90"), "max_position_quantity")
        assert order.reject_message.endswith("order at most 1")


def until(act: Any, state: int) -> order_pb2.Order:
    """Acts again until the order is in `state`: the gateway looks at some limits a few times a second."""
    deadline = time.monotonic() + LOOK_TIMEOUT_S
    while True:
        order: order_pb2.Order = act()
        if order.state == state or time.monotonic() > deadline:
            return order
        time.sleep(0.05)


def noon() -> str:
    """A time zone in which it is about noon: no midnight falls into the test."""
    offset = datetime.now(UTC).hour - 12
    return f"Etc/GMT{offset:+d}" if offset else "Etc/GMT"


def test_the_days_loss_ends_opening_until_the_day_is_over_restarts_or_not(open_desk: Open) -> None:
    """Losses before and after a restart are one day's; once reached, a better market changes nothing, and reductions
    pass."""
    desk = open_desk(f"max_daily_loss: {{amount: 100, currency: USDT}}, daily_loss_time_zone: {noon()}")
    desk.quote("100")
    assert desk.place(BUY, "5").state == FILLED
    desk.quote("88")
    desk.kill_and_start()
    desk.quote("88")
    assert desk.place(BUY, "0.001").state == FILLED, "60 of 100 are lost"
    desk.quote("80")
    refused(order := until(lambda: desk.place(BUY, "0.001", "10"), REJECTED), "max_daily_loss")
    assert "only orders that reduce a position are taken" in order.reject_message
    desk.quote("100")
    desk.kill_and_start()
    refused(desk.place(BUY, "0.001", "10"), "max_daily_loss")
    desk.quote("100")
    refused(desk.place(BUY, "0.001"), "max_daily_loss")
    held = desk.position()
    assert desk.place(SELL, format(held, "f")).state == FILLED
    refused(desk.place(BUY, "0.001"), "max_daily_loss")
