"""Clients that trade: each a task with its own dice, its own ids, and the rules for repeating."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Any

import grpc

from brokergate.v1 import (
    enums_pb2,
    error_pb2,
    market_data_pb2,
    market_data_service_pb2_grpc,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
)
from tests.e2e.recovery.calls import PAUSE_S, Calls, Refused
from tests.e2e.recovery.gateway import ACCOUNT
from tests.e2e.recovery.record import ENDED, Record

MAX_OPEN = 12
"""Orders that one trader leaves open; beyond it the oldest is cancelled, so that what is open stays bounded."""


@dataclass(frozen=True)
class Instrument:
    """What is traded: where its price begins, its tick, and how much is an order."""

    symbol: str
    price: Decimal
    tick: Decimal
    lots: int
    lot: Decimal


INSTRUMENTS = (
    Instrument("AAPL", Decimal("190.00"), Decimal("0.01"), 20, Decimal(1)),
    Instrument("BTC/USDT", Decimal("60000.00"), Decimal("0.01"), 2000, Decimal("0.00001")),
    Instrument("EUR/USD", Decimal("1.08500"), Decimal("0.00001"), 5000, Decimal(1)),
)


class Market:
    """Where prices are, as far as the gateway tells it; the last that it told while it is down."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: Any = market_data_service_pb2_grpc.MarketDataServiceStub(channel)
        self.prices = {instrument.symbol: instrument.price for instrument in INSTRUMENTS}

    async def follow(self) -> None:
        """Asks, for ever."""
        while True:
            for symbol in self.prices:
                request = market_data_pb2.GetQuoteRequest(account_id=ACCOUNT, symbol=symbol)
                try:
                    quote = (await self._stub.GetQuote(request, timeout=1)).quote
                except grpc.aio.AioRpcError:
                    continue
                if quote.HasField("bid_price"):
                    self.prices[symbol] = Decimal(quote.bid_price)
            await asyncio.sleep(0.2)


