"""A gateway with a paper account across a line, on a clock that the test turns and a journal that can be killed."""

from __future__ import annotations

import random
import shutil
from decimal import Decimal
from itertools import count
from pathlib import Path

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import (
    CancelOrder,
    IfUnknown,
    OrderRef,
    Placed,
    PlaceOrder,
    ReplaceOrder,
    Request,
)
from brokergate.domain.events import OrderEventType
from brokergate.domain.faults import Fault
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.domain.policy import AccountPolicy
from brokergate.engine.gateway import Gateway
from brokergate.engine.tasks import OwnedTasks
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import PushedUpdate
from brokergate.v1 import event_pb2
from tests.unit.adapters.paper.hand_clock import HandClock, settle
from tests.unit.adapters.paper.test_live import PUSHED, quote
from tests.unit.engine.street import no_paper

__all__ = ["quote"]

_numbers = count(1)


class LineHouse:
    """The account `main`; `die` is the gateway after `kill -9`, on what was on the disk."""

    def __init__(self, folder: Path, feed: dict[str, object] | None = None, **settings: object) -> None:
        self.folder = folder
        self.settings = {"feed": feed or PUSHED, **settings}
        self.clock = HandClock()
        self.lives = 0
        self.policy = AccountPolicy()
        self._begin()

    def _begin(self) -> None:
        self.home = self.folder / str(self.lives)
        self.home.mkdir(exist_ok=True)
        self.journal = SqliteJournal(str(self.home / "journal.db"), random.Random(1).getrandbits)
        self.broker = PaperTradingBroker(PaperTradingConfig.model_validate(self.settings), self.clock)
        self.log: list[tuple[object, ...]] = []
        self.gateway = Gateway(self.journal, self.clock, lambda *what, **_: self.log.append(what), no_paper)
        self.tasks = OwnedTasks()

    async def open(self) -> LineHouse:
        self.gateway.open_account("main", self.broker, self.policy)
        task = self.tasks.start(self.gateway.tried("main"))
        while not task.done():
            await self.clock.advance(1)
        return self

    async def die(self) -> None:
        """What is not on the disk is gone; nobody says goodbye."""
        dead, home = (self.gateway, self.journal), self.home
        self.lives += 1
        shutil.copytree(home, self.folder / str(self.lives))
        await dead[0].close()
        dead[1].close()
        self._begin()
        await self.open()

    async def close(self) -> None:
        await self.gateway.close()
        self.journal.close()

    async def push(self, *updates: PushedUpdate) -> None:
        await self.gateway.simulators.push("main", updates)
        await settle()

    async def place(
        self,
        name: str,
        side: int,
        quantity: str,
        limit: str | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
    ) -> Placed:
        """An order, whose answer is waited for without turning the clock."""
        spec = OrderSpec(
            "BTC/USDT",
            Side.BUY if side > 0 else Side.SELL,
            OrderType.MARKET if limit is None else OrderType.LIMIT,
            Decimal(quantity),
            limit_price=None if limit is None else Decimal(limit),
            time_in_force=time_in_force,
        )
        return await self.gateway.place_order(PlaceOrder("main", name, spec, b"body"))

    async def cancel(self, name: str) -> bytes:
        asked = CancelOrder("main", OrderRef(client_order_id=name), IfUnknown.ERROR)
        return await self.gateway.cancel_order(asked, request(f"cancel-{next(_numbers)}"))

    async def replace(self, name: str, limit: str) -> bytes:
        change = ReplaceOrder("main", OrderRef(client_order_id=name), 1, limit_price=Decimal(limit))
        return await self.gateway.replace_order(change, request(f"replace-{next(_numbers)}"))

    async def set_faults(self, *faults: Fault, request_id: str = "") -> bytes:
        return await self.gateway.simulators.set_faults(
            "main", faults, request(request_id or f"faults-{next(_numbers)}")
        )

    def order(self, name: str) -> Order:
        return self.gateway.get_order("main", OrderRef(client_order_id=name))

    @property
    def way(self) -> str:
        return "in process" if self.broker.in_process else "across a line"

    @property
    def connected(self) -> bool:
        return self.gateway.account("main").connection.state is ConnectionState.CONNECTED

    def events(self) -> list[event_pb2.Event]:
        self.journal.flush()
        return [event_pb2.Event.FromString(stored.body) for stored in self.journal.read("main", 0, 100_000)]

    def order_events(self, name: str) -> list[str]:
        """What happened to the order, by name, with (quantity at price) of its fills."""
        told = []
        for event in self.events():
            if event.HasField("order") and event.order.order.client_order_id == name:
                told.append(OrderEventType(event.order.type).name)
            elif event.HasField("fill") and event.fill.fill.order_id == self.order(name).order_id:
                told.append(f"{_plain(event.fill.fill.quantity)} at {_plain(event.fill.fill.price)}")
        return told

    def check_laws(self) -> None:
        """Σ fills is the position, each execution once, streams gapless, at most one order a client id, and the venue
        has the same position."""
        events = self.events()
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        fills = [event.fill.fill for event in events if event.HasField("fill")]
        assert len({fill.broker_execution_id for fill in fills}) == len(fills)
        names: dict[str, str] = {}
        for event in events:
            if event.HasField("order"):
                order = event.order.order
                assert names.setdefault(order.client_order_id, order.order_id) == order.order_id
        held = sum(
            (Decimal(fill.quantity) * (1 if fill.side == 1 else -1) for fill in fills), start=Decimal(0)
        )
        assert dict(self.gateway.account("main").open_positions()).get("BTC/USDT", Decimal(0)) == held
        venue = self.broker._venue
        assert venue is not None
        at_venue = {position.symbol: position.quantity for position in venue.positions()}
        assert at_venue.get("BTC/USDT", Decimal(0)) == held
        assert not self.gateway.account("main").control.discrepancies


def request(request_id: str) -> Request:
    return Request(request_id, "Some", b"body", lambda result: repr(result).encode())


def _plain(number: str) -> str:
    return f"{Decimal(number).normalize():f}"
