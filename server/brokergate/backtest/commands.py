"""What a run asks of the venue: place, cancel, replace."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.orders import OrderSpec


@dataclass(frozen=True, slots=True)
class Place:
    """A new order under an id of its owner's."""

    client_order_id: str
    spec: OrderSpec


@dataclass(frozen=True, slots=True)
class Cancel:
    """Ends a working order."""

    client_order_id: str


@dataclass(frozen=True, slots=True)
class Replace:
    """Changes a working order; what is None stays. `quantity` is the new total, filled ones included."""

    client_order_id: str
    quantity: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None


Command = Place | Cancel | Replace


@dataclass(frozen=True, slots=True)
class Given:
    """A command and when it is given, in nanoseconds since the epoch."""

    time_ns: int
    command: Command
