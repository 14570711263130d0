"""Trading with a subject, and a book of one's own about it: what was told, order by order."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import count
from typing import Any

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import (
    Accepted,
    FillReport,
    GroupKind,
    OrderGroup,
    OrderReport,
    Outcome,
    Rejected,
    ReplaceCommand,
    Report,
    RestoredState,
)
from tests.conformance.subject import Result, Subject

_ENDS = {
    OrderEventType.CANCELED: "CANCELED",
    OrderEventType.EXPIRED: "EXPIRED",
    OrderEventType.REJECTED: "REJECTED",
}


class Untold(str):
    """What a venue does not say: it is whatever a case expects."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, str)


@dataclass
class Told:
    """One order, and all that was told of it."""

    order: Order
    outcome: Outcome | None = None
    fills: list[FillReport] = field(default_factory=list)
    events: list[OrderReport] = field(default_factory=list)

    @property
    def filled(self) -> Decimal:
        """Σ of its fills."""
        return sum((fill.quantity for fill in self.fills), Decimal(0))

    @property
    def quantity(self) -> Decimal:
        """Its total, as its venue last changed it."""
        changed = [event.quantity for event in self.events if event.quantity is not None]
        return changed[-1] if changed else self.order.quantity

    @property
    def state(self) -> str:
        """What it is by what was told: REJECTED, NEW, PARTIALLY_FILLED, FILLED, CANCELED or EXPIRED."""
        ends = [_ENDS[event.event] for event in self.events if event.event in _ENDS]
        assert len(ends) <= 1, f"it ended twice: {ends}"
        if isinstance(self.outcome, Rejected):
            assert not self.fills
            assert not ends
            return "REJECTED"
        if ends:
            assert self.filled < self.quantity, "it ended though it was full"
            return ends[0]
        assert self.filled <= self.quantity, "more was filled than was ordered"
        if self.filled == self.quantity:
            return "FILLED"
        return "PARTIALLY_FILLED" if self.fills else "NEW"

    @property
    def reason(self) -> ErrorReason:
        """Why it was refused or ended."""
        if isinstance(self.outcome, Rejected):
            return self.outcome.reason
        return self.events[-1].reason

    @property
    def changes(self) -> list[str]:
        """What happened to it beside fills and acknowledgements."""
        return [event.event.name for event in self.events if event.event is not OrderEventType.ACKNOWLEDGED]


