"""The rounds: load, a kill at a random moment, the laws, and again; at the end all is held against all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.v1 import (
    account_pb2,
    account_service_pb2_grpc,
    broker_pb2,
    broker_service_pb2_grpc,
    event_pb2,
    fill_pb2,
    order_pb2,
    order_service_pb2_grpc,
    position_pb2,
    position_service_pb2_grpc,
)
from tests.e2e.recovery import laws
from tests.e2e.recovery.calls import Calls, Refused
from tests.e2e.recovery.gateway import ACCOUNT, GatewayProcess
from tests.e2e.recovery.journal_file import JournalFile
from tests.e2e.recovery.readers import FillReader, Reader
from tests.e2e.recovery.record import Record
from tests.e2e.recovery.traders import Market, StreamTrader, Trader
from tests.venue.core import VenueRules
from tests.venue.log import Entry, SentTwice
from tests.venue.process import VenueProcess

RATES = {
    "lose_request": 0.004,
    "lose_answer": 0.01,
    "delay_request": 0.03,
    "delay_answer": 0.03,
    "cut_before": 0.0005,
    "cut_after": 0.001,
    "garble_answer": 0.006,
    "fail": 0.005,
    "max_delay_ms": 150,
    "lose_events": 0.003,
    "duplicate_events": 0.05,
    "reorder_events": 0.2,
    "delay_events": 0.05,
}
TIMEOUT_MS = 400
"""How long the gateway waits for the venue's answer."""
ORDER_LATENCY_MS = 300
"""How long the venue does not show an order that it has: the first that is asked after an unknown answer is "no"."""
ABSENCE_AFTER_MS = 900
"""What the venue declares: above its longest delay and that, with room for a machine that is busy."""
WORK_S = 1.8
"""How much of work a kill may come after, beside the start."""
SETTLE_S = 60.0
"""How long the last life may take until everything is answered and proven."""

CHANNEL_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
    ("grpc.use_local_subchannel_pool", 1),
)


class LawBroken(AssertionError):
    """What is wrong, after which round."""


