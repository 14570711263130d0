"""Orders at the venue, in ticks and lots, and what happens to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import OrderType, TimeInForce, TriggerSource

if TYPE_CHECKING:
    from brokergate.sim.funds import InstrumentFunds


class WorkingOrder:
    """An order that the venue works. `leaves` is 0 when it has ended."""

    __slots__ = (
        "ahead",
        "broker_order_id",
        "client_order_id",
        "closing",
        "expire_ns",
        "filled",
        "funds",
        "hold",
        "leaves",
        "limit",
        "number",
        "placed",
        "side",
        "source",
        "stop",
        "symbol",
        "time_in_force",
        "type",
        "waiting",
    )

    def __init__(
        self,
        client_order_id: str,
        broker_order_id: str,
        symbol: str,
        side: int,
        kind: OrderType,
        time_in_force: TimeInForce,
        lots: int,
        limit: int | None,
        stop: int | None,
        source: TriggerSource,
    ) -> None:
        self.client_order_id = client_order_id
        self.broker_order_id = broker_order_id
        self.placed = broker_order_id
        """The id of the first generation; later ones are made from it."""
        self.symbol = symbol
        self.side = side
        """+1 buys, -1 sells."""
        self.type = kind
        self.time_in_force = time_in_force
        self.leaves = lots
        self.filled = 0
        self.limit = limit
        """The worst price in ticks; None for a market order."""
        self.stop = stop
        self.source = source
        self.waiting = stop is not None
        """Whether it is a stop that has not been set off."""
        self.number = 0
        """Its place in time among our own orders: lower is earlier."""
        self.ahead = 0
        """Lots of others that stand before it at its price; `book.UNKNOWN` while the feed does not show them."""
        self.expire_ns: int | None = None
        self.funds: InstrumentFunds | None = None
        """Where its reservation is; None while it has none."""
        self.hold = 0
        """Units of currency set aside for it."""
        self.closing = 0
        """How many of `leaves` close a position instead of opening one."""


@dataclass(slots=True)
class Executed:
    """An execution: `lots` at `price` ticks, its fee in units of the quote currency."""

    order: WorkingOrder
    price: int
    lots: int
    fee: int
    maker: bool
    time_ns: int


@dataclass(slots=True)
class Changed:
    """Anything else that happened to an order: TRIGGERED, CANCELED, EXPIRED or REPLACED."""

    kind: OrderEventType
    order: WorkingOrder
    time_ns: int
    reason: ErrorReason = ErrorReason.UNSPECIFIED
    message: str = ""


Happening = Executed | Changed


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the venue does not do what was asked."""

    reason: ErrorReason
    message: str
