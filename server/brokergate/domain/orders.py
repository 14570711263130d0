"""Orders: what one asks for, and what one is. The numbers of the enums are the contract's (`enums.proto`)."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum

from brokergate.domain.errors import ErrorReason
from brokergate.domain.money import ZERO, multiply, quotient
from brokergate.domain.values import value


class Side(IntEnum):
    """Which way."""

    UNSPECIFIED = 0
    BUY = 1
    SELL = 2

    @property
    def opposite(self) -> Side:
        """The other way."""
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(IntEnum):
    """How an order finds its price (FIX tag 40)."""

    UNSPECIFIED = 0
    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    TRAILING_STOP = 5
    MARKET_IF_TOUCHED = 6
    LIMIT_IF_TOUCHED = 7


class TimeInForce(IntEnum):
    """How long an order works (FIX tag 59)."""

    UNSPECIFIED = 0
    DAY = 1
    GTC = 2
    GTD = 3
    IOC = 4
    FOK = 5
    AT_OPEN = 6
    AT_CLOSE = 7


class TriggerSource(IntEnum):
    """Which price sets a stop off."""

    UNSPECIFIED = 0
    LAST = 1
    BID_ASK = 2
    MARK = 3


class SelfTradePrevention(IntEnum):
    """What happens against an order of one's own."""

    UNSPECIFIED = 0
    CANCEL_TAKER = 1
    CANCEL_MAKER = 2
    CANCEL_BOTH = 3


class OrderState(IntEnum):
    """What the venue last proved (FIX tag 39)."""

    UNSPECIFIED = 0
    PENDING_NEW = 1
    NEW = 2
    PARTIALLY_FILLED = 3
    FILLED = 4
    CANCELED = 5
    REJECTED = 6
    EXPIRED = 7


ENDED = frozenset({OrderState.FILLED, OrderState.CANCELED, OrderState.REJECTED, OrderState.EXPIRED})
"""The states that an order does not leave."""


class OrderOrigin(IntEnum):
    """Whose order it is."""

    UNSPECIFIED = 0
    GATEWAY = 1
    EXTERNAL = 2


class PendingActionKind(IntEnum):
    """What may be under way on an order."""

    UNSPECIFIED = 0
    NEW = 1
    REPLACE = 2
    CANCEL = 3


@value
class ProtectiveLeg:
    """One closing order of a bracket."""

    client_order_id: str
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


@value
class OrderSpec:
    """What an order asks for; the fields are those of `OrderSpec` in `order.proto`."""

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    trigger_source: TriggerSource = TriggerSource.UNSPECIFIED
    time_in_force: TimeInForce = TimeInForce.UNSPECIFIED
    expire_time_ns: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    extended_hours: bool = False
    display_quantity: Decimal | None = None
    self_trade_prevention: SelfTradePrevention = SelfTradePrevention.UNSPECIFIED
    take_profit: ProtectiveLeg | None = None
    stop_loss: ProtectiveLeg | None = None
    labels: tuple[tuple[str, str], ...] = ()
    broker_options: tuple[tuple[str, str], ...] = ()

    @property
    def bracket(self) -> bool:
        """Whether closing orders come with it."""
        return self.take_profit is not None or self.stop_loss is not None


@value
class PendingAction:
    """Something under way on an order that the venue has not yet proved."""

    kind: PendingActionKind
    request_id: str
    since_ns: int
    uncertain: bool = False
    held: bool = False
    """For NEW: the gateway holds the order back, and nothing of it was sent."""
    replacement: OrderSpec | None = None
    """For REPLACE: what the order shall become; its `quantity` is the new total."""


@value
class Order:
    """An order as it stands. Only `domain/lifecycle.py` makes one from another."""

    order_id: str
    client_order_id: str
    account_id: str
    spec: OrderSpec
    quantity: Decimal
    state: OrderState
    create_time_ns: int
    update_time_ns: int
    cum_quantity: Decimal = ZERO
    leaves_quantity: Decimal = ZERO
    cum_notional: Decimal = ZERO
    multiplier: Decimal = Decimal(1)
    """The instrument's, kept with the order so that its average price can be derived without it."""
    pending: tuple[PendingAction, ...] = ()
    broker_order_id: str = ""
    route_id: str = ""
    origin: OrderOrigin = OrderOrigin.GATEWAY
    generation: int = 1
    reject_reason: ErrorReason = ErrorReason.UNSPECIFIED
    reject_message: str = ""
    triggered: bool = False
    group_id: str = ""

    @property
    def ended(self) -> bool:
        """Whether it can no longer fill, but for a fill that comes late."""
        return self.state in ENDED

    @property
    def held(self) -> bool:
        """Whether the gateway holds it back: nothing of it was sent."""
        return bool(self.pending) and self.pending[0].held

    @property
    def uncertain(self) -> bool:
        """Whether nobody knows the outcome of something that is under way (law 3)."""
        return any(action.uncertain for action in self.pending)

    def action(self, kind: PendingActionKind) -> PendingAction | None:
        """What of this kind is under way."""
        return next((action for action in self.pending if action.kind is kind), None)

    @property
    def average_price(self) -> Decimal | None:
        """`cum_notional / (cum_quantity × multiplier)` to 18 places; None before the first fill."""
        if not self.cum_quantity:
            return None
        return quotient(self.cum_notional, multiply(self.cum_quantity, self.multiplier))