class Rounds:
    """One run. `folder` keeps everything that it writes; `seed` decides what is asked for and when what is killed (not
    what the processes make of it: they run in real time)."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.record = Record()
        self.calls = Calls()
        self.books = laws.Books()
        self.done = 0
        self.venue = VenueProcess(
            folder, seed, RATES, "--page", "40", "--order-latency-ms", str(ORDER_LATENCY_MS)
        )
        self._folder = folder
        self._seed = seed
        self._sent_twice = SentTwice()
        self._entries: list[Entry] = []
        self._log_offset = 0
        self._faults: dict[str, int] = {}
        self._told = 0
        self._traders: list[Trader] = []
        self._readers: list[Reader] = []
        self._checked: dict[str, int] = {}

    async def run(self, rounds: int) -> str:
        """All of it; returns what there was of what. Raises `LawBroken`."""
        self.venue.start()
        self.gateway = GatewayProcess(
            self._folder, self.venue.port, timeout_ms=TIMEOUT_MS, absence_after_ms=ABSENCE_AFTER_MS
        )
        self.journal = JournalFile(self.gateway.data_dir, self._folder, ACCOUNT)
        try:
            self.gateway.launch()
            start_s = await self.gateway.listening()
            async with self._channel() as channel:
                await self._connected(channel)
                async with self._tasks(channel):
                    for _ in range(rounds):
                        await self._round(start_s)
                    await self._finish(channel)
            self._faults = self.venue.injected()
        finally:
            self.gateway.close()
            self.venue.close()
        return self._summary(rounds)

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[grpc.aio.Channel]:
        async with grpc.aio.insecure_channel(self.gateway.address, options=CHANNEL_OPTIONS) as channel:
            yield channel

    @asynccontextmanager
    async def _tasks(self, channel: grpc.aio.Channel) -> AsyncIterator[None]:
        """Clients and readers; one that fails ends the run, with its error."""
        market = Market(channel)
        self._market = market
        kinds: list[type[Trader]] = [Trader, Trader, Trader, Trader, StreamTrader, StreamTrader]
        self._traders = [
            kind(f"c{index}", channel, Random(f"{self._seed}/c{index}"), market, self.calls, self.record)
            for index, kind in enumerate(kinds)
        ]
        dice = [Random(f"{self._seed}/r{index}") for index in range(4)]
        self._readers = [
            Reader("all", channel, dice[0]),
            Reader("all, restless", channel, dice[1], leaves=0.05),
            Reader("orders", channel, dice[2], (event_pb2.EVENT_KIND_ORDER,), leaves=0.02),
            FillReader("fills", channel, dice[3], leaves=0.02),
        ]
        self._trading = [asyncio.create_task(trader.run()) for trader in self._traders]
        reading = [asyncio.create_task(reader.run()) for reader in self._readers]
        others = [*reading, asyncio.create_task(market.follow())]
        try:
            yield
        finally:
            for task in (*self._trading, *others):
                task.cancel()
            await asyncio.gather(*self._trading, *others, return_exceptions=True)

    # A round

    async def _round(self, start_s: float) -> None:
        """Load until a moment drawn evenly over start, recovery and work; then `kill -9`, the laws, and a new life."""
        moment_s = self.random.uniform(0, start_s + WORK_S)
        trouble_s = self.random.uniform(0, moment_s)
        await asyncio.sleep(trouble_s)
        chance = self.random.random()
        if chance < 0.15:
            self.venue.drop()
        elif chance < 0.25:
            self.venue.go_away(self.random.randint(100, 1000))
        elif chance < 0.4:
            self.venue.place_external(self._external())
        await asyncio.sleep(moment_s - trouble_s)
        if self.random.random() < 0.4:
            await self._request_under_way()
        self._alive()
        self.gateway.kill()
        self.done += 1
        self._check()
        self.gateway.launch()
        if self.gateway.lives % 10 == 0:
            # So that no machine is so slow that every life is killed before it has begun.
            await self.gateway.listening()
            await asyncio.sleep(WORK_S)

    async def _request_under_way(self) -> None:
        """Returns as soon as the venue has been asked for something: between a request and its answer. After a while
        in any case: the gateway may not have begun."""
        before = self.venue.log_path.stat().st_size
        for _ in range(1000):
            if self.venue.log_path.stat().st_size != before:
                return
            await asyncio.sleep(0)

    def _external(self) -> OrderSpec:
        """An order of somebody else's: it rests a little below the market, or takes at once."""
        price = self._market.prices["AAPL"]
        limit = price + Decimal(self.random.choice((-20, -3, 50))) / 100
        return OrderSpec(
            symbol="AAPL",
            side=Side.BUY,
            type=OrderType.LIMIT,
            quantity=Decimal(self.random.randint(1, 30)),
            limit_price=limit,
            time_in_force=TimeInForce.GTC,
        )

    def _alive(self) -> None:
        """Nobody has given up."""
        for task in self._trading:
            if task.done() and not self._traders[0].stopping:
                task.result()
                raise LawBroken("a client stopped by itself")
        self._hold(self.record.wrong, [each for reader in self._readers for each in reader.wrong])

    def _check(self) -> None:
        """What must hold at the moment of a kill."""
        self.books.take(self.journal.read())
        entries, self._log_offset = self.venue.log_after(self._log_offset)
        self._entries += entries
        told, self._told = self.record.told[self._told :], len(self.record.told)
        self._hold(
            laws.sent_once(self._sent_twice, entries),
            laws.durable_before_sent(entries, self.books),
            laws.acknowledged(told, self.books),
            self.books.twice,
        )
        for reader in self._readers:
            seen = reader.events[self._checked.get(reader.name, 0) :]
            self._checked[reader.name] = len(reader.events)
            self._hold(laws.streamed(reader.name, seen, self.journal.events))

    def _hold(self, *findings: Sequence[str]) -> None:
        wrong = [problem for found in findings for problem in found]
        if wrong:
            shown = "\n  ".join(wrong[:20])
            raise LawBroken(f"after {self.done} kills, {len(wrong)} things are wrong:\n  {shown}")

    # The end

    async def _finish(self, channel: grpc.aio.Channel) -> None:
        """Lets everything come to rest, and holds all against all."""
        await self.gateway.listening()
        self.venue.set_rates()
        for trader in self._traders:
            trader.stopping = True
        _, late = await asyncio.wait(self._trading, timeout=SETTLE_S)
        if late:
            raise LawBroken(f"never answered, with the last word that came: {self.calls.open}")
        for task in self._trading:
            task.result()
        self.venue.freeze()
        # What a healthy connection lost on its way is fetched by the next one, or by the next start.
        if self.random.random() < 0.5:
            await self.gateway.terminate()
            self._check()
            self.gateway.launch()
            await self.gateway.listening()
        else:
            broker: Any = broker_service_pb2_grpc.BrokerServiceStub(channel)
            request = broker_pb2.ReconnectBrokerRequest(account_id=ACCOUNT, request_id="the-last-one")
            await self.calls(broker.ReconnectBroker, request, "reconnect")
        await self._connected(channel)
        await self._until(channel, "nothing is under way", self._at_rest)
        orders, fills, held, balances = await self._lists(channel)
        await self._repeat_old(channel)
        await self._readers_rest()
        self.gateway.kill()
        self._check()
        self._hold(
            [
                f"law 6: {reader.name} has {reader.sequence} events of {len(self.journal.events)}"
                for reader in self._readers[:2]
                if reader.sequence != len(self.journal.events)
            ]
        )
        self._hold(
            *self._final(), laws.listed_orders(orders, self.books), laws.listed_fills(fills, self.books)
        )
        self._hold(
            laws.equal("ListPositions and Σ fills", held, laws.positions(self.books)),
            laws.equal("ListBalances and the venue's", balances, self._venue_cash()),
        )

    def _final(self) -> list[list[str]]:
        books, entries = self.books, self._entries
        venue = {
            shown.client_order_id: laws.VenueView(
                generation, shown.state, shown.cum_quantity, shown.broker_order_id
            )
            for generation, shown in self.venue.orders()
            if shown.client_order_id
        }
        at_venue = {position.symbol: position.quantity for position in self.venue.positions()}
        start = dict(VenueRules().initial_balances)
        filled = [event.fill.fill.fill_id for event in self._readers[3].events if event.HasField("fill")]
        journalled = [fill.fill_id for fill in books.fills]
        return [
            laws.acknowledged(self.record.told, books),
            laws.all_fills(entries, books),
            laws.nothing_uncertain(books),
            laws.same_orders(venue, books),
            laws.tombstones_hold(self.record, entries, books),
            laws.equal("positions: Σ fills and the venue's", laws.positions(books), at_venue),
            laws.equal("positions: Σ fills and the events'", laws.positions(books), books.positions),
            laws.equal("cash: Σ fills and the venue's", laws.cash(books, start), self._venue_cash()),
            [] if filled == journalled else ["law 6: StreamFills gave other fills than the journal has"],
            [
                f"law 6: {reader.name} saw {len(reader.epochs)} epochs, though nothing was lost"
                for reader in self._readers
                if len(reader.epochs) != 1
            ],
        ]

    def _venue_cash(self) -> dict[str, Decimal]:
        return {balance.currency: balance.total for balance in self.venue.balances()}

    async def _connected(self, channel: grpc.aio.Channel) -> None:
        """The account is served: its broker is connected and what was missed is known."""
        check: Any = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

        async def served(_: grpc.aio.Channel) -> bool:
            answer = await check(health_pb2.HealthCheckRequest(service="brokergate.broker.socket"), timeout=1)
            return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

        await self._until(channel, "the broker is served", served)

    async def _until(
        self, channel: grpc.aio.Channel, what: str, holds: Callable[[grpc.aio.Channel], Any]
    ) -> None:
        deadline = time.monotonic() + SETTLE_S
        last = ""
        while time.monotonic() < deadline:
            try:
                if await holds(channel):
                    return
            except grpc.aio.AioRpcError as error:
                last = f"{error.code().name}: {error.details()}"
            await asyncio.sleep(0.05)
        raise LawBroken(f"not within {SETTLE_S} s: {what}; {last}")

    async def _at_rest(self, channel: grpc.aio.Channel) -> bool:
        stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        orders = await _pages(
            stub.ListOrders, order_pb2.ListOrdersRequest(account_id=ACCOUNT, open_only=True), "orders"
        )
        return not any(order.pending for order in orders)

    async def _lists(
        self, channel: grpc.aio.Channel
    ) -> tuple[list[order_pb2.Order], list[fill_pb2.Fill], dict[str, Decimal], dict[str, Decimal]]:
        """Everything that the gateway lists."""
        stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        orders = await _pages(stub.ListOrders, order_pb2.ListOrdersRequest(account_id=ACCOUNT), "orders")
        fills = await _pages(stub.ListFills, order_pb2.ListFillsRequest(account_id=ACCOUNT), "fills")
        positions: Any = position_service_pb2_grpc.PositionServiceStub(channel)
        held = await positions.ListPositions(
            position_pb2.ListPositionsRequest(account_id=ACCOUNT), timeout=20
        )
        accounts: Any = account_service_pb2_grpc.AccountServiceStub(channel)
        balances = await accounts.ListBalances(
            account_pb2.ListBalancesRequest(account_id=ACCOUNT), timeout=20
        )
        return (
            orders,
            fills,
            {position.symbol: Decimal(position.quantity) for position in held.positions},
            {balance.currency_code: Decimal(balance.total) for balance in balances.balances},
        )

    async def _repeat_old(self, channel: grpc.aio.Channel) -> None:
        """Law 2, for ever: an id of any round gives its order, and another body under it is refused."""
        stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
        names = [name for name in self.books.by_client if name in self.record.bodies]
        wrong = []
        for name in self.random.sample(names, min(100, len(names))):
            request = order_pb2.PlaceOrderRequest(
                account_id=ACCOUNT, client_order_id=name, order=self.record.bodies[name]
            )
            again = await stub.PlaceOrder(request, timeout=20)
            if not again.already_existed or again.order.order_id != self.books.by_client[name]:
                wrong.append(
                    f"law 2: {name} again is {again.order.order_id}, already_existed {again.already_existed}"
                )
            request.order.quantity = f"{Decimal(request.order.quantity) + 1}"
            try:
                await self.calls(stub.PlaceOrder, request, f"another {name}")
                wrong.append(f"law 2: {name} was taken with another body")
            except Refused as refused:
                if refused.reason != "CLIENT_ORDER_ID_REUSED":
                    wrong.append(f"law 2: {name} with another body: {refused}")
        self._hold(wrong)

    async def _readers_rest(self) -> None:
        """The readers have all that there is: they stand, and stand alike, for a second."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            before = [reader.sequence for reader in self._readers]
            await asyncio.sleep(1.0)
            after = [reader.sequence for reader in self._readers]
            if before == after and before[0] == before[1]:
                return
        raise LawBroken(f"the readers do not come to rest: {[reader.sequence for reader in self._readers]}")

    def _summary(self, rounds: int) -> str:
        resumed = sum(reader.resumed for reader in self._readers)
        return (
            f"{rounds} kills over {self.gateway.lives} lives: {len(self.books.orders)} orders, "
            f"{len(self.books.fills)} fills, {len(self.journal.events)} events, {len(self._entries)} entries of the "
            f"venue's log, {self.calls.answered} answers, {self.calls.repeated} repeats, {resumed} resumed streams; "
            f"refused: {self.record.refusals}; faults: {self._faults}"
        )


async def _pages(method: Callable[..., Any], request: Any, field: str) -> list[Any]:
    """All pages of a list."""
    found: list[Any] = []
    request.page_size = 1000
    while True:
        page = await method(request, timeout=20)
        found += getattr(page, field)
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token
