"""A gateway that is killed while its paper market plays: what was traded on it is what an unbroken run trades.

The tape is the recorded BTCUSDT market. It is steered with ControlTape, so that the same commands come at the same
moments of the tape however often the process died between them; a call whose answer was lost is repeated.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import NamedTuple, TypeVar

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    broker_pb2,
    broker_service_pb2_grpc,
    enums_pb2,
    market_data_pb2,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
    simulator_pb2,
    simulator_service_pb2_grpc,
)
from tests.e2e.process import STOP_TIMEOUT_S, ServerProcess

CONFIG = """
accounts:
  paper:
    broker: paper
    trading: {{enabled: true}}
    paper:
      initial_balance: {{USDT: "10000000", BTC: "100"}}
      taker_fee_percent: "0.1"
      maker_fee_percent: "0.02"
      feed: {feed}
"""
BTC = "BTC/USDT"
SECOND_NS = 10**9
LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.ABORTED,
    }
)
"""What a call ends with whose server dies."""
T = TypeVar("T")


@pytest.fixture(scope="module")
def tape(shared_data: Path) -> Path:
    """The recorded BTCUSDT market."""
    return shared_data / "crypto_l2" / "binance_spot_btcusdt_20240808.gz"


class Standing(NamedTuple):
    """What an account shows, as plain values."""

    fills: list[tuple[object, ...]]
    orders: list[tuple[object, ...]]
    positions: list[tuple[str, ...]]
    balances: list[tuple[str, ...]]


@dataclass
class Trader:
    """Calls a server, and starts it again and repeats the call where it died."""

    server: ServerProcess
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**6)))
    deaths: int = 0

    def call(self, attempt: Callable[[grpc.Channel], T]) -> T:
        while True:
            if not self.server.running:
                self.server.start()
            with self.server.channel() as channel:
                try:
                    return attempt(channel)
                except grpc.RpcError as error:
                    if error.code() not in LOST:
                        raise
            # Nothing but its death loses a call; one that lives on fails here.
            self.server.process.wait(STOP_TIMEOUT_S)

    def kill_within(self, seconds: float) -> threading.Timer:
        """Ends the process as a power cut would, some time from now. It runs until then."""
        if not self.server.running:
            self.server.start()
        timer = threading.Timer(seconds, self.kill)
        timer.start()
        return timer

    def kill(self) -> None:
        self.deaths += 1
        self.server.kill9()

    def steer(self, request: simulator_pb2.ControlTapeRequest) -> simulator_pb2.ControlTapeResponse:
        request.account_id, request.request_id = "paper", f"tape-{next(self.numbers)}"
        return self.call(
            lambda channel: simulator_service_pb2_grpc.SimulatorServiceStub(channel).ControlTape(
                request, timeout=60
            )
        )

    def seek(self, time_ns: int) -> simulator_pb2.ControlTapeResponse:
        stamp = Timestamp(seconds=time_ns // SECOND_NS, nanos=time_ns % SECOND_NS)
        return self.steer(simulator_pb2.ControlTapeRequest(seek_time=stamp))

    def pause(self) -> simulator_pb2.ControlTapeResponse:
        return self.steer(simulator_pb2.ControlTapeRequest(pause=simulator_pb2.PauseTape()))

    def place(self, request: order_pb2.PlaceOrderRequest) -> order_pb2.Order:
        return self.call(
            lambda channel: order_service_pb2_grpc.OrderServiceStub(channel).PlaceOrder(request, timeout=30)
        ).order

    def cancel(self, client_order_id: str) -> None:
        request = order_pb2.CancelOrderRequest(
            account_id="paper",
            request_id=f"cancel-{next(self.numbers)}",
            order=order_pb2.OrderRef(client_order_id=client_order_id),
        )
        try:
            self.call(
                lambda channel: order_service_pb2_grpc.OrderServiceStub(channel).CancelOrder(
                    request, timeout=30
                )
            )
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.FAILED_PRECONDITION, error  # noqa: PT017 - it may have filled

    def quote(self) -> market_data_pb2.Quote:
        return self.call(
            lambda channel: market_data_service_pb2_grpc.MarketDataServiceStub(channel).GetQuote(
                market_data_pb2.GetQuoteRequest(account_id="paper", symbol=BTC), timeout=30
            )
        ).quote

    def connection(self) -> broker_pb2.BrokerConnection:
        """The account's connection, whose message says what could not be taken up."""
        (connection,) = self.call(
            lambda channel: broker_service_pb2_grpc.BrokerServiceStub(channel).GetBroker(
                broker_pb2.GetBrokerRequest(name="paper"), timeout=30
            )
        ).broker.connections
        return connection

    def standing(self) -> Standing:
        """All that the account shows, but for the gateway's own ids and times."""

        def look(channel: grpc.Channel) -> Standing:
            orders = order_service_pb2_grpc.OrderServiceStub(channel)
            fills = orders.ListFills(
                order_pb2.ListFillsRequest(account_id="paper", page_size=1000), timeout=30
            )
            placed = orders.ListOrders(
                order_pb2.ListOrdersRequest(account_id="paper", page_size=1000), timeout=30
            )
            positions = position_service_pb2_grpc.PositionServiceStub(channel)
            held = positions.ListPositions(position_pb2.ListPositionsRequest(account_id="paper"), timeout=30)
            accounts = account_service_pb2_grpc.AccountServiceStub(channel)
            cash = accounts.ListBalances(account_pb2.ListBalancesRequest(account_id="paper"), timeout=30)
            assert not fills.next_page_token
            return Standing(
                [
                    (
                        f.client_order_id,
                        f.broker_execution_id,
                        f.price,
                        f.quantity,
                        f.liquidity,
                        str(f.fees),
                        f.event_time.ToNanoseconds(),
                    )
                    for f in fills.fills
                ],
                [
                    (
                        o.client_order_id,
                        o.broker_order_id,
                        o.state,
                        o.cum_quantity,
                        o.cum_notional,
                        o.generation,
                    )
                    for o in placed.orders
                ],
                [(p.symbol, p.quantity, p.cost, str(p.realized_pnl), str(p.fees)) for p in held.positions],
                [(b.currency_code, b.total, b.held) for b in cash.balances],
            )

        return self.call(look)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str, str], Trader]]:
    """Starts a gateway by a name, with a paper account on a feed."""
    with ExitStack() as stack:

        def started(name: str, feed: str) -> Trader:
            folder = tmp_path / name
            folder.mkdir()
            config = folder / "brokergate.yaml"
            config.write_text(CONFIG.format(feed=feed))
            server = ServerProcess(folder, "--config", config)
            stack.callback(server.close)
            server.start()
            return Trader(server)

        yield started


