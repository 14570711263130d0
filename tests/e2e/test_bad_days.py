"""A server whose paper account has latency and faults: a strategy trades, the process is killed, and the laws hold."""

from __future__ import annotations

import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from brokergate.v1 import (
    enums_pb2,
    event_pb2,
    event_service_pb2_grpc,
    market_data_pb2,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
    simulator_pb2,
    simulator_service_pb2_grpc,
)
from tests.e2e.process import ServerProcess
from tests.e2e.recovery.laws import Books, equal, nothing_uncertain, positions

CONFIG = """
accounts:
  paper:
    broker: paper
    trading: {enabled: true}
    connection: {poll_interval_ms: 300, quiet_period_ms: 200}
    paper:
      initial_balance: {USDT: "10000000", BTC: "100"}
      feed: {synthetic: {seed: 11}}
"""
LATENCY = """
      latency:
        request: {mean_ms: 20, deviation_ms: 10}
        response: {constant_ms: 10}
"""
BTC = "BTC/USDT"
KINDS = [kind for kind in simulator_pb2.FaultKind.values() if kind != simulator_pb2.FAULT_KIND_UNSPECIFIED]
PATIENCE_S = 8.0
SETTLED_S = 60.0
"""How long everything may take to be known after the faults have ended."""


class Strategy:
    """Places and cancels by gRPC, and does not mind what becomes of it."""

    def __init__(self, server: ServerProcess, seed: int) -> None:
        self.server = server
        self.random = Random(seed)
        self.answers: dict[str, str] = {}
        """The order's id by the client's."""
        self.refusals: set[str] = set()
        self._names = 0

    def call(self, stub: Any, method: str, request: Any, timeout: float = 20.0) -> Any:
        with self.server.channel() as channel:
            return getattr(stub(channel), method)(request, timeout=timeout)

    def set_faults(self, *faults: simulator_pb2.Fault) -> simulator_pb2.SetFaultsResponse:
        self._names += 1
        request = simulator_pb2.SetFaultsRequest(
            request_id=f"faults-{self._names}", account_id="paper", faults=faults
        )
        response = self.call(simulator_service_pb2_grpc.SimulatorServiceStub, "SetFaults", request)
        assert isinstance(response, simulator_pb2.SetFaultsResponse)
        assert list(response.faults) == list(faults)
        return response

    def trade(self, orders: int) -> None:
        """So many orders near the market, some of them cancelled; a refusal or a broken call is no concern, and while
        the account is away it tries for some seconds at most."""
        until, wanted = time.monotonic() + PATIENCE_S, len(self.answers) + orders
        while len(self.answers) < wanted and time.monotonic() < until:
            try:
                self._order(self._quote())
            except grpc.RpcError as error:
                self.refusals.add(str(error.code()))

    def _quote(self) -> market_data_pb2.Quote:
        request = market_data_pb2.GetQuoteRequest(account_id="paper", symbol=BTC)
        answer = self.call(market_data_service_pb2_grpc.MarketDataServiceStub, "GetQuote", request)
        assert isinstance(answer.quote, market_data_pb2.Quote)
        return answer.quote

    def _order(self, quote: market_data_pb2.Quote) -> None:
        random = self.random
        self._names += 1
        name, side = f"o{self._names}", random.choice((1, -1))
        spec = order_pb2.OrderSpec(
            symbol=BTC,
            side=enums_pb2.SIDE_BUY if side > 0 else enums_pb2.SIDE_SELL,
            type=enums_pb2.ORDER_TYPE_LIMIT,
            quantity="0.01",
            limit_price=quote.ask_price if random.random() < 0.4 else quote.bid_price,
            time_in_force=enums_pb2.TIME_IN_FORCE_GTC,
        )
        request = order_pb2.PlaceOrderRequest(account_id="paper", client_order_id=name, order=spec)
        for _ in range(random.choice((1, 1, 2))):
            placed = self.call(order_service_pb2_grpc.OrderServiceStub, "PlaceOrder", request).order
            assert self.answers.setdefault(name, placed.order_id) == placed.order_id
        if random.random() < 0.4:
            cancel = order_pb2.CancelOrderRequest(
                account_id="paper",
                request_id=f"cancel-{name}",
                order=order_pb2.OrderRef(client_order_id=name),
            )
            self.call(order_service_pb2_grpc.OrderServiceStub, "CancelOrder", cancel)

    def books(self) -> tuple[Books, list[event_pb2.Event]]:
        """The whole journal, as a reader is told it."""
        request = event_pb2.StreamEventsRequest(
            account_ids=["paper"], start_position=event_pb2.START_POSITION_EARLIEST
        )
        events: list[event_pb2.Event] = []
        with self.server.channel() as channel:
            stream = event_service_pb2_grpc.EventServiceStub(channel).StreamEvents(request, timeout=2)
            try:
                for message in stream:
                    events.extend(message.batch.events)
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED, error  # noqa: PT017 - it has no end
        books = Books()
        books.take(events)
        return books, events

    def wrong(self) -> list[str]:
        """What is against the laws now."""
        books, events = self.books()
        found = nothing_uncertain(books) + books.twice
        if [event.sequence for event in events] != list(range(1, len(events) + 1)):
            found.append("the stream has a gap")
        ids = [order.client_order_id for order in books.orders.values()]
        if len(set(ids)) != len(ids):
            found.append("a client id has two orders")
        found += [
            f"{name} was answered with {order_id} and is {books.by_client.get(name)}"
            for name, order_id in self.answers.items()
            if books.by_client.get(name) != order_id
        ]
        request = position_pb2.ListPositionsRequest(account_id="paper")
        listed = self.call(position_service_pb2_grpc.PositionServiceStub, "ListPositions", request)
        held = {position.symbol: Decimal(position.quantity) for position in listed.positions}
        return found + equal("position", positions(books), held)

    def settle(self) -> None:
        """Waits until nothing is against the laws, and nothing under way."""
        until = time.monotonic() + SETTLED_S
        while wrong := self.wrong():
            assert time.monotonic() < until, f"{wrong}\n{self.server.log[-3000:]}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    config = tmp_path / "brokergate.yaml"
    config.write_text(CONFIG + LATENCY)
    started = ServerProcess(tmp_path, "--config", config)
    started.start()
    yield started
    started.close()