class Bench:
    """See the module. Prices and quantities are whole numbers of the subject's units."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.orders: dict[str, Told] = {}
        self.log: list[Report] = []
        self.positions: dict[str, BrokerPosition] = {}
        self.balances: dict[str, BrokerBalance] = {}
        self._ids = count(1)
        self._batches: list[Report] = []
        self._executions: set[str] = set()

    async def __aenter__(self) -> Bench:
        self.broker = await self.subject.open()
        self._reader = asyncio.create_task(self._read())
        positions = await self.ask(self.broker.get_positions())
        self._begun = {position.symbol: position.quantity for position in positions}
        await self.told()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.subject.close()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for batch in self.broker.events():
            self._batches.extend(batch)

    async def disconnect(self) -> None:
        """The connection ends."""
        await self.told()
        await self.broker.close()
        await self._reader

    async def connect(self) -> None:
        """The broker connects again, and is told what works, as the engine tells it."""
        works = tuple(
            told.order for told in self.orders.values() if told.state in ("NEW", "PARTIALLY_FILLED")
        )
        state = RestoredState(open_orders=works, positions=(), balances=(), fills=0, orders=len(self.orders))
        await self.ask(self.broker.connect(state))
        await self.subject.connected()
        self._reader = asyncio.create_task(self._read())
        await self.told()

    async def told(self) -> None:
        """Takes in all that the broker has told by now."""
        await self.subject.settle()
        batches, self._batches = self._batches, []
        self.take(batches)
        self.take(self.broker.untold())

    def take(self, reports: Sequence[Report]) -> None:
        """Takes in what was told; what is told twice counts once, as for the engine."""
        self.log.extend(reports)
        for report in reports:
            if isinstance(report, BrokerPosition):
                self.positions[report.symbol] = report
            elif isinstance(report, BrokerBalance):
                self.balances[report.currency] = report
            elif isinstance(report, FillReport):
                if report.client_order_id:
                    self._fill(report, self.orders[report.client_order_id].fills)
            elif isinstance(report, OrderReport):
                events = self.orders[report.client_order_id].events
                if report not in events:
                    events.append(report)

    def _fill(self, report: FillReport, fills: list[FillReport]) -> None:
        if report.execution_id not in self._executions:
            self._executions.add(report.execution_id)
            fills.append(report)
        elif report.fees_final:
            # One that was told before its fees were known is told again with them.
            fills[:] = [
                report if one.execution_id == report.execution_id and not one.fees_final else one
                for one in fills
            ]

    # The market

    def price(self, units: int | Decimal) -> Decimal:
        """A price of so many units."""
        return self.subject.price_unit * units

    def quantity(self, units: int) -> Decimal:
        """A quantity of so many units."""
        return self.subject.quantity_unit * units

    async def show(self, bids: Sequence[tuple[int, int]], asks: Sequence[tuple[int, int]]) -> None:
        """The market of others shows this."""
        sides = [[(self.price(price), self.quantity(size)) for price, size in side] for side in (bids, asks)]
        await self.subject.show(*sides)
        await self.told()

    async def trade(self, price: int, size: int, taker: Side) -> None:
        """Others trade."""
        await self.subject.trade(self.price(price), self.quantity(size), taker)
        await self.told()

    async def pass_time(self, seconds: float) -> None:
        """Time passes."""
        await self.subject.pass_time(seconds)
        await self.told()

    # Orders

    def spec(
        self,
        kind: OrderType,
        side: Side,
        size: int,
        limit: int | None = None,
        *,
        stop: int | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        display: int | None = None,
        **fields: Any,
    ) -> OrderSpec:
        """What an order asks for. A GTD order without a time lasts an hour."""
        if time_in_force is TimeInForce.GTD and "expire_time_ns" not in fields:
            fields["expire_time_ns"] = self.subject.now_ns() + 3_600 * 10**9
        return OrderSpec(
            symbol=fields.pop("symbol", self.subject.symbol),
            side=side,
            type=kind,
            quantity=self.quantity(size),
            limit_price=None if limit is None else self.price(limit),
            stop_price=None if stop is None else self.price(stop),
            time_in_force=time_in_force,
            display_quantity=None if display is None else self.quantity(display),
            **fields,
        )

    def order(self, spec: OrderSpec, name: str = "", group_id: str = "") -> Told:
        """An order as the engine hands it over, not yet placed."""
        number = next(self._ids)
        assert spec.quantity is not None
        order = lifecycle.intend(
            order_id=f"o{number}",
            client_order_id=name or f"c{number}",
            account_id="conformance",
            spec=spec,
            quantity=spec.quantity,
            multiplier=Decimal(1),
            now_ns=self.subject.now_ns(),
            group_id=group_id,
        )
        told = Told(order)
        return told if name in self.orders else self.orders.setdefault(order.client_order_id, told)

    async def send(self, *orders: Told) -> None:
        """Places orders in one batch."""
        outcomes = await self.ask(self.broker.place_orders([told.order for told in orders]))
        await self._answered(orders, outcomes)

    async def link(self, kind: GroupKind, *orders: Told) -> None:
        """Places linked orders."""
        group = OrderGroup(kind, tuple(told.order for told in orders))
        await self._answered(orders, await self.ask(self.broker.place_group(group)))

    async def _answered(self, orders: Sequence[Told], outcomes: Sequence[Outcome]) -> None:
        assert len(orders) == len(outcomes)
        for told, outcome in zip(orders, outcomes, strict=True):
            told.outcome = outcome
            if isinstance(outcome, Accepted) and outcome.broker_order_id:
                told.order = replace(told.order, broker_order_id=outcome.broker_order_id)
            self.take(outcome.reports)
        await self.told()

    async def place(
        self, kind: OrderType, side: Side, size: int, limit: int | None = None, **fields: Any
    ) -> Told:
        """Places one order."""
        told = self.order(self.spec(kind, side, size, limit, **fields))
        await self.send(told)
        return told

    async def buy(self, size: int, limit: int | None = None, **fields: Any) -> Told:
        """A limit order, or a market order without a limit."""
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        return await self.place(kind, Side.BUY, size, limit, **fields)

    async def sell(self, size: int, limit: int | None = None, **fields: Any) -> Told:
        """A limit order, or a market order without a limit."""
        kind = OrderType.MARKET if limit is None else OrderType.LIMIT
        return await self.place(kind, Side.SELL, size, limit, **fields)

    async def cancel(self, told: Told) -> Outcome:
        """Asks for a cancel."""
        outcome = await self.ask(self.broker.cancel_order(told.order))
        self.take(outcome.reports)
        await self.told()
        return outcome

    async def replace(
        self, told: Told, size: int, limit: int | None = None, stop: int | None = None
    ) -> Outcome:
        """Asks for a change to `size` in all, filled ones included."""
        spec = replace(
            told.order.spec,
            quantity=self.quantity(size),
            limit_price=None if limit is None else self.price(limit),
            stop_price=None if stop is None else self.price(stop),
        )
        outcome = await self.ask(
            self.broker.replace_order(ReplaceCommand(told.order, spec, self.quantity(size)))
        )
        if isinstance(outcome, Accepted):
            order = replace(
                told.order, spec=spec, quantity=self.quantity(size), generation=told.order.generation + 1
            )
            told.order = replace(order, broker_order_id=outcome.broker_order_id or told.order.broker_order_id)
        self.take(outcome.reports)
        await self.told()
        return outcome

    async def ask(self, query: Coroutine[Any, Any, Result]) -> Result:
        """Asks the broker something, and waits for the answer."""
        return await self.subject.finish(query)

    # What was told

    async def holds(self) -> dict[str, Decimal]:
        """The positions by symbol, less those that the account began with; flat ones left out."""
        moved = {
            position.symbol: position.quantity - self._begun.get(position.symbol, Decimal(0))
            for position in await self.ask(self.broker.get_positions())
        }
        return {symbol: quantity for symbol, quantity in moved.items() if quantity}

    def went_off(self, told: Told) -> bool:
        """Whether a stop was set off, and nothing else happened to it but fills; true where the venue does not say."""
        return told.changes == (["TRIGGERED"] if self.subject.tells_triggers else [])

    def expired(self, told: Told) -> bool:
        """Whether its time is over; true of a cancelled one where the venue does not tell them apart."""
        return told.state == "EXPIRED" or (told.state == "CANCELED" and not self.subject.tells_expiry)

    def fills(self, told: Told) -> list[tuple[int, int, str]]:
        """(price, quantity, MAKER or TAKER) of each fill."""
        return [
            (
                int(fill.price / self.subject.price_unit),
                int(fill.quantity / self.subject.quantity_unit),
                fill.liquidity.name if self.subject.tells_liquidity else Untold(),
            )
            for fill in told.fills
        ]
