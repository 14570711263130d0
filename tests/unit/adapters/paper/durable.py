"""A paper broker with a journal of the simplest kind: what was committed, and nothing else, is there after a death."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderSpec, OrderState
from brokergate.ports.broker import (
    Accepted,
    FillReport,
    GroupKind,
    OrderGroup,
    OrderReport,
    Outcome,
    ReplaceCommand,
    Report,
    RestoredState,
    VenueHistory,
    VenueSnapshot,
)
from tests.unit.adapters.paper.hand_clock import HandClock


class Books:
    """Orders, holdings and the venue's history, as an engine would journal them."""

    def __init__(self) -> None:
        self.open: dict[str, Order] = {}
        self.positions: dict[str, BrokerPosition] = {}
        self.balances: dict[str, BrokerBalance] = {}
        self.fills = self.orders = 0
        self.snapshot: bytes | None = None
        self.steps: list[bytes] = []
        self.snapshots = 0
        self.log: list[Report] = []
        """All that was told."""

    def copy(self) -> Books:
        made = Books()
        made.open, made.positions, made.balances = dict(self.open), dict(self.positions), dict(self.balances)
        made.fills, made.orders = self.fills, self.orders
        made.log = list(self.log)
        made.snapshot, made.steps, made.snapshots = self.snapshot, list(self.steps), self.snapshots
        return made

    def state(self) -> RestoredState:
        history = None if self.snapshot is None else VenueHistory(self.snapshot, tuple(self.steps))
        return RestoredState(
            tuple(self.open.values()),
            tuple(self.positions.values()),
            tuple(self.balances.values()),
            self.fills,
            self.orders,
            history,
        )

    def placed(self, order: Order, outcome: Outcome) -> None:
        self.orders += 1
        if isinstance(outcome, Accepted):
            taken = replace(
                order,
                broker_order_id=outcome.broker_order_id,
                state=OrderState.NEW,
                leaves_quantity=order.quantity,
            )
            self.open[order.client_order_id] = taken
        self.told(outcome.reports)

    def replaced(self, order: Order, spec: OrderSpec, quantity: Decimal, outcome: Outcome) -> None:
        if isinstance(outcome, Accepted):
            known = self.open[order.client_order_id]
            self.open[order.client_order_id] = replace(
                known,
                spec=spec,
                quantity=quantity,
                leaves_quantity=quantity - known.cum_quantity,
                generation=2,
            )
        self.told(outcome.reports)

    def told(self, reports: Sequence[Report]) -> None:
        self.log.extend(reports)
        for report in reports:
            if isinstance(report, BrokerPosition):
                self.positions[report.symbol] = report
            elif isinstance(report, BrokerBalance):
                self.balances[report.currency] = report
            elif isinstance(report, FillReport):
                self.fills += 1
                self._filled(report)
            elif isinstance(report, OrderReport) and report.client_order_id in self.open:
                self._changed(report)

    def _filled(self, report: FillReport) -> None:
        order = self.open[report.client_order_id]
        filled = order.cum_quantity + report.quantity
        if filled == order.quantity:
            del self.open[report.client_order_id]
        else:
            self.open[report.client_order_id] = replace(
                order, cum_quantity=filled, leaves_quantity=order.quantity - filled
            )

    def _changed(self, report: OrderReport) -> None:
        order = self.open[report.client_order_id]
        if report.event is OrderEventType.TRIGGERED:
            self.open[report.client_order_id] = replace(order, triggered=True)
        elif report.event is OrderEventType.REPLACED:
            total = order.quantity if report.quantity is None else report.quantity
            self.open[report.client_order_id] = replace(
                order,
                broker_order_id=report.broker_order_id,
                quantity=total,
                leaves_quantity=total - order.cum_quantity,
            )
        else:
            del self.open[report.client_order_id]

    def kept(self, broker: PaperTradingBroker) -> None:
        for kept in broker.unsaved():
            if isinstance(kept, VenueSnapshot):
                self.snapshot, self.steps = kept.body, []
                self.snapshots += 1
            else:
                self.steps.append(kept.body)


class Desk:
    """A broker that is traded on, committed, killed and started again."""

    def __init__(self, feed: dict[str, object], **settings: object) -> None:
        self.clock = HandClock()
        self.config = PaperTradingConfig.model_validate({"feed": feed, **settings})
        self.broker = PaperTradingBroker(self.config, self.clock)
        self.books = Books()
        self.durable = self.books.copy()

    async def open(self) -> Desk:
        await self.broker.connect(self.durable.state())
        self.commit()
        return self

    async def place(self, order: Order) -> Outcome:
        outcome = await self.broker.place_order(order)
        self.books.placed(order, outcome)
        return outcome

    async def place_group(self, kind: GroupKind, *orders: Order) -> Sequence[Outcome]:
        """Places orders that are linked under the id of the first."""
        linked = tuple([replace(order, group_id=orders[0].order_id) for order in orders])
        outcomes = await self.broker.place_group(OrderGroup(kind, linked))
        for order, outcome in zip(linked, outcomes, strict=True):
            self.books.placed(order, replace(outcome, reports=()))
        for outcome in outcomes:
            self.books.told(outcome.reports)
        return outcomes

    async def cancel(self, client_order_id: str) -> Outcome:
        outcome = await self.broker.cancel_order(self.books.open[client_order_id])
        self.books.told(outcome.reports)
        return outcome

    async def replace(self, client_order_id: str, quantity: Decimal, limit: Decimal | None) -> Outcome:
        order = self.books.open[client_order_id]
        spec = replace(order.spec, limit_price=limit, quantity=quantity)
        outcome = await self.broker.replace_order(ReplaceCommand(order, spec, quantity))
        self.books.replaced(order, spec, quantity, outcome)
        return outcome

    def commit(self) -> None:
        untold = self.broker.untold()
        self.books.told(untold)
        self.books.kept(self.broker)
        self.durable = self.books.copy()

    async def die(self) -> None:
        """What was not committed is gone."""
        await self.broker.close()
        self.books = self.durable.copy()
        self.broker = PaperTradingBroker(self.config, self.clock)
        await self.broker.connect(self.durable.state())

    async def lose(self) -> None:
        """Dies, and with it what was kept of the venue: only orders and holdings are left."""
        self.durable.snapshot, self.durable.steps = None, []
        await self.die()
        self.commit()

    async def close(self) -> None:
        """Ends in order."""
        await self.broker.close()
        self.commit()
