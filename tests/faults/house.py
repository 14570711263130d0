"""A gateway of one account at an emulator, in this process, and a client that trades through it and repeats."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.client import HTTPException
from pathlib import Path
from typing import Any

from brokergate.adapters.connection.ids import VenueIds
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import CancelOrder, CreatePaperAccount, OrderRef, Placed, PlaceOrder, Request
from brokergate.domain.errors import BrokerError, GatewayError
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side, TimeInForce
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.streams import StartPosition, StreamRequest
from brokergate.engine.gateway import Gateway
from brokergate.engine.streams import Batch, EventStreams
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import SystemClock
from brokergate.ports.journal import JournalError
from brokergate.v1 import event_pb2
from tests.emulators.client import Emulator
from tests.faults.venues import Settings, Venue

ACCOUNT = "main"
PATIENCE_S = 40.0
STEP_S = 0.02
WATCH_S = 0.03
SLOW_DISK_S = 0.15
LEVEL = 1000
"""Lots that the market shows at a price."""
MS = 1_000_000
POLICY = AccountPolicy(
    durable=True, poll_interval_ns=300 * MS, quiet_period_ns=400 * MS, reconnect_max_ns=400 * MS
)


@dataclass(slots=True)
class Evidence:
    """What was seen while the fault was there."""

    before: dict[str, Decimal] = field(default_factory=dict)
    """The venue's balances when it began."""
    journalled_before_sent: dict[str, bool] = field(default_factory=dict)
    """By the venue's id of an order: whether its DISPATCHED was on the disk when the venue's log showed the request."""
    on_disk_ns: dict[str, int] = field(default_factory=dict)
    """By the venue's id of an order that was placed while the disk was slow: when it was there at the earliest."""
    readings: list[Decimal | None] = field(default_factory=list)
    """Positions that were read; None where the reading failed and said so."""
    held: Decimal = Decimal(0)
    """What such a reading must show."""
    repeats: list[tuple[str, str, str]] = field(default_factory=list)
    """Repeats of a place: the client's id, the order's id before and now."""
    streamed: list[event_pb2.Event] = field(default_factory=list)
    """What a live subscriber was given, from the first event on."""


