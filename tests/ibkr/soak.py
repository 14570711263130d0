"""The soak: orders without end at an emulated TWS, and something killed again and again; then the laws, by the
emulator's own log, orders and executions, and by the journal's file."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import grpc

from brokergate.adapters.connection.ids import VenueIds
from brokergate.adapters.ibkr.orders import MAX_REF_LENGTH
from brokergate.v1 import (
    enums_pb2,
    event_pb2,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
)
from tests.e2e.process import ServerProcess
from tests.e2e.recovery.calls import Calls, Refused
from tests.e2e.recovery.journal_file import JournalFile
from tests.e2e.recovery.laws import Books
from tests.e2e.recovery.readers import Reader
from tests.emulators.client import Emulator

ACCOUNT = "main"
"""As the readers have it."""
TRADED, HELD = "AAPL", "MSFT"
HELD_QUANTITY = Decimal(7)
"""Of what is never traded again: every reading shows it, or fails."""
CLIENTS = 6
BATCH = 8
LOTS = 3
BID, ASK = Decimal("189.99"), Decimal("190.01")
SIZE = 10_000_000
SETTLE_S = 120.0
STEP_S = 0.05
DOWN_S = 0.3
CONFIG = """\
accounts:
  main:
    broker: ibkr
    environment: paper
    connection: {{request_timeout_ms: 2000, quiet_timeout_ms: 2000, poll_interval_ms: 1000, quiet_period_ms: 500,
                 reconnect_max_ms: 1000}}
    ibkr:
      port: {port}
      instruments: [AAPL, MSFT]
      messages_per_second: {pace}
      absence_after_ms: 2500
