"""Brackets and OCO groups on a paper account over gRPC, on a market that the test pushes; killed in the middle."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from brokergate.v1 import market_data_pb2, order_pb2, order_service_pb2_grpc, simulator_pb2
from brokergate.v1.simulator_service_pb2_grpc import SimulatorServiceStub
from brokergate_client import (
    AlreadyExistsError,
    BatchOrder,
    ErrorReason,
    Gateway,
    InvalidRequestError,
    LinkedOrder,
    NotFoundError,
    Order,
    OrderState,
    Placed,
    PreconditionError,
    Side,
    bracket,
    encode,
    limit_order,
    market_order,
    stop_order,
)
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, run_brokergate

BTC = "BTC/USDT"
CONFIG = """
accounts:
  paper:
    broker: paper
    trading: {enabled: true}
    paper:
      initial_balance: {USDT: "100000", BTC: "1"}
      feed: {push: {instruments: [{symbol: BTC/USDT, price_increment: "0.01", quantity_increment: "0.001"}]}}
"""
NAMES = ("e", "e-tp", "e-sl")


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """A server with a market that is pushed."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(CONFIG)
    return start_server("--config", config)


class Desk:
    """A client, and the market that it trades on."""

    def __init__(self, server: ServerProcess, gateway: Gateway) -> None:
        self.server = server
        self.gateway = gateway

    def market(self, bid: str, ask: str, size: str = "10", ask_size: str | None = None) -> None:
        """The book becomes one level a side, and its fills are booked."""
        book = market_data_pb2.Book(
            symbol=BTC,
            bids=[market_data_pb2.BookLevel(price=bid, quantity=size)],
            asks=[market_data_pb2.BookLevel(price=ask, quantity=ask_size or size)],
        )
        book.event_time.FromNanoseconds(time.time_ns())
        self.push(market_data_pb2.MarketDataUpdate(book=book))

    def trade(self, price: str, size: str, side: Side) -> None:
        """Somebody trades."""
        trade = market_data_pb2.Trade(symbol=BTC, price=price, quantity=size)
        trade.aggressor_side = int(side)  # type: ignore[assignment]
        trade.event_time.FromNanoseconds(time.time_ns())
        self.push(market_data_pb2.MarketDataUpdate(trade=trade))

    def push(self, update: market_data_pb2.MarketDataUpdate) -> None:
        request = simulator_pb2.PushMarketDataRequest(account_id="paper", updates=[update])
        with self.server.channel() as channel:
            SimulatorServiceStub(channel).PushMarketData(iter([request]), timeout=30)

    async def place(self, quantity: str = "0.4", price: str = "99", **legs: Any) -> Placed:
        """A bracket that buys at `price`, takes its profit at 120 and gives up at 80."""
        spec = bracket(
            limit_order(BTC, Side.BUY, quantity, price), **({"take_profit": "120", "stop_loss": "80"} | legs)
        )
        return await self.gateway.place("paper", spec, client_order_id="e")

    async def order(self, name: str) -> Order:
        return await self.gateway.order("paper", client_order_id=name)

    async def states(self, names: tuple[str, ...] = NAMES) -> list[str]:
        return [OrderState((await self.order(name)).state).name for name in names]

    async def position(self) -> Decimal:
        return sum([held.quantity for held in await self.gateway.positions("paper")], Decimal())

    async def fills(self) -> list[tuple[str, Decimal, Decimal]]:
        return [
            (fill.client_order_id, fill.quantity, fill.price)
            async for fill in self.gateway.fill_history("paper")
        ][::-1]


@asynccontextmanager
async def trading(server: ServerProcess) -> AsyncIterator[Desk]:
    async with Gateway.connect(server.address) as gateway:
        desk = Desk(server, gateway)
        desk.market("100", "101")
        yield desk


async def test_a_bracket_takes_its_profit(server: ServerProcess) -> None:
    """The entry fills, the take-profit fills in two parts, and the stop shrinks and goes."""
    async with trading(server) as at:
        held = await at.position()
        answer = await at.place()
        entry, (profit, loss) = answer.order, answer.linked_orders
        assert [order.client_order_id for order in (entry, profit, loss)] == list(NAMES)
        assert {order.group_id for order in (entry, profit, loss)} == {entry.order_id}
        assert await at.states() == ["NEW"] * 3
        # The legs sleep: what is beyond them closes nothing while nothing is bought.
        at.market("120", "121")
        at.market("100", "101")
        assert await at.states() == ["NEW"] * 3
        at.market("98", "98.5")
        assert await at.states() == ["FILLED", "NEW", "NEW"]
        assert await at.position() - held == Decimal("0.4")
        at.market("120", "121", size="0.1")
        profit, loss = await at.order("e-tp"), await at.order("e-sl")
        assert (profit.cum_quantity, loss.quantity, loss.leaves_quantity) == (
            Decimal("0.1"),
            Decimal("0.3"),
            Decimal("0.3"),
        )
        assert loss.generation == 2
        at.market("120.5", "121", size="5")
        assert await at.states() == ["FILLED", "FILLED", "CANCELED"]
        loss = await at.order("e-sl")
        assert loss.reject_reason == ErrorReason.LINKED_ORDER
        assert loss.reject_message
        assert await at.position() == held


