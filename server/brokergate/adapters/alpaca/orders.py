"""Whose an order at Alpaca is, and what its updates mean for the gateway. No I/O.

An order carries `VenueIds`' name of its client order id and generation: a replace makes a new order there, with an id
and a client order id of its own. The legs of a group have client order ids that Alpaca draws; they are known by
Alpaca's own ids, from the answer to the group, or from its parent.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Generic, TypeVar

from brokergate.adapters.alpaca.answers import Activity, AlpacaOrder, TradeUpdate
from brokergate.adapters.alpaca.coins import Coins
from brokergate.adapters.alpaca.wire import MAX_ID_LENGTH, parent_of
from brokergate.adapters.connection.ids import VenueIds
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import FillOrigin, Liquidity
from brokergate.domain.money import ZERO, add
from brokergate.domain.orders import Order, OrderState, OrderType, TimeInForce
from brokergate.ports.broker import FillReport, OrderGroup, OrderReport, Report, VenueOrder

REMEMBERED = 65_536
"""Orders and executions whose names are kept in memory; older ones are asked for again."""

ACKNOWLEDGED = frozenset({"new", "accepted", "pending_new", "held", "accepted_for_bidding"})
ENDED = {
    "canceled": OrderEventType.CANCELED,
    "expired": OrderEventType.EXPIRED,
    "rejected": OrderEventType.REJECTED,
}
REFUSED = {
    "order_cancel_rejected": OrderEventType.CANCEL_REJECTED,
    "order_replace_rejected": OrderEventType.REPLACE_REJECTED,
}
FILLS = frozenset({"fill", "partial_fill"})

K = TypeVar("K")
V = TypeVar("V")


class Latest(Generic[K, V]):
    """The values that were put in last, `REMEMBERED` of them."""

    def __init__(self) -> None:
        self._values: dict[K, V] = {}

    def __setitem__(self, key: K, value: V) -> None:
        self._values.pop(key, None)
        self._values[key] = value
        if len(self._values) > REMEMBERED:
            del self._values[next(iter(self._values))]

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """The value, where it is still remembered."""
        return self._values.get(key)


class Orders:
    """What is known of the orders of one account."""

    def __init__(self, account_id: str) -> None:
        self.ids = VenueIds(account_id, MAX_ID_LENGTH)
        self.placed: Latest[str, bool] = Latest()
        """The client order ids that Alpaca took from here."""
        self.parents: Latest[str, tuple[str, str]] = Latest()
        """Of a group, by its id: the client order id of what it was sent as, and that one's id at Alpaca, where it is
        known."""
        self.totals: Latest[str, Decimal] = Latest()
        """The units that an order by an amount of money is for, by its client order id, as the gateway counts them."""
        self._names: Latest[str, str] = Latest()
        self._attempts: Latest[str, int] = Latest()
        self._executions: Latest[tuple[str, Decimal, Decimal, Decimal], str] = Latest()
        self._told: Latest[str, bool] = Latest()
        self.coins = Coins()

    def load(self, orders: Iterable[Order]) -> None:
        """Learns what the journal has open."""
        for order in orders:
            if order.broker_order_id and order.client_order_id:
                self._names[order.broker_order_id] = order.client_order_id
            self.count(order)
            # A bracket's entry; of an OCO, and where the entry has ended and is not needed, the limit order.
            limit = order.spec.type is OrderType.LIMIT and order.group_id not in self.parents
            if order.group_id and (order.spec.bracket or limit):
                self.parents[order.group_id] = order.client_order_id, order.broker_order_id

    def count(self, order: Order) -> None:
        """Takes note of the units that an order by an amount of money is for."""
        if order.spec.quote_quantity is not None:
            self.totals[order.client_order_id] = order.quantity

    # Names

    def name(self, order: Order) -> str:
        """What a new order is called at Alpaca."""
        return self.ids.venue_id(order.client_order_id, 1)

    def next_name(self, order: Order) -> str:
        """What the next generation of an order is called: never twice the same, since Alpaca keeps the name of one that
        came to nothing."""
        attempt = max(order.generation, self._attempts.get(order.client_order_id) or 0) + 1
        self._attempts[order.client_order_id] = attempt
        return self.ids.venue_id(order.client_order_id, attempt)

    def client_id(self, shown: AlpacaOrder) -> str:
        """The client order id of the gateway's order; empty for one of others."""
        own = self.ids.client_id(shown.client_order_id)
        return own[0] if own is not None else self._names.get(shown.id) or ""

    def learn(self, shown: AlpacaOrder, client_order_id: str) -> None:
        """`shown` is the gateway's order of that id."""
        self._names[shown.id] = client_order_id

    def client_id_of(self, order_id: str) -> str | None:
        """The client order id of the order with that id of Alpaca's; empty for one of others, None where it is not
        known."""
        return self._names.get(order_id)

    def learn_group(self, group: OrderGroup, shown: AlpacaOrder) -> dict[str, AlpacaOrder]:
        """The orders of a group as Alpaca shows them, by client order id: those that it shows."""
        parent = parent_of(group)
        self.parents[parent.group_id] = parent.client_order_id, shown.id
        found = {parent.client_order_id: shown}
        for order in group.orders:
            leg = leg_of(order, shown) if order is not parent else None
            if leg is not None:
                found[order.client_order_id] = leg
        for client_order_id, each in found.items():
            self.learn(each, client_order_id)
        return found

    # Views

    def view(self, shown: AlpacaOrder) -> VenueOrder:
        """An order as the port has it. One by an amount of money is for as many units as the gateway counts, until its
        end says how many it came to."""
        client_order_id = self.client_id(shown)
        quantity = shown.total
        if shown.quantity is None and shown.working:
            quantity = max(self.totals.get(client_order_id) or ZERO, shown.filled)
        rejected = shown.state is OrderState.REJECTED
        return VenueOrder(
            client_order_id=client_order_id,
            broker_order_id=shown.id,
            symbol=shown.symbol,
            side=shown.side,
            type=shown.type,
            quantity=quantity,
            cum_quantity=shown.filled,
            state=shown.state,
            update_time_ns=shown.updated_ns,
            limit_price=shown.limit_price,
            stop_price=shown.stop_price,
            time_in_force=shown.time_in_force,
            reason=ErrorReason.BROKER_REJECTED if rejected else ErrorReason.UNSPECIFIED,
            message="Alpaca rejected it and does not say why" if rejected else "",
        )

    # Reports

    def reports(self, update: TradeUpdate) -> list[Report]:
        """What an update of the stream says, but for `replaced`, of which the next generation has to be known."""
        shown = update.order
        if update.event in FILLS:
            return self._filled(update)
        kind = ENDED.get(update.event) or REFUSED.get(update.event)
        if kind is not None:
            reason, message = _why(update)
            return [
                OrderReport(
                    kind, self.client_id(shown), shown.id, update.time_ns, reason=reason, message=message
                )
            ]
        client_order_id = self.client_id(shown)
        if update.event == "restated" and client_order_id and shown.quantity is not None:
            # One of an OCO filled, and this one shrank; or the shares were split.
            return [
                OrderReport(
                    OrderEventType.REPLACED,
                    client_order_id,
                    shown.id,
                    update.time_ns,
                    message="Alpaca restated it",
                    quantity=shown.quantity,
                )
            ]
        if update.event in ACKNOWLEDGED and client_order_id and not shown.replaces:
            return [OrderReport(OrderEventType.ACKNOWLEDGED, client_order_id, shown.id, update.time_ns)]
        return []

    def _filled(self, update: TradeUpdate) -> list[Report]:
        shown, client_order_id = update.order, self.client_id(update.order)
        assert update.price is not None
        assert update.quantity is not None
        reports: list[Report] = []
        total = self._total(update)
        if client_order_id and total is not None:
            reports.append(
                OrderReport(
                    OrderEventType.REPLACED,
                    client_order_id,
                    shown.id,
                    update.time_ns,
                    message="what the amount of the order came to",
                    quantity=total,
                )
            )
            self.totals[client_order_id] = total
        key = shown.id, shown.filled, update.quantity, update.price
        self._executions[key] = update.execution_id
        self._told[update.execution_id] = True
        fill = FillReport(
            client_order_id=client_order_id,
            broker_order_id=shown.id,
            execution_id=update.execution_id,
            symbol=shown.symbol,
            side=shown.side,
            quantity=update.quantity,
            price=update.price,
            fees=(),
            liquidity=Liquidity.UNSPECIFIED,
            event_time_ns=update.time_ns,
            fees_final=False,
        )
        reports.append(self.coins.live(fill, update.position))
        return reports

    def was_told(self, activity: Activity) -> bool:
        """Whether the stream told it, or the activities did before."""
        return self._execution_id(activity) in self._told

    def _execution_id(self, activity: Activity) -> str:
        """Its id at Alpaca ends in the execution's; should Alpaca draw another one, then what the stream told of the
        same order, sum, quantity and price is the same execution all the same (law 7)."""
        if activity.cum is None or activity.execution_id in self._told:
            return activity.execution_id
        key = activity.order_id, activity.cum, activity.quantity, activity.price
        return self._executions.get(key) or activity.execution_id

    def _total(self, update: TradeUpdate) -> Decimal | None:
        """The new total of an order by an amount of money, where this fill shows that it is another: all of it at the
        end; before, more than is filled."""
        shown = update.order
        counted = self.totals.get(self.client_id(shown))
        if shown.notional is None or counted is None:
            return None
        if update.event == "fill":
            return shown.filled if shown.filled != counted else None
        assert update.quantity is not None
        return add(shown.filled, update.quantity) if shown.filled >= counted else None

    def missed(self, activity: Activity, client_order_id: str, symbol: str) -> FillReport:
        """An execution of the account's activities."""
        execution_id = self._execution_id(activity)
        self._told[execution_id] = True
        return FillReport(
            client_order_id=client_order_id,
            broker_order_id=activity.order_id,
            execution_id=execution_id,
            symbol=symbol,
            side=activity.side,
            quantity=activity.quantity,
            price=activity.price,
            fees=(),
            liquidity=Liquidity.UNSPECIFIED,
            event_time_ns=activity.time_ns,
            fees_final=False,
            origin=FillOrigin.BACKFILL,
        )


