"""What Binance tells of orders, in the gateway's words.

Answers and the private stream tell the same things twice, in an order that nobody promises: an end is told once, a
trigger once, and what was told of each order's fills is known when its end comes by another way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from brokergate.adapters.binance.listing import Listing
from brokergate.adapters.binance.parse import Execution, OrderEvent, ShownOrder
from brokergate.adapters.connection.ids import VenueIds
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import Liquidity
from brokergate.domain.money import ZERO, add, subtract
from brokergate.domain.orders import Order, OrderState, OrderType, TimeInForce
from brokergate.ports.broker import FillReport, OrderReport, Report, VenueOrder

REMEMBERED = 65_536
"""Orders of which is known what was told; of one that is forgotten an end may be told twice, which changes nothing."""
REPLACES = "brg-replace-"
"""How the cancel begins by which a replace takes an order away: it is no end of the order."""

_STOPS = frozenset({
    OrderType.STOP,
    OrderType.STOP_LIMIT,
    OrderType.TRAILING_STOP,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.LIMIT_IF_TOUCHED,
})  # fmt: skip
_TAKING = frozenset({
    OrderType.MARKET,
    OrderType.STOP,
    OrderType.TRAILING_STOP,
    OrderType.MARKET_IF_TOUCHED,
})  # fmt: skip
_ENDED = frozenset({"CANCELED", "REJECTED", "EXPIRED", "EXPIRED_IN_MATCH"})
_EVENTS: Mapping[OrderState, OrderEventType] = {
    OrderState.CANCELED: OrderEventType.CANCELED,
    OrderState.EXPIRED: OrderEventType.EXPIRED,
    OrderState.REJECTED: OrderEventType.REJECTED,
}
Key = TypeVar("Key")
Kept = TypeVar("Kept")


def keep(memory: dict[Key, Kept], key: Key, kept: Kept) -> None:
    """Remembers, and forgets what was remembered longest ago."""
    memory.pop(key, None)
    memory[key] = kept
    if len(memory) > REMEMBERED:
        del memory[next(iter(memory))]


def replace_id(broker_order_id: str) -> str:
    """What the cancel is called by which a replace takes an order away."""
    return f"{REPLACES}{broker_order_id}"


def how_it_stands(shown: ShownOrder) -> tuple[OrderState, ErrorReason, str]:
    """The state, and why where it ended without anybody's asking.

    Binance calls EXPIRED what nobody cancelled: the rest of an order that takes, the other one of a list, an order of
    before a delisting (enums.md, "Order status").
    """
    if shown.status == "EXPIRED_IN_MATCH":
        return OrderState.CANCELED, ErrorReason.SELF_TRADE, "it met an order of the same account"
    if shown.status == "REJECTED":
        return OrderState.REJECTED, ErrorReason.BROKER_REJECTED, "Binance rejected it"
    if shown.status != "EXPIRED":
        return shown.state, ErrorReason.UNSPECIFIED, ""
    takes = shown.type in _TAKING or shown.force in (TimeInForce.IOC, TimeInForce.FOK)
    if takes:
        return OrderState.CANCELED, ErrorReason.NOT_FILLABLE, "the market had no more for it"
    if shown.list_id != -1:
        return OrderState.CANCELED, ErrorReason.LINKED_ORDER, "another order of its list took its place"
    return OrderState.EXPIRED, ErrorReason.UNSPECIFIED, ""


class Telling:
    """One account's orders, and what was told of them."""

    def __init__(self, ids: VenueIds, listing: Callable[[], Listing]) -> None:
        self.ids = ids
        self._listing = listing
        self.open: dict[str, str] = {}
        """Orders that are open at Binance, as far as is known: their symbol there, by id."""
        self._names: dict[str, str] = {}
        self._before: dict[str, Decimal] = {}
        self._filled: dict[str, Decimal] = {}
        self._triggered: dict[str, None] = {}
        self._ended: dict[str, None] = {}
        self._counted: dict[tuple[str, int], None] = {}

    def load(self, orders: list[Order]) -> None:
        """Learns what the journal has open."""
        self.ids.load(orders)
        for order in orders:
            if order.broker_order_id:
                keep(self._filled, order.broker_order_id, order.cum_quantity)
                if order.triggered:
                    keep(self._triggered, order.broker_order_id, None)

    # Names

    def named(self, broker_order_id: str, client_id: str) -> None:
        """Binance's order has this client id there."""
        keep(self._names, broker_order_id, client_id)

    def name(self, broker_order_id: str) -> str | None:
        """The client id that Binance's order has there; None where it was never seen."""
        return self._names.get(broker_order_id)

    def client_order_id(self, client_id: str) -> str:
        """The id that the gateway's client gave; empty for an order of others."""
        known = self.ids.client_id(client_id)
        return "" if known is None else known[0]

    def _replacement(self, client_id: str) -> bool:
        known = self.ids.client_id(client_id)
        return known is not None and known[1] > 1

    def filled(self, broker_order_id: str) -> Decimal:
        """What was told to be filled of an order."""
        return self._filled.get(broker_order_id, ZERO)

    def follows(self, client_id: str, filled: Decimal) -> None:
        """An order that takes another one's place goes without the `filled` of that: Binance counts it from zero."""
        keep(self._before, client_id, filled)

    def before(self, order: Order) -> Decimal | None:
        """What earlier generations of an order had filled; None where nobody remembers."""
        if order.generation == 1:
            return ZERO
        return self._before.get(self.ids.venue_id(order.client_order_id, order.generation))

    # What is told

    def placed(self, shown: ShownOrder) -> list[Report]:
        """What the answer to a new order tells: that it is there, its fills, its end."""
        reports: list[Report] = [self._there(shown)]
        if shown.by_amount and shown.status in ("FILLED", "EXPIRED") and shown.filled:
            reports.append(self._came_to(shown))
        for fill in shown.fills:
            report = FillReport(
                client_order_id=self.client_order_id(shown.client_id),
                broker_order_id=shown.order_id,
                execution_id=fill.trade_id,
                symbol=self._listing().symbol(shown.symbol),
                side=shown.side,
                quantity=fill.quantity,
                price=fill.price,
                fees=fill.fees,
                # What fills before the answer was there when the order came.
                liquidity=Liquidity.TAKER,
                event_time_ns=shown.time_ns,
            )
            self._count(shown.order_id, int(fill.trade_id), fill.quantity)
            reports.append(report)
        if shown.status in _ENDED and shown.by_amount and shown.filled:
            keep(self._ended, shown.order_id, None)
        elif shown.status in _ENDED:
            reports += self.ended(shown)
        return reports

    def _there(self, shown: ShownOrder) -> OrderReport:
        self.named(shown.order_id, shown.client_id)
        if shown.status not in _ENDED and shown.status != "FILLED" and shown.order_id not in self._ended:
            self.open[shown.order_id] = shown.symbol
        replaced = self._replacement(shown.client_id)
        return OrderReport(
            OrderEventType.REPLACED if replaced else OrderEventType.ACKNOWLEDGED,
            self.client_order_id(shown.client_id),
            shown.order_id,
            shown.time_ns,
        )

    def _came_to(self, shown: ShownOrder) -> OrderReport:
        """An order by amount: what the amount came to is its total."""
        return OrderReport(
            OrderEventType.REPLACED,
            self.client_order_id(shown.client_id),
            shown.order_id,
            shown.time_ns,
            message="what its quote_quantity came to",
            quantity=shown.filled,
        )

    def ended(self, shown: ShownOrder) -> list[Report]:
        """The end of an order, once. Its fills are to be told before."""
        self.open.pop(shown.order_id, None)
        if shown.order_id in self._ended:
            return []
        keep(self._ended, shown.order_id, None)
        if shown.by_amount and shown.filled:
            return [self._came_to(shown)]
        state, reason, message = how_it_stands(shown)
        event = _EVENTS[state]
        client_order_id = self.client_order_id(shown.client_id)
        return [OrderReport(event, client_order_id, shown.order_id, shown.time_ns, reason, message)]

    def fill(self, execution: Execution, client_id: str) -> FillReport:
        """An execution of the stream or of a list."""
        self._count(execution.order_id, execution.trade_id, execution.quantity)
        return FillReport(
            client_order_id=self.client_order_id(client_id),
            broker_order_id=execution.order_id,
            execution_id=str(execution.trade_id),
            symbol=self._listing().symbol(execution.symbol),
            side=execution.side,
            quantity=execution.quantity,
            price=execution.price,
            fees=execution.fees,
            liquidity=execution.liquidity,
            event_time_ns=execution.time_ns,
        )

    def _count(self, broker_order_id: str, trade_id: int, quantity: Decimal) -> None:
        if (broker_order_id, trade_id) not in self._counted:
            keep(self._counted, (broker_order_id, trade_id), None)
            keep(self._filled, broker_order_id, add(self.filled(broker_order_id), quantity))

    def event(self, event: OrderEvent) -> list[Report]:
        """What an `executionReport` tells."""
        shown = event.order
        self.named(shown.order_id, event.cancel_id if event.kind == "REPLACED" else shown.client_id)
        own = self.ids.own(shown.client_id)
        if event.trade is not None:
            return [*self._trigger(event), *self._traded(event, event.trade)]
        if shown.status in _ENDED:
            if own and event.cancel_id.startswith(REPLACES):
                self.open.pop(shown.order_id, None)
                return []
            return self.ended(shown)
        if event.kind == "REPLACED":
            return self._amended(event)
        if not own:
            return self._of_others(shown)
        if event.works and shown.type in _STOPS:
            return self._trigger(event)
        return [self._there(shown)] if event.kind == "NEW" else []

    def _traded(self, event: OrderEvent, trade: Execution) -> list[Report]:
        shown = event.order
        reports: list[Report] = []
        if shown.status == "FILLED":
            self.open.pop(shown.order_id, None)
            if shown.by_amount and self.ids.own(shown.client_id):
                reports.append(self._came_to(shown))
        return [*reports, self.fill(trade, shown.client_id)]

    def _trigger(self, event: OrderEvent) -> list[Report]:
        """A stop that works or trades was set off; told once."""
        shown = event.order
        if shown.type not in _STOPS or shown.order_id in self._triggered or shown.order_id in self._ended:
            return []
        keep(self._triggered, shown.order_id, None)
        if not self.ids.own(shown.client_id):
            return []
        client_order_id = self.client_order_id(shown.client_id)
        return [OrderReport(OrderEventType.TRIGGERED, client_order_id, shown.order_id, shown.time_ns)]

    def _amended(self, event: OrderEvent) -> list[Report]:
        """An order that was made smaller in place keeps its number: the generation goes without."""
        shown = event.order
        name = self.client_order_id(event.cancel_id)
        if name:
            return [self.amended(name, shown.time_ns)]
        name = self.client_order_id(shown.client_id)
        if not name:
            return []
        return [
            OrderReport(
                OrderEventType.REPLACED,
                name,
                shown.order_id,
                shown.time_ns,
                message="somebody else made it smaller",
                quantity=shown.quantity,
            )
        ]

    def amended(self, client_order_id: str, time_ns: int) -> OrderReport:
        """The order was made smaller in place, as the gateway asked."""
        return OrderReport(OrderEventType.REPLACED, client_order_id, "", time_ns)

    def _of_others(self, shown: ShownOrder) -> list[Report]:
        if shown.order_id in self.open or shown.order_id in self._ended:
            return []
        self.open[shown.order_id] = shown.symbol
        return [self.shown(shown)]

    def shown(self, shown: ShownOrder, total: Decimal | None = None) -> VenueOrder:
        """An order that was asked for or listed. `total` is its quantity with what earlier generations filled, where
        that is known."""
        self.named(shown.order_id, shown.client_id)
        before = self._before.get(shown.client_id, ZERO)
        if total is not None and total > shown.quantity:
            before = subtract(total, shown.quantity)
        state, reason, message = how_it_stands(shown)
        if state in (OrderState.NEW, OrderState.PARTIALLY_FILLED):
            if shown.order_id not in self._ended:
                self.open[shown.order_id] = shown.symbol
            state = OrderState.PARTIALLY_FILLED if shown.filled else OrderState.NEW
        else:
            self.open.pop(shown.order_id, None)
        return VenueOrder(
            client_order_id=self.client_order_id(shown.client_id),
            broker_order_id=shown.order_id,
            symbol=self._listing().symbol(shown.symbol),
            side=shown.side,
            type=shown.type,
            quantity=add(shown.quantity, before),
            cum_quantity=add(shown.filled, before),
            state=state,
            update_time_ns=shown.time_ns,
            limit_price=shown.price,
            stop_price=shown.stop_price,
            time_in_force=shown.force,
            reason=reason,
            message=message,
        )