async def test_a_stop_that_the_market_leaps_over_closes_at_the_market(server: ServerProcess) -> None:
    async with trading(server) as at:
        held = await at.position()
        await at.place()
        at.market("98", "98.5")
        at.market("70", "71")
        assert await at.states() == ["FILLED", "CANCELED", "FILLED"]
        assert (await at.fills())[-1] == ("e-sl", Decimal("0.4"), Decimal(70))
        assert await at.position() == held
        assert (await at.order("e-tp")).reject_reason == ErrorReason.LINKED_ORDER


async def test_legs_close_no_more_than_the_entry_has_filled(server: ServerProcess) -> None:
    """A quarter of the entry fills, then it is cancelled: the legs are left with that quarter."""
    async with trading(server) as at:
        held = await at.position()
        await at.place()
        at.market("98", "98.9", ask_size="0.1")
        assert (await at.order("e")).cum_quantity == Decimal("0.1")
        await at.gateway.cancel("paper", client_order_id="e")
        assert await at.states() == ["CANCELED", "NEW", "NEW"]
        assert [(await at.order(leg)).quantity for leg in NAMES[1:]] == [Decimal("0.1")] * 2
        at.market("130", "131")
        assert await at.states() == ["CANCELED", "FILLED", "CANCELED"]
        assert await at.position() == held


async def test_a_part_that_fills_is_protected_at_once(server: ServerProcess) -> None:
    async with trading(server) as at:
        held = await at.position()
        await at.place()
        at.market("98", "98.9", ask_size="0.1")
        at.market("79", "99.5")
        fills = await at.fills()
        assert fills[-1] == ("e-sl", Decimal("0.1"), Decimal(79))
        assert await at.position() == held
        entry, loss = await at.order("e"), await at.order("e-sl")
        assert (loss.state, loss.cum_quantity) == (OrderState.FILLED, Decimal("0.1"))
        # The sale would have met the rest of the entry, which bids more than anybody else now.
        assert (entry.state, entry.cum_quantity) == (OrderState.CANCELED, Decimal("0.1"))
        assert entry.reject_message


async def test_a_cancelled_entry_takes_its_legs_with_it(server: ServerProcess) -> None:
    async with trading(server) as at:
        await at.place()
        await at.gateway.cancel("paper", client_order_id="e")
        assert await at.states() == ["CANCELED"] * 3
        assert (await at.order("e-tp")).reject_reason == ErrorReason.LINKED_ORDER


async def test_one_of_an_oco_group_fills(server: ServerProcess) -> None:
    async with trading(server) as at:
        high = limit_order(BTC, Side.SELL, "0.5", "110")
        low = LinkedOrder(stop_order(BTC, Side.SELL, "0.5", "90"))
        answer = await at.gateway.place("paper", high, client_order_id="o", oco=[low])
        assert [order.client_order_id for order in answer.linked_orders] == ["o-2"]
        at.market("110", "111", size="0.2")
        assert (await at.order("o-2")).leaves_quantity == Decimal("0.3")
        at.market("85", "86")
        assert await at.states(("o", "o-2")) == ["CANCELED", "FILLED"]
        assert await at.fills() == [
            ("o", Decimal("0.2"), Decimal(110)),
            ("o-2", Decimal("0.3"), Decimal(85)),
        ]
        again = await at.gateway.place("paper", high, client_order_id="o", oco=[low])
        assert again.already_existed
        assert [order.state for order in again.linked_orders] == [OrderState.FILLED]


async def test_a_repeat_of_every_request_does_nothing_twice(server: ServerProcess) -> None:
    async with trading(server) as at:
        first = await at.place()
        assert not first.already_existed
        again = await at.place()
        assert (again.already_existed, again.order, again.linked_orders) == (
            True,
            first.order,
            first.linked_orders,
        )
        one = await at.gateway.cancel("paper", client_order_id="e", request_id="c")
        assert await at.gateway.cancel("paper", client_order_id="e", request_id="c") == one
        again = await at.place()
        assert [order.state for order in (again.order, *again.linked_orders)] == [OrderState.CANCELED] * 3
        with pytest.raises(AlreadyExistsError):
            await at.place(quantity="0.3")
        with pytest.raises(AlreadyExistsError):
            await at.gateway.place("paper", limit_order(BTC, Side.BUY, "0.1", "9"), client_order_id="e-tp")