def fault(kind: simulator_pb2.FaultKind.ValueType) -> simulator_pb2.Fault:
    lasting = kind in (simulator_pb2.FAULT_KIND_DISCONNECT, simulator_pb2.FAULT_KIND_MAINTENANCE)
    rate = "10" if lasting else "50"
    made = simulator_pb2.Fault(kind=kind, rate_percent=rate)
    if lasting or kind == simulator_pb2.FAULT_KIND_DELAYED_EVENTS:
        made.delay.CopyFrom(Duration(nanos=200_000_000))
    return made


def test_each_fault_alone_while_a_strategy_trades(server: ServerProcess) -> None:
    """One kind after another, with latency; after each the journal, the answers and the positions agree."""
    strategy = Strategy(server, 1)
    for kind in KINDS:
        strategy.set_faults(fault(kind))
        strategy.trade(12)
    strategy.set_faults()
    strategy.trade(3)
    strategy.settle()
    books, _ = strategy.books()
    assert len(books.fills) > 10
    assert len(books.orders) > 40


def test_killed_in_the_middle_of_a_bad_day(server: ServerProcess) -> None:
    """kill -9 with latency and all faults on, five times; they are in force again after each start."""
    strategy = Strategy(server, 2)
    faults = [fault(kind) for kind in KINDS]
    strategy.set_faults(*faults)
    for _ in range(5):
        strategy.trade(10)
        server.kill9()
        server.start()
    told = [event.control.message for event in strategy.books()[1] if event.HasField("control")]
    assert told[-1].count("%") == len(faults)
    strategy.set_faults()
    strategy.settle()
    books, _ = strategy.books()
    assert len(books.fills) > 3
    assert len(books.orders) > 20


def test_an_account_in_process_goes_wrong_and_is_well_again(tmp_path: Path) -> None:
    """Without latency: SetFaults takes it across a line, and the next start without faults brings it home."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(CONFIG)
    server = ServerProcess(tmp_path, "--config", config)
    try:
        server.start()
        strategy = Strategy(server, 3)
        strategy.trade(5)
        strategy.set_faults(fault(simulator_pb2.FAULT_KIND_LOST_ACKNOWLEDGEMENT))
        strategy.trade(10)
        strategy.set_faults()
        server.kill9()
        server.start()
        strategy.trade(5)
        strategy.settle()
        assert len(strategy.books()[0].orders) == 20
    finally:
        server.close()
