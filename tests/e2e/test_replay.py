"""The recorded market, end to end: at a chosen instant an order fills as an independent walk of the book says, and
fills, order, position and balances agree to the last digit."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
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

START_USDT = Decimal("10000000")
TAKER_PERCENT = Decimal("0.1")
SECONDS_IN = (20, 150, 300)

CONFIG = """
accounts:
  paper:
    broker: paper
    trading: {{enabled: true}}
    paper:
      initial_balance: {{USDT: "{usdt}"}}
      taker_fee_percent: "{fee}"
      feed: {{tape: {tape}, speed: max, paused: true}}
"""


class Frames:
    """The tape joined by hand: the diffs and the snapshot in a dictionary a side, as the data's own README says."""

    def __init__(self, tape: Path) -> None:
        self.depth: list[tuple[int, dict[str, object]]] = []
        self.snapshot: tuple[int, dict[str, object]] | None = None
        self.start_ns = 0
        with gzip.open(tape, "rt") as lines:
            for line in lines:
                time_text, _, text = line.partition(" ")
                frame = json.loads(text)
                self.start_ns = self.start_ns or int(time_text)
                if "lastUpdateId" in frame:
                    self.snapshot = (int(time_text), frame)
                elif frame["stream"].endswith("@depth@100ms"):
                    self.depth.append((int(time_text), frame["data"]))

    def asks_at(self, time_ns: int) -> list[tuple[Decimal, Decimal]]:
        """The offers, best first, after every frame up to `time_ns`."""
        assert self.snapshot is not None
        _, snapshot = self.snapshot
        levels = {Decimal(price): Decimal(size) for price, size in snapshot["asks"]}  # type: ignore[attr-defined]
        for received_ns, diff in self.depth:
            if received_ns > time_ns:
                break
            if int(str(diff["u"])) <= int(str(snapshot["lastUpdateId"])):
                continue
            for price, size in diff["a"]:  # type: ignore[attr-defined]
                levels[Decimal(price)] = Decimal(size)
        return sorted((price, size) for price, size in levels.items() if size)


def walk(asks: list[tuple[Decimal, Decimal]], quantity: Decimal) -> list[tuple[Decimal, Decimal]]:
    """What a market buy takes, level by level."""
    taken = []
    for price, size in asks:
        take = min(size, quantity)
        taken.append((price, take))
        quantity -= take
        if not quantity:
            return taken
    raise AssertionError("the book is too thin")


@dataclass
class Stubs:
    """The services of the running gateway."""

    orders: order_service_pb2_grpc.OrderServiceStub
    events: event_service_pb2_grpc.EventServiceStub
    positions: position_service_pb2_grpc.PositionServiceStub
    accounts: account_service_pb2_grpc.AccountServiceStub
    market: market_data_service_pb2_grpc.MarketDataServiceStub
    simulator: simulator_service_pb2_grpc.SimulatorServiceStub


@pytest.fixture(scope="module")
def tape(shared_data: Path) -> Path:
    """The recorded BTCUSDT market."""
    return shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"


@pytest.fixture(scope="module")
def frames(tape: Path) -> Frames:
    """The tape, joined by the test itself."""
    return Frames(tape)


@pytest.fixture
def gateway(tmp_path: Path, tape: Path) -> Iterator[Stubs]:
    """A real gateway whose paper account stands at the beginning of the tape."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(CONFIG.format(usdt=START_USDT, fee=TAKER_PERCENT, tape=tape))
    server = ServerProcess(tmp_path, "--config", config)
    server.start()
    channel = server.channel()
    try:
        yield Stubs(
            order_service_pb2_grpc.OrderServiceStub(channel),
            event_service_pb2_grpc.EventServiceStub(channel),
            position_service_pb2_grpc.PositionServiceStub(channel),
            account_service_pb2_grpc.AccountServiceStub(channel),
            market_data_service_pb2_grpc.MarketDataServiceStub(channel),
            simulator_service_pb2_grpc.SimulatorServiceStub(channel),
        )
    finally:
        channel.close()
        server.close()


def seek(gateway: Stubs, time_ns: int, request_id: str = "seek") -> simulator_pb2.ControlTapeResponse:
    return gateway.simulator.ControlTape(
        simulator_pb2.ControlTapeRequest(
            request_id=request_id,
            account_id="paper",
            seek_time=Timestamp(seconds=time_ns // 10**9, nanos=time_ns % 10**9),
        ),
        timeout=60,
    )


def buy(gateway: Stubs, client_order_id: str, quantity: str) -> order_pb2.PlaceOrderResponse:
    spec = order_pb2.OrderSpec(
        symbol="BTC/USDT",
        side=enums_pb2.SIDE_BUY,
        type=enums_pb2.ORDER_TYPE_MARKET,
        quantity=quantity,
    )
    return gateway.orders.PlaceOrder(
        order_pb2.PlaceOrderRequest(account_id="paper", client_order_id=client_order_id, order=spec),
        timeout=10,
    )


def fills_from_the_stream(gateway: Stubs, cursor: str) -> list[event_pb2.Event]:
    """The fills after `cursor`, up to the stream's CaughtUp."""
    request = event_pb2.StreamFillsRequest(account_ids=["paper"], after_cursor=cursor)
    stream = gateway.events.StreamFills(request, timeout=30)
    events: list[event_pb2.Event] = []
    for message in stream:
        events.extend(message.batch.events)
        if message.HasField("caught_up"):
            stream.cancel()
            return events
    raise AssertionError("the stream ended")


