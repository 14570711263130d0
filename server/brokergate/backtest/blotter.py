"""What became of a run's orders, as the venue tells it. States come from `domain/lifecycle.py`, as in the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain import lifecycle
from brokergate.domain.accounts import LedgerEntry
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderChanged, OrderEventType
from brokergate.domain.fills import Fill, Liquidity
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import subtract
from brokergate.domain.orders import ENDED, Order, OrderSpec
from brokergate.domain.values import changed
from brokergate.ports.broker import FillReport, OrderReport, VenueOrder

ACCOUNT = "replay"
"""What a run's account is called where an order wants to know."""


@dataclass(slots=True)
class OrderRecord:
    """One order of a run. Times are the venue's, in nanoseconds; prices are of its instrument."""

    order: Order
    given_ns: int
    """When its owner decided."""
    arrival_mid: Decimal | None
    """The middle of bid and ask at that moment; None where one of them was missing."""
    rested_ns: int | None = None
    """When it first stood in the book."""
    first_maker_ns: int | None = None
    """When it first filled from there."""
    ended_ns: int | None = None
    last_mid: Decimal | None = None
    """The middle of bid and ask when it ended; None while it works."""
    message: str = ""
    """What the venue said when it refused or ended it."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that the venue told of the account itself: a margin call, a liquidation."""

    time_ns: int
    message: str


@dataclass(frozen=True, slots=True)
class RefusedCommand:
    """A cancel or a replace that was not done."""

    time_ns: int
    command: str
    client_order_id: str
    reason: ErrorReason
    message: str