def order(
    name: str, side: int, quantity: str, limit: str = "", stop: str = "", *, day: bool = False
) -> order_pb2.PlaceOrderRequest:
    kinds = {
        (False, False): enums_pb2.ORDER_TYPE_MARKET,
        (True, False): enums_pb2.ORDER_TYPE_LIMIT,
        (False, True): enums_pb2.ORDER_TYPE_STOP,
        (True, True): enums_pb2.ORDER_TYPE_STOP_LIMIT,
    }
    spec = order_pb2.OrderSpec(
        symbol=BTC,
        side=enums_pb2.SIDE_BUY if side > 0 else enums_pb2.SIDE_SELL,
        type=kinds[bool(limit), bool(stop)],
        quantity=quantity,
        time_in_force=enums_pb2.TIME_IN_FORCE_DAY if day else enums_pb2.TIME_IN_FORCE_GTC,
    )
    if limit:
        spec.limit_price = limit
    if stop:
        spec.stop_price = stop
    return order_pb2.PlaceOrderRequest(account_id="paper", client_order_id=name, order=spec)


def near(random: Random, quote: market_data_pb2.Quote, name: str) -> order_pb2.PlaceOrderRequest:
    """An order near the market: taken at once, resting at the best prices or a little away, or a stop."""
    side = random.choice((1, -1))
    best = Decimal(quote.bid_price if side > 0 else quote.ask_price)
    away = Decimal(random.choice((0, 0, 0, 1, 30, 400))) / 100
    lots = random.choice(("0.01", "0.3", "2.5"))
    roll = random.random()
    if roll < 0.2:
        return order(name, side, lots)
    if roll < 0.35:
        return order(name, side, lots, stop=f"{best + side * 3:f}")
    return order(name, side, lots, limit=f"{best - side * away:f}", day=roll < 0.6)


