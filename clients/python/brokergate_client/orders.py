"""Orders: what is asked for, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from brokergate_client.enums import (
    ErrorReason,
    OrderOrigin,
    OrderState,
    OrderType,
    PendingActionKind,
    SelfTradePrevention,
    Side,
    TimeInForce,
    TriggerSource,
)
from brokergate_client.errors import GatewayError
from brokergate_client.exact import Number, exact, time_of
from brokergate_client.ids import new_id
from brokergate_client.money import Money

_ENDED = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED})


@dataclass(frozen=True, slots=True)
class ProtectiveLeg:
    """One closing order of a bracket, under a client order id of its own; where that is empty it is made from the
    entry's, which ends in `-tp` or `-sl`."""

    client_order_id: str = ""
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderSpec:
    """What an order asks for; field by field as `OrderSpec` in `order.proto`.

    `market`, `limit`, `stop` and `stop_limit` make the usual ones, and take the other fields by name. Exactly one of
    `quantity` (units of the instrument) and `quote_quantity` (units of the quote currency) is set.
    """

    symbol: str
    side: Side | int
    type: OrderType | int
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    trigger_source: TriggerSource | int = TriggerSource.UNSPECIFIED
    time_in_force: TimeInForce | int = TimeInForce.UNSPECIFIED
    expire_time: datetime | None = None
    post_only: bool = False
    reduce_only: bool = False
    extended_hours: bool = False
    display_quantity: Decimal | None = None
    self_trade_prevention: SelfTradePrevention | int = SelfTradePrevention.UNSPECIFIED
    take_profit: ProtectiveLeg | None = None
    stop_loss: ProtectiveLeg | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    broker_options: Mapping[str, str] = field(default_factory=dict)


def market_order(
    symbol: str, side: Side, quantity: Number, *, time_in_force: TimeInForce = TimeInForce.UNSPECIFIED
) -> OrderSpec:
    """An order that takes what the market offers."""
    return OrderSpec(
        symbol=symbol,
        side=side,
        type=OrderType.MARKET,
        quantity=exact(quantity, "order.quantity"),
        time_in_force=time_in_force,
    )


def limit_order(
    symbol: str,
    side: Side,
    quantity: Number,
    price: Number,
    *,
    time_in_force: TimeInForce = TimeInForce.UNSPECIFIED,
    post_only: bool = False,
) -> OrderSpec:
    """An order that trades at `price` or better. `post_only` has it refused where it would take liquidity."""
    return OrderSpec(
        symbol=symbol,
        side=side,
        type=OrderType.LIMIT,
        quantity=exact(quantity, "order.quantity"),
        limit_price=exact(price, "order.limit_price"),
        time_in_force=time_in_force,
        post_only=post_only,
    )


def stop_order(
    symbol: str,
    side: Side,
    quantity: Number,
    stop_price: Number,
    *,
    time_in_force: TimeInForce = TimeInForce.UNSPECIFIED,
) -> OrderSpec:
    """An order that becomes a market order once the market has reached `stop_price`."""
    return OrderSpec(
        symbol=symbol,
        side=side,
        type=OrderType.STOP,
        quantity=exact(quantity, "order.quantity"),
        stop_price=exact(stop_price, "order.stop_price"),
        time_in_force=time_in_force,
    )


def stop_limit_order(
    symbol: str,
    side: Side,
    quantity: Number,
    stop_price: Number,
    price: Number,
    *,
    time_in_force: TimeInForce = TimeInForce.UNSPECIFIED,
) -> OrderSpec:
    """An order that becomes a limit order at `price` once the market has reached `stop_price`."""
    return OrderSpec(
        symbol=symbol,
        side=side,
        type=OrderType.STOP_LIMIT,
        quantity=exact(quantity, "order.quantity"),
        stop_price=exact(stop_price, "order.stop_price"),
        limit_price=exact(price, "order.limit_price"),
        time_in_force=time_in_force,
    )