class Blotter:
    """All orders and executions of a run. `mid` gives the present middle of bid and ask of an instrument."""

    def __init__(self, mid: Callable[[str], Decimal | None]) -> None:
        self.records: dict[str, OrderRecord] = {}
        """By client order id, in the order in which they were given."""
        self.fills: list[FillReport] = []
        self.refused: list[RefusedCommand] = []
        self.entries: list[LedgerEntry] = []
        """Cash that moved other than by fills: funding, dividends, interest, fees of a liquidation."""
        self.notices: list[Notice] = []
        self.mid = mid

    def intend(
        self,
        client_order_id: str,
        spec: OrderSpec,
        quantity: Decimal,
        instrument: Instrument | None,
        now_ns: int,
    ) -> OrderRecord:
        """A new order was given."""
        order = lifecycle.intend(
            order_id=client_order_id,
            client_order_id=client_order_id,
            account_id=ACCOUNT,
            spec=spec,
            quantity=quantity,
            multiplier=instrument.multiplier if instrument else Decimal(1),
            now_ns=now_ns,
        )
        record = self.records[client_order_id] = OrderRecord(order, now_ns, self.mid(spec.symbol))
        return record

    def acknowledge(self, record: OrderRecord, broker_order_id: str, now_ns: int) -> OrderChanged | None:
        """The venue took it; nothing new where a fill said so before."""
        if record.order.broker_order_id:
            return None
        record.order = lifecycle.acknowledge(record.order, broker_order_id, now_ns)
        return OrderChanged(OrderEventType.ACKNOWLEDGED, record.order)

    def reject(self, record: OrderRecord, reason: ErrorReason, message: str, now_ns: int) -> OrderChanged:
        """It was refused."""
        record.order = lifecycle.reject(record.order, reason, message, now_ns)
        record.message, record.ended_ns = message, now_ns
        return OrderChanged(OrderEventType.REJECTED, record.order, reason=reason, message=message)

    def replaced(
        self, record: OrderRecord, spec: OrderSpec, quantity: Decimal, broker_order_id: str, now_ns: int
    ) -> OrderChanged:
        """It was changed as its owner asked."""
        record.order = lifecycle.replaced(record.order, spec, quantity, broker_order_id, now_ns)
        if not subtract(quantity, record.order.cum_quantity):
            record.order = lifecycle.used_up(record.order, now_ns)
            self._end(record, now_ns)
        return OrderChanged(OrderEventType.REPLACED, record.order)

    def refuse(
        self, command: str, client_order_id: str, reason: ErrorReason, message: str, now_ns: int
    ) -> OrderChanged | None:
        """A cancel or replace was not done."""
        self.refused.append(RefusedCommand(now_ns, command, client_order_id, reason, message))
        record = self.records.get(client_order_id)
        if record is None:
            return None
        cancels = command == "cancel"
        event = OrderEventType.CANCEL_REJECTED if cancels else OrderEventType.REPLACE_REJECTED
        return OrderChanged(event, record.order, reason=reason, message=message)

    def of_the_venue(self, shown: VenueOrder, instrument: Instrument, now_ns: int) -> None:
        """An order that the venue gives for the account by itself: a liquidation."""
        spec = OrderSpec(
            shown.symbol, shown.side, shown.type, shown.quantity, time_in_force=shown.time_in_force
        )
        order = lifecycle.external(
            order_id=shown.broker_order_id,
            account_id=ACCOUNT,
            spec=spec,
            quantity=shown.quantity,
            multiplier=instrument.multiplier,
            broker_order_id=shown.broker_order_id,
            now_ns=now_ns,
        )
        name = name_of(shown)
        order = changed(order, client_order_id=name)
        self.records[name] = OrderRecord(order, now_ns, self.mid(shown.symbol), message=shown.message)

    def fill(self, report: FillReport) -> None:
        """An execution."""
        record = self.records[name_of(report)]
        self.fills.append(report)
        if report.liquidity is Liquidity.MAKER and record.first_maker_ns is None:
            record.first_maker_ns = report.event_time_ns
        record.order, _ = lifecycle.fill(record.order, booked(report), report.event_time_ns)
        self._end(record, report.event_time_ns)

    def tell(self, report: OrderReport) -> OrderChanged | None:
        """Anything else that the venue told of an order."""
        record = self.records[name_of(report)]
        order, now_ns = record.order, report.event_time_ns
        match report.event:
            case OrderEventType.TRIGGERED:
                order = lifecycle.trigger(order, now_ns)
            case OrderEventType.CANCELED:
                order = lifecycle.cancel(order, now_ns, report.reason, report.message)
            case OrderEventType.EXPIRED:
                order = lifecycle.expire(order, now_ns)
            case OrderEventType.REPLACED if report.quantity is not None:
                order = self._resized(order, report.quantity, report.broker_order_id, now_ns)
            case _:
                # The answer to the owner's own command tells it as well.
                return None
        record.order = order
        record.message = report.message or record.message
        self._end(record, now_ns)
        return OrderChanged(report.event, order, reason=report.reason, message=report.message)

    def _resized(self, order: Order, quantity: Decimal, broker_order_id: str, now_ns: int) -> Order:
        """The venue changed how much it is, by itself."""
        spec = changed(order.spec, quantity=quantity)
        return lifecycle.replaced(order, spec, quantity, broker_order_id, now_ns)

    def _end(self, record: OrderRecord, now_ns: int) -> None:
        if record.order.state in ENDED and record.ended_ns is None:
            record.ended_ns, record.last_mid = now_ns, self.mid(record.order.spec.symbol)


def name_of(report: FillReport | OrderReport | VenueOrder) -> str:
    """What the order is called in a run: by its owner's id, or `venue:` and the venue's where the venue gave it."""
    return report.client_order_id or f"venue:{report.broker_order_id}"


def booked(report: FillReport) -> Fill:
    """The execution as the life cycle counts it."""
    return Fill(
        fill_id=report.execution_id,
        account_id=ACCOUNT,
        order_id=report.client_order_id,
        client_order_id=report.client_order_id,
        broker_order_id=report.broker_order_id,
        broker_execution_id=report.execution_id,
        symbol=report.symbol,
        side=report.side,
        quantity=report.quantity,
        price=report.price,
        fees=tuple(report.fees),
        liquidity=report.liquidity,
        event_time_ns=report.event_time_ns,
        receive_time_ns=report.event_time_ns,
    )
