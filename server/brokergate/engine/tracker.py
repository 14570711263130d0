"""Keeps the orders of one account true to what its broker tells: reports in, journal payloads out.

Everything here is synchronous: between a report and its staging nothing else runs, so that the journal's order is
the broker's order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import NamedTuple, Protocol, assert_never

from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerBalance, BrokerPosition, ConnectionState, LedgerEntry
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import (
    BalanceChanged,
    ConnectionChanged,
    ControlChanged,
    ControlEventType,
    EventPayload,
    FillBooked,
    FillFeesKnown,
    LedgerEntryBooked,
    OrderChanged,
    OrderEventType,
    PositionChanged,
)
from brokergate.domain.fills import Fill, FillKind, FillOrigin
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO, subtract
from brokergate.domain.orders import Order, OrderSpec, OrderState, PendingActionKind, Side
from brokergate.engine.holdings import DerivedPositions
from brokergate.ports.broker import (
    ConnectionReport,
    FillReport,
    MarginReport,
    OrderReport,
    Report,
    VenueOrder,
)
from brokergate.ports.clock import Clock
from brokergate.ports.journal import Journal

FillKey = tuple[str, str, str]
MAX_PAID = 100_000
"""Executions that are known to need no look at their fees; the oldest are forgotten first."""


class Exposure(Protocol):
    """What is told of every change that bears on the account's limits (`engine/risk`)."""

    def hold(self, before: Order | None, after: Order) -> None:
        """An order changed; `before` is None for a new one."""

    def filled(self, symbol: str, side: Side, quantity: Decimal) -> None:
        """An execution was booked."""

    def position(self, position: BrokerPosition) -> None:
        """The absolute word on a position."""


class Settled(NamedTuple):
    """What was staged: executions, orders of the gateway's clients that the broker had taken and that ended, and those
    of them that were filled completely."""

    fills: int
    ended: int
    filled: int