class Trader:
    """One client. What it asks for is drawn from `random`; what it is told goes into `record`."""

    def __init__(
        self,
        name: str,
        channel: grpc.aio.Channel,
        random: Random,
        market: Market,
        calls: Calls,
        record: Record,
    ) -> None:
        self.name = name
        self.random = random
        self.calls = calls
        self.record = record
        self.stopping = False
        self._market = market
        self._orders: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        self._positions: Any = position_service_pb2_grpc.PositionServiceStub(channel)
        self._numbers = 0
        self._open: dict[str, order_pb2.Order] = {}

    async def run(self) -> None:
        """Trades until it is told to stop; ends when everything that it sent is answered."""
        while not self.stopping:
            await self.step()
            await asyncio.sleep(self.random.random() * 0.02)

    async def step(self) -> None:
        """One thing, and its answer."""
        if len(self._open) > MAX_OPEN:
            await self._cancel(next(iter(self._open)))
            return
        chance = self.random.random()
        if chance < 0.45 or not self._open:
            await self._place()
        elif chance < 0.55:
            await self._batch()
        elif chance < 0.72:
            await self._replace(self.random.choice(list(self._open)))
        elif chance < 0.88:
            await self._cancel(self.random.choice(list(self._open)))
        elif chance < 0.95:
            await self._tombstone()
        else:
            await self._close()

    # What is asked for

    def new_id(self) -> str:
        """An id that was never used."""
        self._numbers += 1
        return f"{self.name}-{self._numbers}"

    def spec(self) -> order_pb2.OrderSpec:
        """An order near the market: some fill at once, some rest for a moment, some for long, some are stops."""
        instrument = self.random.choice(INSTRUMENTS)
        side = self.random.choice((enums_pb2.SIDE_BUY, enums_pb2.SIDE_SELL))
        away = 1 if side == enums_pb2.SIDE_SELL else -1
        spec = order_pb2.OrderSpec(
            symbol=instrument.symbol,
            side=side,
            type=enums_pb2.ORDER_TYPE_LIMIT,
            quantity=f"{instrument.lot * self.random.randint(1, instrument.lots)}",
        )
        reference = self._market.prices[instrument.symbol]
        # From a little through the market to half a per cent away, in ticks.
        distance = int(
            reference * Decimal("0.005") / instrument.tick * Decimal(self.random.uniform(-0.1, 1) ** 3)
        )
        price = f"{reference + away * distance * instrument.tick:f}"
        kind = self.random.random()
        if kind < 0.15:
            spec.type = enums_pb2.ORDER_TYPE_MARKET
        elif kind < 0.25:
            spec.limit_price, spec.time_in_force = price, enums_pb2.TIME_IN_FORCE_IOC
        elif kind < 0.35:
            spec.type = enums_pb2.ORDER_TYPE_STOP
            spec.stop_price = f"{reference - away * abs(distance) * instrument.tick:f}"
        else:
            spec.limit_price, spec.time_in_force = price, enums_pb2.TIME_IN_FORCE_GTC
        return spec

    def told(self, order: order_pb2.Order) -> None:
        """Takes in what was told of an order."""
        self.record.order(order)
        self._open.pop(order.client_order_id, None)
        if order.state not in ENDED:
            self._open[order.client_order_id] = order

    async def ask(self, method: Callable[..., Any], request: Any, name: str) -> Any | None:
        """The answer; None for a refusal, which is counted."""
        try:
            return await self.calls(method, request, name)
        except Refused as refused:
            self.record.refused(type(request).__name__, refused.reason)
            return None

    def place_request(self, client_order_id: str, spec: order_pb2.OrderSpec) -> order_pb2.PlaceOrderRequest:
        """The request, its body kept so that it can be repeated much later."""
        self.record.bodies[client_order_id] = spec
        return order_pb2.PlaceOrderRequest(account_id=ACCOUNT, client_order_id=client_order_id, order=spec)

    async def _place(self) -> None:
        name = self.new_id()
        answer = await self.ask(self._orders.PlaceOrder, self.place_request(name, self.spec()), name)
        if answer is not None:
            self.told(answer.order)

    async def _batch(self) -> None:
        specs = {self.new_id(): self.spec() for _ in range(self.random.randint(2, 8))}
        self.record.bodies.update(specs)
        request = order_pb2.BatchPlaceOrdersRequest(
            account_id=ACCOUNT,
            orders=[order_pb2.BatchOrder(client_order_id=name, order=spec) for name, spec in specs.items()],
        )
        # An item that says UNAVAILABLE was not done: the same batch again, which repeats what was.
        while True:
            answer = await self.ask(self._orders.BatchPlaceOrders, request, f"batch {next(iter(specs))}")
            if answer is None:
                return
            if not any(again(result) for result in answer.results):
                break
            await asyncio.sleep(PAUSE_S)
        for result in answer.results:
            if result.HasField("order"):
                self.told(result.order)
            else:
                self.record.refused("batch item", item_reason(result))

    def replace_request(self, client_order_id: str) -> order_pb2.ReplaceOrderRequest:
        """A change of an order that was open when last heard of."""
        order = self._open[client_order_id]
        request = order_pb2.ReplaceOrderRequest(
            account_id=ACCOUNT,
            order=order_pb2.OrderRef(client_order_id=client_order_id),
            request_id=f"{self.new_id()}-r",
            expected_generation=order.generation,
        )
        other = self.spec()
        if order.spec.HasField("limit_price") and other.symbol == order.spec.symbol and other.limit_price:
            request.limit_price = other.limit_price
        else:
            instrument = next(each for each in INSTRUMENTS if each.symbol == order.spec.symbol)
            more = instrument.lot * self.random.randint(1, instrument.lots)
            request.quantity = f"{Decimal(order.quantity) + more:f}"
        return request

    async def _replace(self, client_order_id: str) -> None:
        request = self.replace_request(client_order_id)
        answer = await self.ask(self._orders.ReplaceOrder, request, request.request_id)
        if answer is not None:
            self.told(answer.order)
        else:
            # Whatever stood against it, what is known of the order is old.
            await self._look(client_order_id)

    async def _look(self, client_order_id: str) -> None:
        request = order_pb2.GetOrderRequest(
            account_id=ACCOUNT, order=order_pb2.OrderRef(client_order_id=client_order_id)
        )
        answer = await self.ask(self._orders.GetOrder, request, f"look at {client_order_id}")
        if answer is not None:
            self.told(answer.order)

    def cancel_request(self, client_order_id: str) -> order_pb2.CancelOrderRequest:
        """A cancel of an order that may be open."""
        return order_pb2.CancelOrderRequest(
            account_id=ACCOUNT,
            order=order_pb2.OrderRef(client_order_id=client_order_id),
            request_id=f"{self.new_id()}-c",
        )

    async def _cancel(self, client_order_id: str) -> None:
        request = self.cancel_request(client_order_id)
        answer = await self.ask(self._orders.CancelOrder, request, request.request_id)
        if answer is not None:
            self.told(answer.order)
        else:
            await self._look(client_order_id)

    async def _tombstone(self) -> None:
        """Sets an id aside, before it is placed or while it is; once that is answered it must never reach the venue."""
        name = self.new_id()
        request = self.cancel_request(name)
        request.if_unknown = order_pb2.IF_UNKNOWN_TOMBSTONE
        place = self.place_request(name, self.spec())
        if self.random.random() < 0.5:
            answer = await self.ask(self._orders.CancelOrder, request, request.request_id)
            placed = await self.ask(self._orders.PlaceOrder, place, name)
        else:
            answer, placed = await asyncio.gather(
                self.ask(self._orders.CancelOrder, request, request.request_id),
                self.ask(self._orders.PlaceOrder, place, name),
            )
        if answer is not None and not answer.HasField("order"):
            self.record.tombstones.add(name)
        if placed is not None:
            self.told(placed.order)
            if answer is not None and answer.HasField("order"):
                await self._look(name)

    async def _close(self) -> None:
        name = self.new_id()
        request = position_pb2.ClosePositionRequest(
            account_id=ACCOUNT, symbol=self.random.choice(INSTRUMENTS).symbol, request_id=name
        )
        answer = await self.ask(self._positions.ClosePosition, request, name)
        if answer is not None:
            self.told(answer.order)