async def test_a_kill_in_the_middle_loses_nothing(server: ServerProcess) -> None:
    async with trading(server) as at:
        held = await at.position()
        first = await at.place()
        at.market("98", "98.9", ask_size="0.1")
        assert (await at.order("e")).cum_quantity == Decimal("0.1")
        server.kill9()
        server.restart()
        assert (await at.order("e")).cum_quantity == Decimal("0.1")
        assert (await at.place()).already_existed
        at.market("98", "98.9", ask_size="5")
        assert await at.states() == ["FILLED", "NEW", "NEW"]
        at.market("120", "121", size="0.1")
        assert (await at.order("e-sl")).generation == 2
        server.kill9()
        server.restart()
        loss = await at.order("e-sl")
        assert (loss.group_id, loss.quantity) == (first.order.order_id, Decimal("0.3"))
        at.market("79", "79.5")
        assert await at.states() == ["FILLED", "CANCELED", "FILLED"]
        assert await at.position() == held


async def test_an_emergency_stop_of_an_open_bracket(server: ServerProcess) -> None:
    """It keeps the stop-loss where that is asked for, and cancels the rest; flattened, nothing is left."""
    async with trading(server) as at:
        await at.place()
        at.market("98", "98.9", ask_size="0.1")
        stopped = await at.gateway.control.stop(reason="test", keep_protective_stops=True)
        async for update in at.gateway.control.progress(stopped):
            if update.proven:
                break
        assert await at.states() == ["CANCELED", "CANCELED", "NEW"]
        assert (await at.order("e-sl")).leaves_quantity == Decimal("0.1")
        refused = await at.gateway.place(
            "paper", bracket(market_order(BTC, Side.BUY, "0.1"), stop_loss="80"), client_order_id="f"
        )
        assert [order.reject_reason for order in (refused.order, *refused.linked_orders)] == [
            ErrorReason.TRADING_STOPPED
        ] * 2
        at.market("79", "79.5")
        assert await at.states() == ["CANCELED", "CANCELED", "FILLED"]


async def test_what_cannot_be_a_group_is_refused_by_its_field(server: ServerProcess) -> None:
    async with trading(server) as at:
        with pytest.raises(InvalidRequestError) as caught:
            await at.place(take_profit="90")
        assert [found.field for found in caught.value.violations] == ["order.take_profit.limit_price"]
        with pytest.raises(InvalidRequestError) as caught:
            await at.place(stop_loss="80.005")
        assert [found.field for found in caught.value.violations] == ["order.stop_loss.stop_price"]
        other = LinkedOrder(limit_order(BTC, Side.SELL, "0.3", "110"))
        with pytest.raises(InvalidRequestError) as caught:
            await at.gateway.place("paper", limit_order(BTC, Side.SELL, "0.5", "120"), oco=[other])
        assert [found.field for found in caught.value.violations] == ["oco_orders[0].order.quantity"]
        for name in NAMES:
            with pytest.raises(NotFoundError):
                await at.order(name)


async def test_what_the_venue_refuses_is_refused_whole(server: ServerProcess) -> None:
    async with trading(server) as at:
        answer = await at.place(quantity="5000")
        assert await at.states() == ["REJECTED"] * 3
        assert answer.order.reject_reason == ErrorReason.INSUFFICIENT_FUNDS
        at.market("98", "98.5", size="10000")
        assert await at.states() == ["REJECTED"] * 3


async def test_the_quantity_of_a_leg_is_its_groups(server: ServerProcess) -> None:
    async with trading(server) as at:
        await at.place()
        with pytest.raises(InvalidRequestError, match="group"):
            await at.gateway.replace("paper", client_order_id="e-tp", expected_generation=1, quantity="0.1")
        moved = await at.gateway.replace(
            "paper", client_order_id="e-tp", expected_generation=1, limit_price="125"
        )
        assert moved.spec.limit_price == Decimal(125)
        at.market("98", "98.5")
        at.market("121", "122")
        assert await at.states() == ["FILLED", "NEW", "NEW"]
        at.market("125", "126")
        assert await at.states() == ["FILLED", "FILLED", "CANCELED"]