def bracket(
    entry: OrderSpec,
    *,
    take_profit: Number | None = None,
    stop_loss: Number | None = None,
    take_profit_trigger: Number | None = None,
    stop_loss_limit: Number | None = None,
) -> OrderSpec:
    """`entry` with the orders that close what it fills: at `take_profit` or better, or at the market once that has
    reached `stop_loss`. One that fills takes as much from the other.

    With `take_profit_trigger` the limit waits until the market was there; with `stop_loss_limit` the stop becomes a
    limit order at that price. The legs are orders of their own, named after the entry: `-tp` and `-sl`.
    """
    if take_profit is None and stop_loss is None:
        raise ValueError("a bracket needs take_profit or stop_loss")
    if (take_profit is None and take_profit_trigger is not None) or (
        stop_loss is None and stop_loss_limit is not None
    ):
        raise ValueError("take_profit_trigger belongs to take_profit, stop_loss_limit to stop_loss")
    profit, loss = entry.take_profit, entry.stop_loss
    if take_profit is not None:
        profit = ProtectiveLeg(limit_price=exact(take_profit), stop_price=_optional(take_profit_trigger))
    if stop_loss is not None:
        loss = ProtectiveLeg(limit_price=_optional(stop_loss_limit), stop_price=exact(stop_loss))
    return replace(entry, take_profit=profit, stop_loss=loss)


def _optional(number: Number | None) -> Decimal | None:
    return None if number is None else exact(number)


@dataclass(frozen=True, slots=True)
class LinkedOrder:
    """A member of an OCO group beside the order that it is placed with. Where its id is empty it is made from that
    one's, which ends in `-2`, `-3` …"""

    spec: OrderSpec
    client_order_id: str = ""


@dataclass(frozen=True, slots=True)
class PendingAction:
    """Something under way on an order; `uncertain` while the gateway asks the broker what became of it, `held` while it
    waits for the broker to be there and nothing was sent. `replacement` is what a REPLACE shall make of the order."""

    kind: PendingActionKind | int
    request_id: str
    since_time_ns: int
    uncertain: bool
    held: bool = False
    replacement: OrderSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as it stands. While it works `quantity = cum_quantity + leaves_quantity`; ended, it leaves nothing."""

    order_id: str
    client_order_id: str
    account_id: str
    route_id: str
    broker_order_id: str
    origin: OrderOrigin | int
    generation: int
    spec: OrderSpec
    state: OrderState | int
    pending: tuple[PendingAction, ...]
    quantity: Decimal
    cum_quantity: Decimal
    leaves_quantity: Decimal
    cum_notional: Decimal
    average_price: Decimal | None
    reject_reason: ErrorReason | int
    reject_message: str
    create_time_ns: int
    update_time_ns: int
    triggered: bool
    group_id: str

    @property
    def ended(self) -> bool:
        """Whether it can fill no more. A late fill still corrects it."""
        return self.state in _ENDED

    @property
    def create_time(self) -> datetime:
        """When the gateway took it."""
        return time_of(self.create_time_ns)

    @property
    def update_time(self) -> datetime:
        """When it last changed."""
        return time_of(self.update_time_ns)


@dataclass(frozen=True, slots=True)
class Placed:
    """The answer to placing an order. `already_existed`: the client_order_id was known, and nothing new was placed,
    which is also what a repeat after a lost answer says. The others of a bracket (take-profit, stop-loss) or of an OCO
    group are `linked_orders`."""

    order: Order
    already_existed: bool
    linked_orders: tuple[Order, ...] = ()


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """One order of a batch; an id is made for it where none is given, and kept here for a repeat."""

    spec: OrderSpec
    client_order_id: str = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class OrderResult:
    """The outcome for one order of many: the order as it stands, or why nothing was done. Exactly one is set."""

    order: Order | None
    error: GatewayError | None
    already_existed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an order would do at this moment. `rejection`: why it would be refused, None when it would be taken."""

    account_id: str
    estimated_price: Decimal | None
    estimated_fill_quantity: Decimal
    estimated_notional: Money | None
    estimated_fees: tuple[Money, ...]
    required_funds: Money | None
    rejection: GatewayError | None