class StreamTrader(Trader):
    """The same over StreamOrderEntry: commands in bundles; what was not answered when the stream broke goes into the
    next one, with its ids."""

    async def run(self) -> None:
        unanswered: dict[str, order_pb2.OrderCommand] = {}
        while not self.stopping or unanswered:
            try:
                await self._stream(unanswered)
            except grpc.aio.AioRpcError as error:
                self.calls.repeated += 1
                for name in unanswered:
                    self.calls.open[name] = f"{error.code().name}: {error.details()}"
            await asyncio.sleep(PAUSE_S)

    async def _stream(self, unanswered: dict[str, order_pb2.OrderCommand]) -> None:
        due = list(unanswered)

        async def requests() -> AsyncIterator[order_pb2.StreamOrderEntryRequest]:
            while not self.stopping or unanswered:
                commands = [unanswered[name] for name in due]
                due.clear()
                if not self.stopping and len(unanswered) < 20:
                    fresh = [self._command() for _ in range(self.random.randint(1, 6))]
                    for command in fresh:
                        unanswered[command.request_id] = command
                        self.calls.open[command.request_id] = "sent"
                    commands += fresh
                if commands:
                    yield order_pb2.StreamOrderEntryRequest(commands=commands)
                await asyncio.sleep(0.01 + self.random.random() * 0.05)

        stream = self._orders.StreamOrderEntry(requests())
        try:
            async for response in stream:
                for result in response.results:
                    if again(result):
                        due.append(result.request_id)
                    else:
                        self._result(result, unanswered)
                if response.HasField("closing"):
                    return
        finally:
            stream.cancel()

    def _result(
        self, result: order_pb2.OrderCommandResult, unanswered: dict[str, order_pb2.OrderCommand]
    ) -> None:
        if unanswered.pop(result.request_id, None) is None:
            self.record.wrong.append(f"{self.name}: {result.request_id} was answered twice in one stream")
            return
        self.calls.answered += 1
        self.calls.open.pop(result.request_id, None)
        if result.HasField("order"):
            self.told(result.order)
        elif result.HasField("error"):
            self.record.refused("streamed command", item_reason(result))

    def _command(self) -> order_pb2.OrderCommand:
        command = order_pb2.OrderCommand()
        chance = self.random.random()
        if chance < 0.6 or not self._open:
            name = self.new_id()
            command.request_id = name
            command.place.CopyFrom(self.place_request(name, self.spec()))
            return command
        chosen = self.random.choice(list(self._open))
        if chance < 0.75:
            command.replace.CopyFrom(self.replace_request(chosen))
            command.request_id = command.replace.request_id
        else:
            command.cancel.CopyFrom(self.cancel_request(chosen))
            command.request_id = command.cancel.request_id
            # Not chosen again before its answer.
            self._open.pop(chosen)
        return command


_AGAIN = {grpc.StatusCode.UNAVAILABLE.value[0], grpc.StatusCode.ABORTED.value[0]}


def again(result: order_pb2.OrderResult | order_pb2.OrderCommandResult) -> bool:
    """Whether an item says that it is to be repeated."""
    return result.HasField("error") and result.error.code in _AGAIN


def item_reason(result: order_pb2.OrderResult | order_pb2.OrderCommandResult) -> str:
    """Why an item was refused."""
    return error_pb2.ErrorReason.Name(result.error.reason).removeprefix("ERROR_REASON_")
