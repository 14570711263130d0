"""Orders that stand and fall together: what a request makes of them, and what a broker must have for it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from brokergate.domain.capabilities import Capabilities
from brokergate.domain.commands import PlaceOrder
from brokergate.domain.errors import invalid_field
from brokergate.domain.instruments import Instrument
from brokergate.domain.orders import Order, OrderSpec, OrderType, ProtectiveLeg, Side, TimeInForce
from brokergate.domain.values import changed
from brokergate.engine.rules import check_leg, check_order, unsupported
from brokergate.ports.broker import GroupKind, OrderGroup

Unit = tuple[Order, ...]
"""Orders that are sent in one step: a group, or one that stands alone."""

_NOT_EMULATED = "; this version of the gateway emulates no groups, so that allow_emulated does not help"


def members_of(
    command: PlaceOrder,
    instrument: Instrument,
    capabilities: Capabilities,
    broker: str,
    present_ns: Callable[[], int],
) -> list[tuple[str, OrderSpec]]:
    """The client order id and the spec of each order of a group, the first one first, with the time in force that it
    gets. Raises a GatewayError unless the broker could take all of them; `present_ns` as in `check_order`."""
    _check_links(command, capabilities, broker)
    spec = command.spec
    time_in_force = check_order(spec, instrument, capabilities, broker, present_ns)
    entry = changed(spec, time_in_force=time_in_force)
    members = [(command.client_order_id, entry)]
    if not command.oco:
        for leg, field in legs_of(spec):
            closing = closing_spec(entry, leg, capabilities, asked=spec.time_in_force)
            check_leg(closing, instrument, capabilities, broker, f"order.{field}")
            members.append((leg.client_order_id, closing))
        return members
    for index, member in enumerate(command.oco):
        at = f"oco_orders[{index}].order."
        time_in_force = check_order(member.spec, instrument, capabilities, broker, present_ns, at)
        members.append((member.client_order_id, changed(member.spec, time_in_force=time_in_force)))
    return members


def check_place(
    command: PlaceOrder,
    instrument: Instrument,
    capabilities: Capabilities,
    broker: str,
    present_ns: Callable[[], int],
) -> None:
    """Raises a GatewayError unless the broker could take the order, with all of its group."""
    if command.spec.bracket or command.oco:
        members_of(command, instrument, capabilities, broker, present_ns)
    else:
        check_order(command.spec, instrument, capabilities, broker, present_ns)


def _check_links(command: PlaceOrder, capabilities: Capabilities, broker: str) -> None:
    way_out = _NOT_EMULATED if command.allow_emulated else ""
    if command.oco:
        if not capabilities.native_oco:
            raise unsupported(broker, "oco_orders", f"an OCO group{way_out}")
    elif not capabilities.native_bracket:
        _, field = legs_of(command.spec)[0]
        raise unsupported(broker, f"order.{field}", f"a bracket{way_out}")


def legs_of(spec: OrderSpec) -> list[tuple[ProtectiveLeg, str]]:
    """The closing orders of a bracket, each with its field."""
    legs = (spec.take_profit, "take_profit"), (spec.stop_loss, "stop_loss")
    return [(leg, field) for leg, field in legs if leg is not None]


def closing_spec(
    entry: OrderSpec, leg: ProtectiveLeg, capabilities: Capabilities, *, asked: TimeInForce
) -> OrderSpec:
    """The order that a leg of `entry` is. It works until it is cancelled, or for the day where that was `asked` for the
    entry; at a broker that has neither for its type, as long as that has it."""
    kind = _kind_of(leg, take_profit=leg is entry.take_profit)
    allowed = capabilities.order_types.get(kind, frozenset())
    wanted = TimeInForce.DAY if asked is TimeInForce.DAY else TimeInForce.GTC
    return OrderSpec(
        symbol=entry.symbol,
        side=Side.SELL if entry.side is Side.BUY else Side.BUY,
        type=kind,
        quantity=entry.quantity,
        limit_price=leg.limit_price,
        stop_price=leg.stop_price,
        time_in_force=wanted if wanted in allowed else min(allowed, default=wanted),
        reduce_only=capabilities.reduce_only,
        extended_hours=entry.extended_hours,
        self_trade_prevention=entry.self_trade_prevention,
        labels=entry.labels,
    )


def _kind_of(leg: ProtectiveLeg, *, take_profit: bool) -> OrderType:
    if take_profit:
        return OrderType.LIMIT if leg.stop_price is None else OrderType.LIMIT_IF_TOUCHED
    return OrderType.STOP if leg.limit_price is None else OrderType.STOP_LIMIT


def group_of(unit: Unit) -> OrderGroup:
    """The orders as the broker is asked to link them."""
    bracket = any(is_entry(order) for order in unit)
    return OrderGroup(GroupKind.BRACKET if bracket else GroupKind.OCO, unit)


def is_entry(order: Order) -> bool:
    """Whether it is the entry of a bracket, which its legs cannot do without."""
    return order.order_id == order.group_id and order.spec.bracket


def units_of(orders: Iterable[Order]) -> list[Unit]:
    """The orders as they are sent: those of a group together, each where its first one stands."""
    units: dict[str, list[Order]] = {}
    for order in orders:
        units.setdefault(order.group_id or order.order_id, []).append(order)
    return [tuple(unit) for unit in units.values()]


def without(unit: Unit, cancelled: Sequence[Order]) -> tuple[Unit, Unit]:
    """What of a group is still to be sent when some of it was cancelled before, and what is not: without its entry
    nothing of a bracket."""
    if any(is_entry(order) for order in cancelled):
        return (), unit
    gone = {order.order_id for order in cancelled}
    return (
        tuple([order for order in unit if order.order_id not in gone]),
        tuple([order for order in unit if order.order_id in gone]),
    )


def check_quantity_is_free(order: Order) -> None:
    """Raises INVALID_FIELD for a change of the quantity of linked orders, which is the group's, and of an order by
    `quote_quantity`, which is what that came to."""
    if order.spec.quote_quantity is not None:
        raise invalid_field(
            "quantity", "is what the order's quote_quantity came to; cancel it and place another one"
        )
    if order.group_id:
        raise invalid_field(
            "quantity", "is that of the order's group; cancel the group and place another one"
        )