def leg_of(order: Order, parent: AlpacaOrder) -> AlpacaOrder | None:
    """The leg of a group that `order` is: a group has one limit order and one stop beside its entry."""
    limit = order.spec.type is OrderType.LIMIT
    return next((leg for leg in parent.legs if (leg.type is OrderType.LIMIT) == limit), None)


def replaced(update: TradeUpdate, client_order_id: str, successor: AlpacaOrder, *, own: bool) -> OrderReport:
    """What it means that an order was replaced by `successor`: the gateway's next generation; or, where others replaced
    it, its end, since the new one is theirs."""
    if own:
        return OrderReport(OrderEventType.REPLACED, client_order_id, successor.id, update.time_ns)
    message = f"others replaced it by their order {successor.id}"
    return OrderReport(
        OrderEventType.CANCELED, client_order_id, update.order.id, update.time_ns, message=message
    )


def _why(update: TradeUpdate) -> tuple[ErrorReason, str]:
    """Alpaca gives no reason. What is filled at once or not at all, and was not, has one all the same."""
    shown = update.order
    if update.event == "rejected":
        return ErrorReason.BROKER_REJECTED, "Alpaca rejected it after taking it, and does not say why"
    at_once = shown.time_in_force is TimeInForce.FOK and not shown.filled
    if at_once and update.event in ("canceled", "expired"):
        return ErrorReason.NOT_FILLABLE, "not all of it could be filled at once"
    return ErrorReason.UNSPECIFIED, ""