class Tracker:
    """The working orders of an account, and the latest positions and balances that the broker told.

    Holds working orders only: what has ended is in the journal, so that memory does not grow with history.
    """

    def __init__(
        self,
        account_id: str,
        journal: Journal,
        clock: Clock,
        log: Callable[..., object],
        connection_changed: Callable[[ConnectionState, str], None],
        derived: DerivedPositions | None = None,
        risk: Exposure | None = None,
    ) -> None:
        """`derived` holds the positions of an account whose broker is outside the process; `risk` its limits."""
        self.account_id = account_id
        self.open: dict[str, Order] = {}
        self.uncertain: dict[str, Order] = {}
        """Those of the working orders of which something is uncertain, by order id."""
        self.holdings: dict[tuple[str, str], PositionChanged | BalanceChanged] = {}
        """The latest positions and balances that are not staged yet. They are absolute: one word a commit is enough."""
        self._journal = journal
        self._clock = clock
        self._log = log
        self._connection_changed = connection_changed
        self.instruments: Mapping[str, Instrument] = {}
        self._derived = derived
        self._risk = risk
        self._by_client: dict[str, str] = {}
        self._by_broker: dict[str, str] = {}
        self._former: dict[str, list[str]] = {}
        """The broker's ids of earlier generations of working orders, by order id, as far as they were seen here."""
        # Orders that ended and fills that came since the last `settle`: not yet staged, so that the journal cannot
        # show them.
        self._ended: dict[str, Order] = {}
        self._ended_by_name: dict[tuple[str, str], Order] = {}
        self._booked: dict[FillKey, Fill] = {}
        self._paid: dict[FillKey, None] = {}
        """Executions that were told again and whose fees are known."""
        self._newly_ended = self._newly_filled = 0
        for stored in journal.open_orders(account_id):
            self.hold(stored.order)

    def hold(self, order: Order) -> None:
        """Takes in `order` as it now stands; forgets it when it has ended."""
        if self._risk is not None:
            self._risk.hold(self.open.get(order.order_id), order)
        if self.uncertain or order.uncertain:
            self.uncertain.pop(order.order_id, None)
            if order.uncertain and not order.ended:
                self.uncertain[order.order_id] = order
        before = self.open.get(order.order_id)
        if before is not None and before.broker_order_id not in ("", order.broker_order_id):
            self._former.setdefault(order.order_id, []).append(before.broker_order_id)
        if order.ended:
            if before is not None and order.client_order_id and order.state is not OrderState.REJECTED:
                self._newly_ended += 1
                self._newly_filled += order.state is OrderState.FILLED
            self.open.pop(order.order_id, None)
            self._by_client.pop(order.client_order_id, None)
            for name in (order.broker_order_id, *self._former.pop(order.order_id, ())):
                self._by_broker.pop(name, None)
            self._ended[order.order_id] = order
            self._ended_by_name["client", order.client_order_id] = order
            self._ended_by_name["broker", order.broker_order_id] = order
            return
        self.open[order.order_id] = order
        if order.client_order_id:
            self._by_client[order.client_order_id] = order.order_id
        if order.broker_order_id:
            self._by_broker[order.broker_order_id] = order.order_id

    def named(self, order: Order, broker_order_id: str) -> bool:
        """Whether the broker has called `order` so, in this generation or in one that was seen here."""
        return broker_order_id == order.broker_order_id or broker_order_id in self._former.get(
            order.order_id, ()
        )

    def working(self, client_order_id: str) -> Order | None:
        """The working order with this client id."""
        order_id = self._by_client.get(client_order_id)
        return None if order_id is None else self.open[order_id]

    def latest(self, order: Order) -> Order:
        """`order` as it now stands. One that ended while its caller waited for the broker is found in the journal."""
        now = self.open.get(order.order_id) or self._ended.get(order.order_id)
        if now is None:
            stored = self._journal.get_order(self.account_id, order.order_id)
            now = None if stored is None else stored.order
        return order if now is None else now

    def settle(self) -> Settled:
        """Everything applied so far is staged: the journal shows what has ended. Gives what came to be counted."""
        settled = Settled(len(self._booked), self._newly_ended, self._newly_filled)
        self._newly_ended = self._newly_filled = 0
        self._ended.clear()
        self._ended_by_name.clear()
        self._booked.clear()
        return settled

    def apply(self, reports: Iterable[Report]) -> list[EventPayload]:
        """What the journal shall say of `reports`. A report of no consequence gives nothing."""
        payloads: list[EventPayload] = []
        now_ns = self._clock.now_ns()
        for report in reports:
            if isinstance(report, FillReport):
                self._fill(report, now_ns, payloads)
            elif isinstance(report, OrderReport):
                try:
                    self._order(report, now_ns, payloads)
                except lifecycle.IllegalTransition as contradiction:
                    # What was proven stands. Where the broker really has it otherwise, the next poll shows it.
                    self._log("report that contradicts what was proven", problem=str(contradiction))
            elif isinstance(report, VenueOrder):
                self._venues_own(report, payloads)
            elif isinstance(report, BrokerPosition):
                self._position(report)
            elif isinstance(report, BrokerBalance):
                self.holdings["balance", report.currency] = BalanceChanged(report)
            elif isinstance(report, LedgerEntry):
                payloads.append(LedgerEntryBooked(report))
            elif isinstance(report, MarginReport):
                kind = ControlEventType.LIQUIDATION if report.liquidation else ControlEventType.MARGIN_CALL
                payloads.append(ControlChanged(kind, message=report.message))
            elif isinstance(report, ConnectionReport):
                if self._derived is not None:
                    # The supervisor says where the connection stands: CONNECTED is when the gap is filled.
                    if report.state is ConnectionState.CONNECTED and report.message:
                        payloads.append(ConnectionChanged(report.state, report.message))
                    continue
                self._connection_changed(report.state, report.message)
                payloads.append(ConnectionChanged(report.state, report.message))
            else:
                assert_never(report)
        return payloads

    def acknowledged(self, order: Order, broker_order_id: str, payloads: list[EventPayload]) -> Order:
        """`order` after the venue took it; nothing new when it had said so already."""
        if order.state is not OrderState.PENDING_NEW:
            return order
        order = lifecycle.acknowledge(order, broker_order_id, self._clock.now_ns())
        self.hold(order)
        payloads.append(OrderChanged(OrderEventType.ACKNOWLEDGED, order))
        return order

    def rejected(
        self, order: Order, reason: ErrorReason, message: str, payloads: list[EventPayload]
    ) -> Order:
        """`order` after it was refused."""
        order = lifecycle.reject(order, reason, message, self._clock.now_ns())
        self.hold(order)
        payloads.append(OrderChanged(OrderEventType.REJECTED, order, reason=reason, message=message))
        return order

    def adopt(self, order: Order, payloads: list[EventPayload]) -> Order:
        """Takes in an order of others that the venue shows."""
        self.hold(order)
        payloads.append(OrderChanged(OrderEventType.EXTERNAL, order))
        return order

    def stranger(self, shown: VenueOrder, instrument: Instrument, payloads: list[EventPayload]) -> Order:
        """Takes in an order that the journal does not know, with what is left of it: what was filled before it was seen
        is in the account's position, and not this order's to tell."""
        left = subtract(shown.quantity, shown.cum_quantity)
        spec = OrderSpec(
            symbol=shown.symbol,
            side=shown.side,
            type=shown.type,
            quantity=left,
            limit_price=shown.limit_price,
            stop_price=shown.stop_price,
            time_in_force=shown.time_in_force,
        )
        order = lifecycle.external(
            order_id=self._journal.next_order_id(self.account_id),
            account_id=self.account_id,
            spec=spec,
            quantity=left,
            multiplier=instrument.multiplier,
            broker_order_id=shown.broker_order_id,
            now_ns=self._clock.now_ns(),
        )
        return self.adopt(order, payloads)

    def _venues_own(self, shown: VenueOrder, payloads: list[EventPayload]) -> None:
        """An order that the venue made by itself, such as a liquidation's."""
        instrument = self.instruments.get(shown.symbol)
        if instrument is None:
            self._log("order in an unknown instrument", symbol=shown.symbol, order=shown.broker_order_id)
            return
        self.stranger(shown, instrument, payloads)

    def moved(
        self, kind: OrderEventType, order: Order, payloads: list[EventPayload], message: str = ""
    ) -> Order:
        """Takes in `order` after `kind` happened to it."""
        self.hold(order)
        payloads.append(OrderChanged(kind, order, message=message))
        return order

    def find(self, client_order_id: str, broker_order_id: str) -> Order | None:
        """The order with the client's id, else the broker's; ended or not."""
        return self._find(client_order_id, broker_order_id)

    def _position(self, position: BrokerPosition) -> None:
        """What a broker outside the process says of its positions is held against the derived ones elsewhere."""
        if self._derived is not None:
            return
        self.holdings["position", position.symbol] = PositionChanged(position)
        if self._risk is not None:
            self._risk.position(position)

    def _find(self, client_order_id: str, broker_order_id: str) -> Order | None:
        order_id = self._by_client.get(client_order_id) or self._by_broker.get(broker_order_id)
        if order_id is not None:
            return self.open[order_id]
        name = ("client", client_order_id) if client_order_id else ("broker", broker_order_id)
        if name[1] and name in self._ended_by_name:
            return self._ended_by_name[name]
        stored = None
        if client_order_id:
            stored = self._journal.find_order(self.account_id, client_order_id)
        if stored is None and broker_order_id:
            stored = self._journal.find_broker_order(self.account_id, broker_order_id)
        return None if stored is None else stored.order

    def _fill(self, report: FillReport, now_ns: int, payloads: list[EventPayload]) -> None:
        key = (report.symbol, report.broker_order_id, report.execution_id)
        if key in self._booked or self._journal.has_fill(self.account_id, key):
            self._told_again(key, report, payloads)
            return
        corrected = self._corrected(report)
        if report.kind is FillKind.BUST and corrected is None:
            self._log("a bust of an execution that was never booked", execution_id=report.execution_id)
            return
        order = self._find(report.client_order_id, report.broker_order_id)
        booked = Fill(
            fill_id=self._journal.next_fill_id(self.account_id),
            account_id=self.account_id,
            order_id="" if order is None else order.order_id,
            client_order_id="" if order is None else order.client_order_id,
            broker_order_id=report.broker_order_id,
            broker_execution_id=report.execution_id,
            symbol=report.symbol,
            side=report.side,
            quantity=report.quantity,
            price=report.price,
            fees=report.fees,
            liquidity=report.liquidity,
            event_time_ns=report.event_time_ns,
            receive_time_ns=now_ns,
            fees_final=report.fees_final,
            origin=report.origin,
            kind=FillKind.NORMAL if corrected is None else report.kind,
            corrects_fill_id="" if corrected is None else corrected.fill_id,
        )
        self._booked[key] = booked
        self._move(booked, corrected)
        if order is not None and report.origin is FillOrigin.LIVE:
            order = self._renewed_by(order, report.broker_order_id, now_ns, payloads)
        _drop_overtaken(order, payloads)
        payloads.append(FillBooked(booked))
        if order is None:
            # Somebody else's, of an order that was never seen open: it counts for the position all the same.
            self._log("fill without a known order", broker_order_id=report.broker_order_id)
            return
        order, event = lifecycle.fill(order, booked, now_ns, corrected)
        self.hold(order)
        payloads.append(OrderChanged(event, order))

    def _corrected(self, report: FillReport) -> Fill | None:
        """The booked execution that a correction replaces or a bust takes back."""
        for execution_id in report.corrects:
            key = (report.symbol, report.broker_order_id, execution_id)
            found = self._booked.get(key) or self._journal.find_fill(self.account_id, key)
            if found is not None:
                return found
        return None

    def _move(self, booked: Fill, corrected: Fill | None) -> None:
        """Brings the position and the limits up to date with an execution."""
        if self._risk is not None:
            if corrected is not None:
                self._risk.filled(corrected.symbol, corrected.side.opposite, corrected.quantity)
            if booked.kind is not FillKind.BUST:
                self._risk.filled(booked.symbol, booked.side, booked.quantity)
        if self._derived is not None:
            position = self._derived.fill(booked, self.instruments.get(booked.symbol), corrected)
            self.holdings["position", booked.symbol] = PositionChanged(position)
            if self._risk is not None:
                self._risk.position(position)

    def _told_again(self, key: FillKey, report: FillReport, payloads: list[EventPayload]) -> None:
        """An execution that was booked without its fees has them now."""
        if not report.fees_final or key in self._paid:
            return
        fill = self._booked.get(key) or self._journal.find_fill(self.account_id, key)
        self._paid[key] = None
        if len(self._paid) > MAX_PAID:
            del self._paid[next(iter(self._paid))]
        if fill is None or fill.fees_final:
            return
        payloads.append(FillFeesKnown(fill.fill_id, fill.order_id, fill.symbol, report.fees))
        if self._derived is not None:
            self.holdings["position", fill.symbol] = PositionChanged(self._derived.fees(fill, report.fees))

    def _order(self, report: OrderReport, now_ns: int, payloads: list[EventPayload]) -> None:
        order = self._find(report.client_order_id, report.broker_order_id)
        if order is None:
            self._log(
                "report on an unknown order", broker_order_id=report.broker_order_id, change=report.event.name
            )
            return
        kind = report.event
        if kind is OrderEventType.ACKNOWLEDGED:
            self.acknowledged(order, report.broker_order_id, payloads)
            return
        if order.ended:
            # Told twice, or overtaken: the end that was proven first stands.
            self._log("report on an ended order", order_id=order.order_id, change=kind.name)
            return
        if kind is OrderEventType.REJECTED:
            self.rejected(order, report.reason, report.message, payloads)
            return
        # Any later word of the venue proves that it took the order.
        order = self.acknowledged(order, report.broker_order_id, payloads)
        if kind in (OrderEventType.TRIGGERED, OrderEventType.CANCELED, OrderEventType.EXPIRED):
            order = self._renewed_by(order, report.broker_order_id, now_ns, payloads)
        if kind is OrderEventType.TRIGGERED:
            order = lifecycle.trigger(order, now_ns)
        elif kind is OrderEventType.CANCELED:
            order = lifecycle.cancel(order, now_ns, report.reason, report.message)
        elif kind is OrderEventType.EXPIRED:
            order = lifecycle.expire(order, now_ns)
        elif kind is OrderEventType.REPLACED and report.quantity is not None:
            if report.quantity == order.quantity:
                return  # told twice
            order = lifecycle.restated(order, report.quantity, report.broker_order_id, now_ns)
        elif kind is OrderEventType.REPLACED:
            if self._replaced_before(order, report.broker_order_id):
                return
            order = self._replaced(order, report.broker_order_id, now_ns)
        elif kind is OrderEventType.CANCEL_REJECTED:
            order = lifecycle.refuse(order, PendingActionKind.CANCEL, now_ns)
        elif kind is OrderEventType.REPLACE_REJECTED:
            order = lifecycle.refuse(order, PendingActionKind.REPLACE, now_ns)
        else:
            raise ValueError(f"a broker does not report {kind.name}")
        self.hold(order)
        payloads.append(OrderChanged(kind, order, reason=report.reason, message=report.message))
        self._end_used_up(order, now_ns, payloads)

    def _end_used_up(self, order: Order, now_ns: int, payloads: list[EventPayload]) -> None:
        """Ends an order whose new generation was filled before the gateway heard of it."""
        if not order.ended and order.leaves_quantity <= ZERO:
            self.moved(OrderEventType.FILLED, lifecycle.used_up(order, now_ns), payloads)

    def _replaced_before(self, order: Order, broker_order_id: str) -> bool:
        """Whether a REPLACED is told again: a generation counts once. Its id says so where each generation has one of
        its own, else that no replace is under way."""
        if broker_order_id and not self.named(order, broker_order_id):
            return False
        return order.action(PendingActionKind.REPLACE) is None or (
            bool(broker_order_id) and order.order_id in self._former
        )

    def _renewed_by(
        self, order: Order, broker_order_id: str, now_ns: int, payloads: list[EventPayload]
    ) -> Order:
        """A fill, a trigger or an end under an id that the order never had proves the replace under way, whose own
        report did not come yet."""
        if (
            order.state not in (OrderState.NEW, OrderState.PARTIALLY_FILLED)
            or order.action(PendingActionKind.REPLACE) is None
            or not (order.broker_order_id and broker_order_id)
            or self.named(order, broker_order_id)
        ):
            return order
        order = self._replaced(order, broker_order_id, now_ns)
        return self.moved(
            OrderEventType.REPLACED, order, payloads, "told by what became of its new generation"
        )

    @staticmethod
    def _replaced(order: Order, broker_order_id: str, now_ns: int) -> Order:
        """The generation that the replace under way asked for."""
        action = order.action(PendingActionKind.REPLACE)
        spec = order.spec if action is None or action.replacement is None else action.replacement
        quantity = order.quantity if spec.quantity is None else spec.quantity
        return lifecycle.replaced(order, spec, quantity, broker_order_id, now_ns)


def _drop_overtaken(order: Order | None, payloads: list[EventPayload]) -> None:
    """Takes back what a fill of the same step overtakes: an order that walks forty levels is told forty fills, and
    once how it stands. (A fill is an acknowledgement too: an order that fills at once is told in that form.)"""
    last = payloads[-1] if payloads else None
    if (
        isinstance(last, OrderChanged)
        and last.type is OrderEventType.PARTIALLY_FILLED
        and order is not None
        and last.order.order_id == order.order_id
    ):
        payloads.pop()
