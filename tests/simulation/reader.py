"""Clients that follow the streams: over crashes, slowly, with filters; every item is held against the journal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random

from brokergate.domain.cursor import decode_cursor
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import EventKind
from brokergate.domain.orders import Order
from brokergate.domain.streams import StartPosition, StreamRequest
from brokergate.engine.streams import Batch, EventStreams, Opened, SnapshotPage, StreamItem
from brokergate.ports.journal import JournalError
from brokergate.v1 import event_pb2
from tests.simulation.faults import Fault, Faults, Stand
from tests.simulation.house import Door, Life
from tests.simulation.laws import ALIVE, DURABLE_BEFORE_SENT, NOTHING_DROPPED, RESUMES, Judge
from tests.simulation.loop import WORLD, SimulatedLoop
from tests.simulation.truth import AccountTruth


class Cut(Exception):
    """The stream broke."""


class Reader:
    """One subscriber, resuming for ever."""

    def __init__(
        self,
        name: str,
        loop: SimulatedLoop,
        door: Door,
        faults: Faults,
        judge: Judge,
        stands: Callable[[], tuple[Stand, ...]],
        random: Random,
        request: StreamRequest,
    ) -> None:
        self.name = name
        self.cursor: str | None = None
        self.read = 0
        self.epochs: list[int] = []
        self._loop = loop
        self._door = door
        self._faults = faults
        self._judge = judge
        self._stands = stands
        self._random = random
        self._request = request
        self.after: dict[str, int] = {}
        self._pages: list[SnapshotPage] = []

    def wants(self, kind: EventKind) -> bool:
        """Whether its filter lets events of the kind pass."""
        return not self._request.kinds or kind in self._request.kinds

    async def run(self) -> None:
        """Reads until it is cancelled."""
        while True:
            life = self._door.life
            if life is None or life.streams is None or life.process.dead:
                await asyncio.sleep(0.05)
                continue
            request = self._resumed()
            try:
                await self._follow(life, life.streams, request)
            except (Cut, JournalError):
                pass
            except GatewayError as error:
                self._refused(error, life)
            await asyncio.sleep(self._random.uniform(0.01, 0.3))

    def _resumed(self) -> StreamRequest:
        request = self._request
        start = request.start_position if self.cursor is None else None
        return StreamRequest(
            account_ids=request.account_ids,
            after_cursor=self.cursor,
            start_position=start,
            kinds=request.kinds,
            heartbeat_s=request.heartbeat_s,
        )

    async def _follow(self, life: Life, streams: EventStreams, request: StreamRequest) -> None:
        """One connection: items come through a window of one, as through a transport."""
        wire: asyncio.Queue[StreamItem | BaseException] = asyncio.Queue()
        taken = asyncio.Semaphore(1)
        loop = self._loop

        async def serve() -> None:
            try:
                items: AsyncIterator[StreamItem] = streams.follow(request)
                async for item in items:
                    await taken.acquire()
                    self._told(item)
                    loop.call_soon(wire.put_nowait, item, context=WORLD)
            except (GatewayError, JournalError) as error:
                loop.call_soon(wire.put_nowait, error, context=WORLD)

        task = loop.start(life.process, serve(), self.name)
        task.add_done_callback(lambda task: self._served(task, wire), context=WORLD)
        broken_s = self._loop.time() + self._random.uniform(1.0, 20.0)
        first = True
        try:
            while not life.process.dead and loop.time() < broken_s:
                try:
                    item = await asyncio.wait_for(wire.get(), 1.0)
                except TimeoutError:
                    continue
                if life.over():
                    break
                if isinstance(item, BaseException):
                    raise item
                self._take(item, first)
                first = False
                if self._faults.hits(Fault.SLOW_READER, *self._stands()):
                    await asyncio.sleep(self._random.uniform(0.1, 3.0))
                taken.release()
        finally:
            if not life.process.dead:
                life.process.context.run(task.cancel)
        raise Cut

    def _served(self, task: asyncio.Task[None], wire: asyncio.Queue[StreamItem | BaseException]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._judge.fail(ALIVE, f"{self.name}: the stream raised {error!r}")
        wire.put_nowait(Cut())

    def _refused(self, error: GatewayError, life: Life) -> None:
        assert life.journal is not None
        if error.reason is ErrorReason.CURSOR_EPOCH:
            cursor = None if self.cursor is None else decode_cursor(self.cursor)
            if cursor is not None and (cursor.epoch, cursor.journal_id) == (
                life.journal.epoch,
                life.journal.journal_id,
            ):
                self._judge.fail(RESUMES, f"{self.name}: the cursor of this very epoch is refused: {error}")
            self.cursor = None
            self.after = {}
        elif error.reason is not ErrorReason.JOURNAL_UNAVAILABLE:
            self._judge.fail(RESUMES, f"{self.name}: {error}")

    # What comes

    def _take(self, item: StreamItem, first: bool) -> None:
        if isinstance(item, Opened) != first:
            self._judge.fail(
                RESUMES, f"{self.name}: {type(item).__name__} comes {'first' if first else 'again'}"
            )
        if isinstance(item, Opened):
            self._opened(item)
        elif isinstance(item, SnapshotPage):
            self._page(item)
        elif isinstance(item, Batch):
            self._batch(item)
        if item.cursor:
            self._moved(item)
            self.cursor = item.cursor

    def _opened(self, item: Opened) -> None:
        if self.epochs and item.epoch < self.epochs[-1]:
            self._judge.fail(RESUMES, f"{self.name}: epoch {item.epoch} comes after {self.epochs[-1]}")
        self.epochs.append(item.epoch)
        self._pages = []
        if item.cursor and self.cursor is None:
            self.after = dict(decode_cursor(item.cursor).positions)

    def _moved(self, item: StreamItem) -> None:
        """A cursor never steps over an event that the filter lets pass."""
        kinds = self._request.kinds
        for account_id, position in decode_cursor(item.cursor).positions.items():
            account = self._judge.truth.account(account_id)
            after = self.after.get(account_id, 0)
            if position < after or position > account.head:
                self._judge.fail(
                    RESUMES, f"{self.name} {account_id}: from {after} to {position} of {account.head}"
                )
            for event in account.events[after:position]:
                if not kinds or event.kind in kinds:
                    self._judge.fail(
                        NOTHING_DROPPED, f"{self.name} {account_id}: {event.sequence} was left out"
                    )
            self.after[account_id] = position

    def _batch(self, batch: Batch) -> None:
        kinds = self._request.kinds
        for body in batch.bodies:
            told = event_pb2.Event.FromString(body)
            account, after = self._judge.truth.account(told.account_id), self.after.get(told.account_id, 0)
            where = f"{self.name} {told.account_id} {told.sequence}"
            if told.sequence <= after:
                self._judge.fail(RESUMES, f"{where} is told again after {after}")
            for event in account.events[after : told.sequence - 1]:
                if not kinds or event.kind in kinds:
                    self._judge.fail(NOTHING_DROPPED, f"{where}: {event.sequence} was left out")
            self.after[told.account_id] = told.sequence
            self.read += 1

    def _told(self, item: StreamItem) -> None:
        """The gateway tells `item`: what it tells is durable, and as it is journalled."""
        if not isinstance(item, Batch):
            return
        judge = self._judge
        for body in item.bodies:
            told = event_pb2.Event.FromString(body)
            account = judge.truth.account(told.account_id)
            where = f"{self.name} {told.account_id} {told.sequence}"
            if told.sequence > account.head:
                judge.fail(DURABLE_BEFORE_SENT, f"{where} is told, and the journal ends at {account.head}")
            real = account.events[told.sequence - 1]
            if real.body != body:
                judge.fail(RESUMES, f"{where} is not what the journal holds")
            if not judge.durable(told.account_id, real.commit):
                judge.fail(DURABLE_BEFORE_SENT, f"{where} is told before it is durable")

    def _page(self, page: SnapshotPage) -> None:
        self._pages.append(page)
        if not page.last:
            return
        positions = decode_cursor(page.cursor).positions
        self.after = dict(positions)
        shown = sorted(
            (order.order_id, order.state.name, order.generation, str(order.cum_quantity))
            for each in self._pages
            for order in each.orders
        )
        real = sorted(
            (order.order_id, order.state.name, order.generation, str(order.cum_quantity))
            for account_id, position in positions.items()
            for order in _open_at(self._judge.truth.account(account_id), position)
        )
        if shown != real:
            wrong = sorted(set(shown) ^ set(real))[:4]
            self._judge.fail(RESUMES, f"{self.name}: the snapshot at {page.cursor} has other orders: {wrong}")


def _open_at(account: AccountTruth, position: int) -> Iterator[Order]:
    for story in account.orders.values():
        versions = [version for version in story.versions if version.sequence <= position]
        if versions and not versions[-1].order.ended:
            yield versions[-1].order


KINDS = (
    frozenset[EventKind](),
    frozenset({EventKind.FILL}),
    frozenset({EventKind.ORDER, EventKind.FILL}),
    frozenset({EventKind.CONTROL, EventKind.CONNECTION}),
    frozenset({EventKind.FILL, EventKind.FILL_FEES}),
)
STARTS = (StartPosition.EARLIEST, StartPosition.LIVE, StartPosition.SNAPSHOT)


def draw_request(random: Random, accounts: tuple[str, ...]) -> StreamRequest:
    """What a reader asks for."""
    return StreamRequest(
        account_ids=random.choice((accounts, accounts, accounts[:1], accounts[1:])),
        start_position=random.choice(STARTS),
        kinds=random.choice((KINDS[0], KINDS[0], *KINDS)),
        heartbeat_s=random.choice((0.5, 5.0)),
    )