"""
STATES = {
    "FILLED": enums_pb2.ORDER_STATE_FILLED,
    "CANCELED": enums_pb2.ORDER_STATE_CANCELED,
    "NEW": enums_pb2.ORDER_STATE_NEW,
    "PARTIALLY_FILLED": enums_pb2.ORDER_STATE_PARTIALLY_FILLED,
}


class LawBroken(AssertionError):
    """What is wrong."""


@dataclass
class Told:
    """What clients saw."""

    placed: dict[str, str] = field(default_factory=dict)
    """The order's id by the client's, as it was first answered."""
    cancelled: int = 0
    readings: int = 0
    failed_readings: int = 0
    wrong: list[str] = field(default_factory=list)


class Soak:
    """One run of `orders` orders; after every `every` of them something is killed: by turns the gateway, the TWS (which
    then gives its order ids anew), and both."""

    def __init__(self, folder: Path, seed: int, *, orders: int, every: int, pace: int) -> None:
        self.random = Random(seed)
        self.told = Told()
        self.calls = Calls()
        self.books = Books()
        self.kills: Counter[str] = Counter()
        self._orders, self._every, self._pace = orders, every, pace
        self._folder = folder
        self._ids = VenueIds(ACCOUNT, MAX_REF_LENGTH)
        self._begun = self._killings = 0
        self._killing = asyncio.Lock()

    async def run(self) -> str:
        """All of it; what there was of what. Raises `LawBroken`."""
        started = time.monotonic()
        self.venue = Emulator.start("tws")
        try:
            await self._prepare()
            file = self._folder / "brokergate.yaml"
            file.write_text(CONFIG.format(port=self.venue.port, pace=self._pace), "utf-8")
            self.server = ServerProcess(self._folder, "--config", file)
            await asyncio.to_thread(self.server.start)
            self.journal = JournalFile(self.server.data_dir, self._folder, ACCOUNT)
            try:
                await self._trade()
            finally:
                with suppress(AssertionError):
                    await asyncio.to_thread(self.server.close)
        finally:
            await asyncio.to_thread(self.venue.close)
        return self._summary(time.monotonic() - started)

    async def _prepare(self) -> None:
        await self.venue.reset()
        await self.venue.ask("limits", rate=10 * self._pace)
        for symbol in (TRADED, HELD):
            await self.venue.show(symbol, [(BID, SIZE)], [(ASK, SIZE)])

    async def _trade(self) -> None:
        async with grpc.aio.insecure_channel(self.server.address) as channel:
            self._stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
            self._positions: Any = position_service_pb2_grpc.PositionServiceStub(channel)
            readers = [
                Reader("all", channel, Random(1)),
                Reader("all, restless", channel, Random(2), leaves=0.02),
            ]
            reading = [asyncio.create_task(reader.run()) for reader in readers]
            await self._placed("held", order_pb2.OrderSpec(**_spec(HELD, HELD_QUANTITY, ASK)))
            await self._until("the held position is there", self._holds)
            looking = asyncio.create_task(self._look())
            try:
                await asyncio.gather(*(self._trader(number) for number in range(CLIENTS)))
                await self._until("everything is known", self._at_rest)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)
            await self._judge(readers)
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)

    # Trading

    async def _trader(self, number: int) -> None:
        """Places, singly and in batches; every other order rests, and is cancelled. Repeats what is not answered."""
        dice = Random(f"{number}/{self.random.random()}")
        resting: list[str] = []
        while self._begun < self._orders:
            count = min(dice.choice((1, 1, BATCH)), self._orders - self._begun)
            names = [f"s{self._begun + index}" for index in range(count)]
            self._begun += count
            rests = {name for name in names if dice.random() < 0.3}
            await asyncio.gather(*(self._order(name, dice, rests=name in rests) for name in names))
            resting += sorted(rests)
            while len(resting) > 2:
                await self._cancel(resting.pop(0))
            if self._begun // self._every > self._killings:
                self._killings += 1
                await self._kill(dice)
        for name in resting:
            await self._cancel(name)

    async def _order(self, name: str, dice: Random, *, rests: bool) -> None:
        buys = dice.random() < 0.5
        price = (BID - 20 if buys else ASK + 20) if rests else (ASK if buys else BID)
        await self._placed(
            name, order_pb2.OrderSpec(**_spec(TRADED, Decimal(dice.randint(1, LOTS)), price, buys=buys))
        )

    async def _placed(self, name: str, spec: order_pb2.OrderSpec) -> None:
        request = order_pb2.PlaceOrderRequest(account_id=ACCOUNT, client_order_id=name, order=spec)
        for _ in range(2):
            order = (await self.calls(self._stub.PlaceOrder, request, name)).order
            first = self.told.placed.setdefault(name, order.order_id)
            if order.order_id != first:
                self.told.wrong.append(f"law 2: {name} is {first}, and again {order.order_id}")

    async def _cancel(self, name: str) -> None:
        request = order_pb2.CancelOrderRequest(
            account_id=ACCOUNT, request_id=f"c-{name}", order=order_pb2.OrderRef(client_order_id=name)
        )
        with suppress(Refused):
            await self.calls(self._stub.CancelOrder, request, f"c-{name}")
            self.told.cancelled += 1

    async def _kill(self, dice: Random) -> None:
        """A forced restart, at any moment of what the others do."""
        async with self._killing:
            await asyncio.sleep(dice.random() * 0.3)
            what = ("gateway", "tws", "both")[self.kills.total() % 3]
            self.kills[what] += 1
            if what != "gateway":
                await self.venue.fault("restart", seconds=DOWN_S, roll_back=True)
            if what != "tws":
                await asyncio.to_thread(self.server.kill9)
                self._check_killed()
                await asyncio.to_thread(self.server.start)

    def _check_killed(self) -> None:
        """Laws 1, 5 and 7, of a gateway that was killed just now."""
        self.books.take(self.journal.read())
        asked = self._asked(self.venue.do("log", after=0))
        dispatched = {name for name, _ in self.books.dispatched}
        self._hold(
            [f"law 1: {name} reached the TWS, and is not in the file" for name in {*asked} - dispatched],
            self.books.twice,
        )

    # Looking

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            if (held := await self._reading()) is None:
                self.told.failed_readings += 1
            else:
                self.told.readings += 1
                if held != HELD_QUANTITY:
                    self.told.wrong.append(f"law 4: {held} was read of {HELD_QUANTITY}")

    async def _reading(self) -> Decimal | None:
        request = position_pb2.ListPositionsRequest(account_id=ACCOUNT)
        try:
            shown = await self._positions.ListPositions(request, timeout=3)
        except grpc.aio.AioRpcError:
            return None
        held = {position.symbol: Decimal(position.quantity) for position in shown.positions}
        return held.get(HELD, Decimal(0))

    async def _holds(self) -> bool:
        return await self._reading() == HELD_QUANTITY

    async def _at_rest(self) -> bool:
        request = order_pb2.ListOrdersRequest(account_id=ACCOUNT, open_only=True, page_size=1000)
        try:
            shown = await self._stub.ListOrders(request, timeout=3)
        except grpc.aio.AioRpcError:
            return False
        return not any(order.pending for order in shown.orders)

    async def _until(self, what: str, holds: Any) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not await holds():
            if time.monotonic() > deadline:
                raise LawBroken(f"not within {SETTLE_S:g} s: {what}; {self.server.log[-3000:]}")
            await asyncio.sleep(STEP_S)

    # Judging

    def _hold(self, *findings: Sequence[str]) -> None:
        wrong = [problem for found in findings for problem in found]
        if wrong:
            shown = "\n  ".join(wrong[:20])
            raise LawBroken(f"{len(wrong)} things are wrong after {dict(self.kills)}:\n  {shown}")

    async def _judge(self, readers: Sequence[Reader]) -> None:
        executed = await self.venue.fills()
        await self._until("every execution is booked", lambda: self._booked(len(executed)))
        await asyncio.sleep(2.0)
        await asyncio.to_thread(self.server.kill9)
        self._check_killed()
        requests, orders = await self.venue.log(), await self.venue.orders()
        times = Counter(self._asked(requests))
        self._hold(
            self.told.wrong,
            [
                f"law 2: the TWS was asked {count} times for {name}"
                for name, count in times.items()
                if count > 1
            ],
            [f"law 2: the TWS has {name} twice" for name in await self.venue.doubled()],
            self._same_orders(orders),
            [f"law 6: {wrong}" for reader in readers for wrong in reader.wrong],
            [
                f"law 6: {reader.name} has {reader.sequence} events of {len(self.journal.events)}"
                for reader in readers
                if reader.sequence != len(self.journal.events)
            ],
            self._same_fills(executed),
        )

    async def _booked(self, count: int) -> bool:
        self.books.take(self.journal.read())
        return len(self.books.fills) >= count

    def _same_orders(self, at_venue: Sequence[Any]) -> list[str]:
        """Law 3: each order stands as it does at the venue; what the venue never had ended REJECTED."""
        venue = {self._client(order["client_order_id"]): order for order in at_venue if not order["external"]}
        wrong = []
        for name in self.told.placed:
            order = self.books.find(name)
            shown = venue.get(name)
            if order is None:
                wrong.append(f"{name} was acknowledged, and is not in the journal")
            elif order.pending:
                wrong.append(f"law 3: {name} is not resolved")
            elif shown is None:
                if order.state != enums_pb2.ORDER_STATE_REJECTED:
                    wrong.append(f"law 3: {name} is {order.state}, and the TWS never had it")
            elif (order.state, Decimal(order.cum_quantity)) != (
                STATES.get(shown["state"]),
                Decimal(shown["cum_quantity"]),
            ):
                wrong.append(
                    f"law 3: {name} is {order.state} {order.cum_quantity}, at the TWS {shown['state']} "
                    f"{shown['cum_quantity']}"
                )
        return wrong

    def _same_fills(self, executed: Sequence[Any]) -> list[str]:
        """Law 7: each execution is booked once, on its order, with its figures."""
        wanted = Counter(
            (self._client(fill["client_order_id"]), Decimal(fill["quantity"]), Decimal(fill["price"]))
            for fill in executed
        )
        booked = Counter(
            (fill.client_order_id, Decimal(fill.quantity), Decimal(fill.price)) for fill in self.books.fills
        )
        wrong = [f"law 7: not booked: {each}" for each in wanted - booked]
        return [*wrong, *(f"law 7: booked, and never executed: {each}" for each in booked - wanted)]

    def _client(self, reference: str) -> str:
        """The client's id of an order, by what the TWS calls it."""
        own = self._ids.client_id(reference)
        return reference if own is None else own[0]

    def _asked(self, requests: Sequence[Any]) -> list[str]:
        """The orders that the TWS was asked to place, by the client's ids, in order."""
        return [
            self._client(entry["parameters"]["order_ref"]) for entry in requests if entry["kind"] == "place"
        ]

    def _summary(self, took_s: float) -> str:
        rejected = sum(order.state == enums_pb2.ORDER_STATE_REJECTED for order in self.books.orders.values())
        uncertain = sum(
            event.order.type == event_pb2.ORDER_EVENT_TYPE_UNCERTAIN for event in self.journal.events
        )
        return (
            f"{len(self.told.placed)} orders in {took_s:.0f} s, {sum(self.kills.values())} restarts "
            f"{dict(self.kills)}: {len(self.books.fills)} fills, {self.told.cancelled} cancels, {rejected} rejected, "
            f"{uncertain} uncertain for a time, {len(self.journal.events)} events, {self.calls.repeated} repeats, "
            f"{self.told.readings} readings and {self.told.failed_readings} that failed"
        )


def _spec(symbol: str, quantity: Decimal, price: Decimal, *, buys: bool = True) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "side": enums_pb2.SIDE_BUY if buys else enums_pb2.SIDE_SELL,
        "type": enums_pb2.ORDER_TYPE_LIMIT,
        "quantity": f"{quantity:f}",
        "limit_price": f"{price:f}",
        "time_in_force": enums_pb2.TIME_IN_FORCE_GTC,
    }