async def test_brackets_in_a_batch_and_on_a_stream(server: ServerProcess) -> None:
    """Their legs come as events, and are found by their ids."""
    async with trading(server) as at:
        spec = bracket(limit_order(BTC, Side.BUY, "0.1", "99"), take_profit="120", stop_loss="80")
        (result,) = await at.gateway.batch_place("paper", [BatchOrder(spec, "b")])
        assert result.order is not None
        assert (await at.order("b-sl")).group_id == result.order.order_id
        place = order_pb2.PlaceOrderRequest(
            account_id="paper", client_order_id="s", order=encode.order_spec(encode.named(spec, "s"))
        )
        command = order_pb2.OrderCommand(request_id="1", place=place)
        with server.channel() as channel:
            stub = order_service_pb2_grpc.OrderServiceStub(channel)
            answers = stub.StreamOrderEntry(
                iter([order_pb2.StreamOrderEntryRequest(commands=[command])]), timeout=30
            )
            results = list(itertools.chain.from_iterable(answer.results for answer in answers))
        assert [found.order.client_order_id for found in results] == ["s"]
        assert await at.states(("s", "s-tp", "s-sl")) == ["NEW"] * 3
        preview = await at.gateway.preview("paper", spec)
        assert preview.rejection is None


async def test_a_lease_leaves_the_legs_of_what_was_filled(server: ServerProcess) -> None:
    """The client of a stream goes away: the entry's rest is cancelled, and what it filled stays protected."""
    async with trading(server) as at:
        spec = bracket(limit_order(BTC, Side.BUY, "0.4", "99"), take_profit="120", stop_loss="80")
        place = order_pb2.PlaceOrderRequest(
            account_id="paper", client_order_id="e", order=encode.order_spec(encode.named(spec, "e"))
        )
        request = order_pb2.StreamOrderEntryRequest(
            commands=[order_pb2.OrderCommand(request_id="1", place=place)],
            cancel_on_disconnect=order_pb2.CancelOnDisconnect(enabled=True),
        )
        with server.channel() as channel:
            call = order_service_pb2_grpc.OrderServiceStub(channel).StreamOrderEntry(once_and_wait(request))
            next(call)
            at.market("98", "98.9", ask_size="0.1")
            call.cancel()
        await eventually(at.states, ["CANCELED", "NEW", "NEW"])
        assert (await at.order("e-sl")).leaves_quantity == Decimal("0.1")


def once_and_wait(
    request: order_pb2.StreamOrderEntryRequest,
) -> Iterator[order_pb2.StreamOrderEntryRequest]:
    """The request, and then nothing, as long as the stream is up."""
    yield request
    threading.Event().wait(30)


async def eventually(look: Callable[[], Any], wanted: object) -> None:
    deadline = time.monotonic() + 20
    while (seen := await look()) != wanted:
        assert time.monotonic() < deadline, seen


async def test_the_command_line_places_a_bracket(server: ServerProcess) -> None:
    async with trading(server) as at:
        done = run_brokergate(
            *("order", "place", "--symbol", BTC, "--side", "buy", "--quantity", "0.1", "--id", "e"),
            *("--take-profit", "120", "--stop-loss", "80"),
            env={"BROKERGATE_ADDRESS": server.address},
        )
        assert done.returncode == 0, done.stderr
        assert [row.split()[2] for row in done.stdout.splitlines()[1:]] == list(NAMES)
        assert await at.states() == ["FILLED", "NEW", "NEW"]
        with pytest.raises(PreconditionError):
            await at.gateway.cancel("paper", client_order_id="e")


LATE = CONFIG + "      latency: {request: {constant_ms: 5}, response: {constant_ms: 5}}\n"


@pytest.fixture
def late_server(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """The same with a line between the gateway and the venue."""
    config = tmp_path / "late.yaml"
    config.write_text(LATE)
    return start_server("--config", config)


async def test_a_bracket_across_a_line(late_server: ServerProcess) -> None:
    """Intent, sending and answer apart: the group is as whole, and a kill between finds it again."""
    async with trading(late_server) as at:
        held = await at.position()
        answer = await at.place()
        assert [order.group_id for order in answer.linked_orders] == [answer.order.order_id] * 2
        at.market("98", "98.9", ask_size="0.1")
        await eventually(at.position, held + Decimal("0.1"))
        late_server.kill9()
        late_server.restart()
        at.market("98", "98.9", ask_size="5")
        await eventually(at.states, ["FILLED", "NEW", "NEW"])
        at.market("120", "121", size="0.1")

        async def total() -> Decimal:
            return (await at.order("e-sl")).quantity

        await eventually(total, Decimal("0.3"))
        at.market("79", "79.5")
        await eventually(at.states, ["FILLED", "CANCELED", "FILLED"])
        assert await at.position() == held