class House:
    """See the module. Everything is real but for the venue."""

    def __init__(
        self,
        venue: Venue,
        emulator: Emulator,
        folder: Path,
        host: str = "127.0.0.1",
        policy: AccountPolicy = POLICY,
        settings: Settings | None = None,
    ) -> None:
        """`settings` are of the broker's section. Without any the venue's limits are out of reach."""
        self.venue = venue
        self.policy = policy
        self.emulator = emulator
        self.evidence = Evidence()
        self.ids = VenueIds(ACCOUNT, venue.id_length)
        self.names: list[str] = []
        self.waiting: dict[str, PlaceOrder] = {}
        """Orders that nothing was journalled of: to be placed again."""
        self.log: list[tuple[object, ...]] = []
        self._path = folder / "journal.db"
        self._clock = SystemClock()
        self._context = venue.context(ACCOUNT, self._clock, self._note)
        self._disk = threading.Event()
        self._disk.set()
        self.journal = SqliteJournal(self._path, random.Random(1).getrandbits, "boot", sync_file=self._sync)
        self.gateway = Gateway(self.journal, self._clock, self._note, _no_paper, random.Random(2))
        self.streams = EventStreams(self.journal, self.gateway.accounts, self._clock)
        self.broker: AbstractBroker = venue.make(emulator, host, self._context, settings or {})
        self._tasks: list[asyncio.Task[None]] = []
        self._requests = 0
        self._ended = False
        self._unlimited = settings is None

    def _note(self, *what: object, **facts: object) -> None:
        self.log.append((*what, facts))

    @asynccontextmanager
    async def living(self) -> AsyncIterator[House]:
        """The gateway, connected, with what watches it."""
        await self.emulator.reset(self.venue.balances)
        if self._unlimited and self.venue.no_limits:
            await self.emulator.ask("limits", **self.venue.no_limits)
        self.evidence.before = {
            name: parts["total"] for name, parts in (await self.emulator.balances()).items()
        }
        self.gateway.open_account(ACCOUNT, self.broker, self.policy, self._context.metrics)
        self._tasks = [asyncio.create_task(self._subscribe()), asyncio.create_task(self._watch())]
        try:
            await self.until("connected", self.connected)
            yield self
        finally:
            await self.end()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self.journal.close()

    async def end(self) -> None:
        """Ends the connection to the broker: nothing more is journalled."""
        if not self._ended:
            self._ended = True
            await self.gateway.close()
            await self._context.connections.close()

    # Watching

    async def _subscribe(self) -> None:
        request = StreamRequest((ACCOUNT,), start_position=StartPosition.EARLIEST)
        async with aclosing(self.streams.follow(request)) as items:  # type: ignore[type-var]
            async for item in items:
                if isinstance(item, Batch):
                    self.evidence.streamed += [event_pb2.Event.FromString(body) for body in item.bodies]

    async def _watch(self) -> None:
        """Looks at the disk whenever the venue has a new request to place: was it written before?"""
        seen = 0
        while True:
            try:
                entries = await self.emulator.log(seen)
            except (OSError, HTTPException):
                # It restarts.
                entries = []
            new = [
                entry
                for entry in entries
                if entry["kind"] == "place" and entry["transport"] in self.venue.transports
            ]
            if new:
                dispatched = await asyncio.to_thread(self._dispatched)
                for entry in new:
                    name = str(entry["parameters"].get(self.venue.id_parameter, ""))
                    self.evidence.journalled_before_sent[name] = name in dispatched
            seen += len(entries)
            await asyncio.sleep(WATCH_S)

    def _dispatched(self) -> set[str]:
        """The venue's ids of the orders whose DISPATCHED another process would find on the disk now."""
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True)
        try:
            rows = connection.execute("SELECT body FROM events WHERE kind = 1").fetchall()
        finally:
            connection.close()
        events = [event_pb2.Event.FromString(body) for (body,) in rows]
        return {
            self.ids.venue_id(event.order.order.client_order_id, event.order.order.generation)
            for event in events
            if event.order.type == event_pb2.ORDER_EVENT_TYPE_DISPATCHED
        }

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Returns when it holds. Fails after a while."""
        deadline = time.monotonic() + PATIENCE_S
        while not holds():
            if time.monotonic() > deadline:
                account = self.gateway.account(ACCOUNT)
                raise AssertionError(
                    f"not within {PATIENCE_S:g} s: {what}; {account.connection.state.name} "
                    f"{account.connection.message!r}; log {self.log[-6:]}"
                )
            await asyncio.sleep(STEP_S)

    async def pause(self, seconds: float) -> None:
        """Lets so much time pass."""
        await asyncio.sleep(seconds)

    def connected(self) -> bool:
        return self.gateway.account(ACCOUNT).connection.state is ConnectionState.CONNECTED

    # The market

    async def show(self) -> None:
        """A book around the price: one hundredth off it on both sides."""
        levels = [[(self.at(away), self.venue.lot * LEVEL)] for away in (-1, 1)]
        await self.emulator.show(self.venue.symbol, levels[0], levels[1])

    def at(self, away: int) -> Decimal:
        """A price so many hundredths of the market's from it."""
        return (self.venue.price + self.venue.price / 100 * away).quantize(self.venue.tick)

    async def others_sell(self, lots: int = 3) -> None:
        """Somebody sells so many lots, one after another, down to what rests three hundredths below the price."""
        await self.emulator.show(self.venue.symbol, [], [(self.at(1), self.venue.lot * LEVEL)])
        for _ in range(lots):
            await self.emulator.trade(self.venue.symbol, self.at(-4), self.venue.lot, "sell")

    # Trading

    def order(self, name: str, away: int, lots: int = 1, side: Side = Side.BUY) -> PlaceOrder:
        """A limit order so many hundredths of the price from the middle of the market."""
        spec = OrderSpec(
            self.venue.symbol,
            side,
            OrderType.LIMIT,
            self.venue.lot * lots,
            limit_price=self.at(away),
            time_in_force=TimeInForce.GTC,
        )
        return PlaceOrder(ACCOUNT, name, spec, name.encode())

    async def place(self, command: PlaceOrder) -> Placed | None:
        """Places, and repeats at once, as a client does that did not like the answer. None where nothing was
        journalled: it is placed again at the end."""
        first = await self._placed(command)
        again = await self._placed(command)
        if first is not None and again is not None:
            self.evidence.repeats.append(
                (command.client_order_id, first.order.order_id, again.order.order_id)
            )
        return first or again

    async def place_on_a_slow_disk(self, command: PlaceOrder) -> None:
        """As `place`, while what is written takes a while to reach the disk: the venue must not hear of it before."""
        name = command.client_order_id
        self._disk.clear()

        def release() -> None:
            self.evidence.on_disk_ns[self.ids.venue_id(name, 1)] = time.time_ns()
            self._disk.set()

        # In a thread: a read that waits for the disk waits in the loop's own.
        threading.Timer(SLOW_DISK_S, release).start()
        await self.place(command)
        await asyncio.to_thread(self._disk.wait)

    def _sync(self, _: int) -> None:
        assert self._disk.wait(PATIENCE_S)

    async def _placed(self, command: PlaceOrder) -> Placed | None:
        name = command.client_order_id
        if name not in self.names:
            self.names.append(name)
        try:
            placed = await self.gateway.place_order(command)
        except (GatewayError, JournalError):
            self.waiting[name] = command
            return None
        self.waiting.pop(name, None)
        return placed

    async def place_waiting(self) -> None:
        """Places what could not be placed, until it is taken."""
        deadline = time.monotonic() + PATIENCE_S
        while self.waiting:
            for command in list(self.waiting.values()):
                await self.place(command)
            assert time.monotonic() < deadline, f"never taken: {list(self.waiting)}"
            await asyncio.sleep(STEP_S)

    async def cancel(self, name: str) -> None:
        """Cancels, whatever comes of it."""
        self._requests += 1
        request = Request(f"r{self._requests}", "CancelOrder", b"body", lambda result: repr(result).encode())
        try:
            await self.gateway.cancel_order(CancelOrder(ACCOUNT, OrderRef(client_order_id=name)), request)
        except (GatewayError, JournalError):
            return

    async def read_position(self) -> None:
        """Reads the position: it is the right one, or the reading fails."""
        try:
            shown = await self.gateway.list_positions(ACCOUNT, True)
        except (GatewayError, BrokerError):
            self.evidence.readings.append(None)
            return
        held = {position.symbol: position.quantity for position in shown.value}
        self.evidence.readings.append(held.get(self.venue.symbol, Decimal(0)))

    def stands(self, name: str) -> Order:
        """An order as the journal has it."""
        return self.gateway.get_order(ACCOUNT, OrderRef(client_order_id=name))

    async def becomes(self, name: str, state: OrderState) -> Order:
        """Returns the order once it is in that state, with nothing under way."""
        await self.until(
            f"{name} is {state.name}",
            lambda: self.stands(name).state is state and not self.stands(name).pending,
        )
        return self.stands(name)

    async def asked(self, kind: str, name: str = "") -> list[dict[str, Any]]:
        """The requests of a kind that the venue's log has; to place, of one order where it is named."""
        wanted = self.ids.venue_id(name, 1) if name else ""
        return [
            entry
            for entry in await self.emulator.log()
            if entry["kind"] == kind and wanted in ("", entry["parameters"].get(self.venue.id_parameter))
        ]

    # At the end

    def working(self) -> list[Order]:
        """What has not ended, as the journal has it."""
        return list(self.gateway.account(ACCOUNT).tracker.open.values())

    def events(self) -> list[event_pb2.Event]:
        """The whole journal of the account."""
        self.journal.flush()
        found: list[event_pb2.Event] = []
        while stored := self.journal.read(ACCOUNT, len(found), 1000):
            found += [event_pb2.Event.FromString(each.body) for each in stored]
        return found

    async def settled(self) -> None:
        """Returns when nothing is under way, everything that filled is booked, and the account trades on."""

        async def fills() -> int:
            return len(await self.emulator.fills())

        deadline = time.monotonic() + PATIENCE_S
        quiet = 0
        while quiet < 5:
            booked = sum(event.HasField("fill") for event in self.events())
            pending = [order.client_order_id for order in self.working() if order.pending]
            state = (self.connected(), not pending, booked == await fills())
            quiet = quiet + 1 if all(state) else 0
            if time.monotonic() > deadline:
                account = self.gateway.account(ACCOUNT)
                raise AssertionError(
                    f"not at rest: {account.connection.state.name} {account.connection.message!r}, pending {pending}, "
                    f"{booked} of {await fills()} fills; log {self.log[-6:]}"
                )
            await asyncio.sleep(STEP_S)


def _no_paper(command: CreatePaperAccount) -> AbstractBroker:
    raise AssertionError("no paper account is made here")


async def resume(house: House, cursor: str) -> list[event_pb2.Event]:
    """Everything after a cursor, up to the journal's end."""
    head = house.journal.head(ACCOUNT)
    found: list[event_pb2.Event] = []
    request: Any = StreamRequest((ACCOUNT,), after_cursor=cursor)
    async with aclosing(house.streams.follow(request)) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, Batch):
                found += [event_pb2.Event.FromString(body) for body in item.bodies]
            if found and found[-1].sequence >= head:
                break
    return found