Scene = tuple[int, Sequence[order_pb2.PlaceOrderRequest], Sequence[str]]
"""A moment of the tape, the orders that are placed at it, and those that are cancelled then."""


def rehearse(trader: Trader, seed: int, scenes: int) -> tuple[list[Scene], Standing, object]:
    """An unbroken run, which decides what is traded: the scenes, how it ends, and where the tape then is."""
    random, script, names = Random(seed), list[Scene](), list[str]()
    time_ns = trader.pause().start_time.ToNanoseconds() + 10 * SECOND_NS
    for number in range(scenes):
        trader.seek(time_ns)
        quote = trader.quote()
        orders = [near(random, quote, f"o{number}-{index}") for index in range(random.randint(1, 5))]
        cancelled = random.sample(names, min(len(names), random.randint(0, 2)))
        act(trader, orders, cancelled)
        names = [*names, *(request.client_order_id for request in orders)]
        script.append((time_ns, orders, cancelled))
        time_ns += random.randint(2, 20) * SECOND_NS
    end = trader.seek(time_ns)
    script.append((time_ns, (), ()))
    return script, trader.standing(), _place_of(end)


def act(trader: Trader, orders: Sequence[order_pb2.PlaceOrderRequest], cancelled: Sequence[str]) -> None:
    for name in cancelled:
        trader.cancel(name)
    for request in orders:
        trader.place(request)


def _place_of(tape: simulator_pb2.ControlTapeResponse) -> object:
    return tape.state, tape.tape_time.ToNanoseconds(), tape.played_updates


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_killed_at_any_moment_it_ends_as_the_unbroken_run(
    start: Callable[[str, str], Trader], tape: Path, seed: int
) -> None:
    """kill -9 during seeks, during orders and between them, ten times: every fill with its id, price, fee and moment,
    every order, position and balance, and the tape's place are those of the run that never died."""
    feed = f"{{tape: {tape}, speed: max, paused: true}}"
    script, expected, place = rehearse(start("unbroken", feed), seed, 12)
    mortal, random = start("mortal", feed), Random(seed + 100)
    end = mortal.pause()
    for number, (time_ns, orders, cancelled) in enumerate(script):
        timer = mortal.kill_within(random.random() * 0.25) if number % 3 else None
        end = mortal.seek(time_ns)
        act(mortal, orders, cancelled)
        if timer is not None:
            timer.join()
        if random.random() < 0.2:
            mortal.kill()
    assert mortal.standing() == expected
    assert _place_of(end) == place
    assert mortal.deaths >= 8
    assert {enums_pb2.LIQUIDITY_MAKER, enums_pb2.LIQUIDITY_TAKER} == {fill[4] for fill in expected.fills}
    assert mortal.connection().message == ""