def fee_of(price: Decimal, quantity: Decimal) -> Decimal:
    with localcontext() as exact:
        exact.prec = 100
        fee = price * quantity * TAKER_PERCENT / 100
        return fee.quantize(Decimal("0.00000001"), rounding=ROUND_HALF_EVEN)


@pytest.mark.parametrize("seconds", SECONDS_IN)
def test_a_market_buy_of_20_btc_fills_as_an_independent_walk_says(
    gateway: Stubs, frames: Frames, seconds: int
) -> None:
    """Level by level the fills are the walk's, and stream, order, position and balances agree to the last digit."""
    instant = frames.start_ns + seconds * 10**9
    expected = walk(frames.asks_at(instant), Decimal(20))
    tape = seek(gateway, instant)
    assert tape.state == simulator_pb2.TAPE_STATE_PAUSED
    before = gateway.accounts.ListBalances(account_pb2.ListBalancesRequest(account_id="paper"))
    quote = gateway.market.GetQuote(
        market_data_pb2.GetQuoteRequest(account_id="paper", symbol="BTC/USDT")
    ).quote
    assert Decimal(quote.ask_price) == expected[0][0]

    order = buy(gateway, "buy-20", "20").order
    assert order.state == enums_pb2.ORDER_STATE_FILLED

    fills = [event.fill.fill for event in fills_from_the_stream(gateway, before.cursor)]
    assert [(Decimal(fill.price), Decimal(fill.quantity)) for fill in fills] == expected
    assert {(fill.order_id, fill.liquidity) for fill in fills} == {
        (order.order_id, enums_pb2.LIQUIDITY_TAKER)
    }
    fees = [fee_of(price, quantity) for price, quantity in expected]
    assert [[Decimal(fee.amount) for fee in fill.fees] for fill in fills] == [[fee] for fee in fees]

    notional = sum((price * quantity for price, quantity in expected), Decimal(0))
    assert (Decimal(order.cum_quantity), Decimal(order.cum_notional)) == (Decimal(20), notional)
    assert Decimal(order.average_price) == (notional / 20).quantize(Decimal(1).scaleb(-18), ROUND_HALF_EVEN)

    (position,) = gateway.positions.ListPositions(
        position_pb2.ListPositionsRequest(account_id="paper")
    ).positions
    assert (Decimal(position.quantity), Decimal(position.cost)) == (Decimal(20), notional)
    assert [Decimal(fee.amount) for fee in position.fees] == [sum(fees)]
    after = gateway.accounts.ListBalances(account_pb2.ListBalancesRequest(account_id="paper")).balances
    assert {balance.currency_code: Decimal(balance.total) for balance in after} == {
        "USDT": START_USDT - notional - sum(fees),
        "BTC": Decimal(20),
    }
    listed = gateway.orders.ListFills(order_pb2.ListFillsRequest(account_id="paper", page_size=1000)).fills
    assert list(reversed(listed)) == fills


def test_what_was_taken_stays_taken_while_the_tape_stands(gateway: Stubs, frames: Frames) -> None:
    """A second buy at the same instant goes on where the first one ended: no liquidity is given twice."""
    instant = frames.start_ns + 60 * 10**9
    seek(gateway, instant)
    before = gateway.accounts.ListBalances(account_pb2.ListBalancesRequest(account_id="paper"))
    buy(gateway, "first", "3")
    buy(gateway, "second", "4")
    fills = [event.fill.fill for event in fills_from_the_stream(gateway, before.cursor)]
    taken: dict[Decimal, Decimal] = {}
    for fill in fills:
        taken[Decimal(fill.price)] = taken.get(Decimal(fill.price), Decimal(0)) + Decimal(fill.quantity)
    assert sorted(taken.items()) == walk(frames.asks_at(instant), Decimal(7))


def test_a_tape_does_not_go_back(gateway: Stubs, frames: Frames) -> None:
    """A time before the tape's present one is refused and moves nothing; the repeat of a seek is its first answer."""
    instant = frames.start_ns + 30 * 10**9
    first = seek(gateway, instant, "a")
    with pytest.raises(grpc.RpcError) as refused:
        seek(gateway, instant - 10**9, "b")
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    seek(gateway, instant + 10**9, "c")
    assert seek(gateway, instant, "a") == first
