"""Orders as Interactive Brokers writes them, and what it shows of one. Pure: the names here are plain values, which
`attributes` gives the library's names.

An order carries `orderRef`, the gateway's name of it, for good: a change keeps the order's id, its `permId` and its
`orderRef`. `permId` is the venue's own id and the only one that outlives a session; `orderId` is a client's, and comes
again. (Orders: interactivebrokers.github.io/tws-api/available_orders.html, oca.html, bracket_order.html.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from brokergate.adapters.ibkr.contracts import IbContract, Listed
from brokergate.adapters.ibkr.values import WireError, exact_float, write_time
from brokergate.domain.errors import ErrorReason
from brokergate.domain.money import ZERO
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, Side, TimeInForce, TriggerSource
from brokergate.ports.broker import GroupKind, VenueOrder

MAX_REF_LENGTH = 40
"""Characters of an `orderRef`. Its true limit is not documented; longer names are hashed (`VenueIds`)."""

WORDS: Mapping[OrderType, str] = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
    OrderType.TRAILING_STOP: "TRAIL",
    OrderType.MARKET_IF_TOUCHED: "MIT",
    OrderType.LIMIT_IF_TOUCHED: "LIT",
}
TYPES = {word: kind for kind, word in WORDS.items()}
_AT_CLOSE = {OrderType.MARKET: "MOC", OrderType.LIMIT: "LOC"}
_CLOSING = {word: kind for kind, word in _AT_CLOSE.items()}
FORCES: Mapping[TimeInForce, str] = {
    TimeInForce.DAY: "DAY",
    TimeInForce.GTC: "GTC",
    TimeInForce.GTD: "GTD",
    TimeInForce.IOC: "IOC",
    TimeInForce.FOK: "FOK",
    TimeInForce.AT_OPEN: "OPG",
    TimeInForce.AT_CLOSE: "DAY",
}
"""`tif`. AT_CLOSE is a type of its own there, MOC and LOC."""
_FORCES_TOLD = {word: force for force, word in FORCES.items() if force is not TimeInForce.AT_CLOSE}
_ACTIONS = {Side.BUY: "BUY", Side.SELL: "SELL"}
SIDES = {"BUY": Side.BUY, "SELL": Side.SELL, "SSHORT": Side.SELL, "BOT": Side.BUY, "SLD": Side.SELL}
_TRIGGERS = {TriggerSource.UNSPECIFIED: 0, TriggerSource.LAST: 2, TriggerSource.BID_ASK: 4}
"""`triggerMethod`: 0 is what suits the instrument."""
_STOPS = frozenset(
    {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED}
)
_LIMITS = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED})
REDUCE_WITH_BLOCK = 2
"""`ocaType`: what one fills the others lose, and only one of them works at an exchange at a time."""


@dataclass(frozen=True, slots=True)
class IbOrder:
    """An order, in the venue's units. What is not set is None."""

    action: str
    quantity: Decimal
    order_type: str
    limit_price: Decimal | None = None
    aux_price: Decimal | None = None
    """The trigger of a stop, and how far a trailing stop follows."""
    trailing_percent: Decimal | None = None
    tif: str = "DAY"
    good_till: str = ""
    outside_rth: bool = False
    trigger_method: int = 0
    display_size: int = 0
    oca_group: str = ""
    oca_type: int = 0
    account: str = ""
    order_ref: str = ""
    transmit: bool = True
    what_if: bool = False
    order_id: int = 0
    client_id: int = 0
    perm_id: int = 0
    parent_id: int = 0


@dataclass(frozen=True, slots=True)
class IbShown:
    """An order as the venue shows it (`openOrder`, `orderStatus`, `completedOrder`), in its units."""

    contract: IbContract
    order: IbOrder
    status: str
    filled: Decimal = ZERO


def written(spec: OrderSpec, quantity: Decimal, listed: Listed, order_ref: str, account: str) -> IbOrder:
    """The order that `spec` asks for, `quantity` units in all. Its ids are the caller's to add."""
    closing = spec.time_in_force is TimeInForce.AT_CLOSE
    trail = spec.trail_amount
    trigger = trail if spec.type is OrderType.TRAILING_STOP else spec.stop_price
    good_till = "" if spec.expire_time_ns is None else write_time(spec.expire_time_ns)
    return IbOrder(
        action=_ACTIONS[spec.side],
        quantity=quantity,
        order_type=_AT_CLOSE[spec.type] if closing else WORDS[spec.type],
        limit_price=None if spec.limit_price is None else listed.to_venue(spec.limit_price),
        aux_price=None if trigger is None else listed.to_venue(trigger),
        trailing_percent=spec.trail_percent,
        tif=FORCES[spec.time_in_force],
        good_till=good_till if spec.time_in_force is TimeInForce.GTD else "",
        outside_rth=spec.extended_hours,
        trigger_method=_TRIGGERS[spec.trigger_source],
        display_size=0 if spec.display_quantity is None else int(spec.display_quantity),
        account=account,
        order_ref=order_ref,
    )