def test_killed_while_the_tape_plays_the_queue_is_what_it_was(
    start: Callable[[str, str], Trader], tape: Path
) -> None:
    """Orders rest at the best prices, the tape plays at twenty times its speed and is killed four times; it goes on by
    itself, and in the end what rested has filled as where nobody killed it."""
    feed = f"{{tape: {tape}, speed: '20', paused: true}}"
    unbroken, mortal = start("unbroken", feed), start("mortal", feed)
    begin_ns = unbroken.pause().start_time.ToNanoseconds() + 20 * SECOND_NS
    end_ns = begin_ns + 300 * SECOND_NS
    random, orders = Random(5), list[order_pb2.PlaceOrderRequest]()
    for trader in (unbroken, mortal):
        trader.seek(begin_ns)
        quote = trader.quote()
        orders = orders or [near(random, quote, f"o{index}") for index in range(25)]
        act(trader, orders, ())
    unbroken.seek(end_ns)
    mortal.steer(simulator_pb2.ControlTapeRequest(resume=simulator_pb2.ResumeTape()))
    for _ in range(4):
        time.sleep(0.1 + random.random() * 0.3)
        mortal.kill()
        mortal.server.start()
    paused = mortal.pause()
    assert paused.state == simulator_pb2.TAPE_STATE_PAUSED
    assert begin_ns < paused.tape_time.ToNanoseconds() < end_ns
    assert mortal.seek(end_ns).played_updates == unbroken.pause().played_updates
    standing = unbroken.standing()
    assert mortal.standing() == standing
    assert sum(fill[4] == enums_pb2.LIQUIDITY_MAKER for fill in standing.fills) > 5
    assert mortal.connection().message == ""


def test_lots_and_the_queue_of_a_made_up_market_survive(start: Callable[[str, str], Trader]) -> None:
    """What was bought twice and is sold after the kill earns what the first purchase earns; the resting order still
    has its number at the venue, and the next one the next."""
    trader = start("made up", "{synthetic: {seed: 9}}")
    costs = []
    for name in ("first", "second"):
        bought = trader.place(order(name, 1, "0.5"))
        costs.append(Decimal(bought.cum_notional))
        time.sleep(0.3)
    resting = trader.place(order("resting", 1, "0.1", limit="1000"))
    before = Decimal(trader.quote().bid_price)
    trader.kill()
    sold = trader.place(order("sold", -1, "0.5"))
    assert abs(Decimal(trader.quote().bid_price) - before) < before / 200
    standing = trader.standing()
    (position,) = standing.positions
    assert Decimal(position[2]) == costs[1]
    assert Decimal(sold.cum_notional) - costs[0] == _amount(position[3])
    assert resting.broker_order_id == "P3"
    assert sold.broker_order_id == "P4"
    assert trader.connection().message == ""
    assert len(standing.orders) == 4


def test_another_market_is_begun_anew_and_the_account_says_so(
    start: Callable[[str, str], Trader], tmp_path: Path
) -> None:
    """With another seed in the configuration there is no going on: orders and holdings are there, and the connection
    says what is not, and why; after ReconnectBroker it goes on where it stood, and says nothing."""
    trader = start("made up", "{synthetic: {seed: 9}}")
    trader.place(order("bought", 1, "0.5"))
    trader.place(order("resting", 1, "0.1", limit="1000"))
    before = trader.standing()
    trader.kill()
    (tmp_path / "made up" / "brokergate.yaml").write_text(CONFIG.format(feed="{synthetic: {seed: 10}}"))
    assert trader.standing() == before
    connection = trader.connection()
    assert connection.state == broker_pb2.CONNECTION_STATE_CONNECTED
    assert "the market begins anew" in connection.message
    assert "synthetic 9" in connection.message
    again = trader.call(
        lambda channel: broker_service_pb2_grpc.BrokerServiceStub(channel).ReconnectBroker(
            broker_pb2.ReconnectBrokerRequest(account_id="paper", request_id="again"), timeout=30
        )
    )
    assert (again.connection.state, again.connection.message) == (broker_pb2.CONNECTION_STATE_CONNECTED, "")
    assert trader.standing() == before


def _amount(money: str) -> Decimal:
    """The amount of a `Money` as text."""
    return Decimal(money.partition('amount: "')[2].partition('"')[0] or 0)