def attributes(order: IbOrder) -> dict[str, object]:
    """The library's names and values of what is set. `ValueError` for a number that a float cannot carry."""
    numbers = {
        "totalQuantity": order.quantity,
        "lmtPrice": order.limit_price,
        "auxPrice": order.aux_price,
        "trailingPercent": order.trailing_percent,
    }
    named: dict[str, object] = {
        name: exact_float(value, name) for name, value in numbers.items() if value is not None
    }
    named.update(
        action=order.action,
        orderType=order.order_type,
        tif=order.tif,
        goodTillDate=order.good_till,
        outsideRth=order.outside_rth,
        triggerMethod=order.trigger_method,
        displaySize=order.display_size,
        ocaGroup=order.oca_group,
        ocaType=order.oca_type,
        account=order.account,
        orderRef=order.order_ref,
        transmit=order.transmit,
        whatIf=order.what_if,
        orderId=order.order_id,
        parentId=order.parent_id,
    )
    return named


def linked(kind: GroupKind, orders: Sequence[IbOrder], order_ids: Sequence[int]) -> list[IbOrder]:
    """The orders of a group, to be sent in their order. A bracket waits at TWS until its last order, the only one that
    is transmitted; its closing orders shrink each other as they fill, as those of an OCO do. The group is called by its
    first order's `orderRef`, which nobody else has."""
    name = orders[0].order_ref
    numbered = [replace(each, order_id=order_id) for each, order_id in zip(orders, order_ids, strict=True)]
    if kind is GroupKind.OCO:
        return [replace(each, oca_group=name, oca_type=REDUCE_WITH_BLOCK) for each in numbered]
    entry, *closing = numbered
    group = (name, REDUCE_WITH_BLOCK) if len(closing) > 1 else ("", 0)
    last = len(closing) - 1
    return [
        replace(entry, transmit=False),
        *(
            replace(
                each,
                parent_id=entry.order_id,
                oca_group=group[0],
                oca_type=group[1],
                transmit=index == last,
            )
            for index, each in enumerate(closing)
        ),
    ]


# What the venue shows

_STATES: Mapping[str, OrderState] = {
    "ApiPending": OrderState.NEW,
    "PendingSubmit": OrderState.NEW,
    "PreSubmitted": OrderState.NEW,
    "Submitted": OrderState.NEW,
    "PendingCancel": OrderState.NEW,
    "ApiCancelled": OrderState.CANCELED,
    "Cancelled": OrderState.CANCELED,
    "Filled": OrderState.FILLED,
}
INACTIVE = "Inactive"
"""Refused, or held back by TWS, as a market that is closed or a share that nobody lends makes it: not the end of an
order by itself (tws-api/order_submission.html)."""


def state(status: str, filled: Decimal) -> OrderState | None:
    """What a status that the venue sent proves; None for `Inactive` and for one that is not documented."""
    found = _STATES.get(status)
    if found is OrderState.NEW and filled:
        return OrderState.PARTIALLY_FILLED
    return found


def type_of(order: IbOrder) -> tuple[OrderType, TimeInForce]:
    """Type and time in force; UNSPECIFIED for what the gateway does not know (orders of others)."""
    if (closing := _CLOSING.get(order.order_type)) is not None:
        return closing, TimeInForce.AT_CLOSE
    return TYPES.get(order.order_type, OrderType.UNSPECIFIED), _FORCES_TOLD.get(
        order.tif, TimeInForce.UNSPECIFIED
    )


def venue_order(
    shown: IbShown,
    proven: OrderState,
    client_order_id: str,
    symbol: str,
    listed: Listed | None,
    update_time_ns: int,
    reason: ErrorReason = ErrorReason.UNSPECIFIED,
    message: str = "",
) -> VenueOrder:
    """The order as the port has it. `listed` is what is known of its contract, if anything is. Raises `WireError`."""
    order = shown.order
    side = SIDES.get(order.action)
    if side is None:
        raise WireError(f"an order's action is {order.action!r}")
    kind, force = type_of(order)

    def ours(price: Decimal | None) -> Decimal | None:
        return price if price is None or listed is None else listed.from_venue(price)

    return VenueOrder(
        client_order_id=client_order_id,
        broker_order_id=str(order.perm_id),
        symbol=symbol,
        side=side,
        type=kind,
        quantity=order.quantity,
        cum_quantity=shown.filled,
        state=proven,
        update_time_ns=update_time_ns,
        limit_price=ours(order.limit_price) if kind in _LIMITS else None,
        stop_price=ours(order.aux_price) if kind in _STOPS else None,
        time_in_force=force,
        reason=reason,
        message=message,
    )
