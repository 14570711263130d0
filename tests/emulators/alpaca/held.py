"""Orders as Alpaca keeps and shows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tests.emulators.alpaca.asked import Asked
from tests.emulators.alpaca.assets import Asset
from tests.emulators.alpaca.numbers import maybe, maybe_utc, text, utc
from tests.emulators.orders import VenueOrderState

ZERO = Decimal(0)
WORKING = frozenset({"new", "partially_filled"})
WAITING = frozenset({"accepted", "pending_new", "held"})
OPEN = WORKING | WAITING | {
    "pending_cancel", "pending_replace", "stopped", "suspended", "calculated", "done_for_day",
}  # fmt: skip
"""Statuses that `status=open` lists."""


@dataclass(slots=True, eq=False)
class Held:
    """One order: a replace ends it (`replaced`) and makes another. `parts` are its orders in the market, one after
    another: a GTC order comes anew each morning, a market order when there is something to be had again."""

    id: str
    client_order_id: str
    asset: Asset
    side: int
    type: str
    time_in_force: str
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    extended_hours: bool
    order_class: str
    created_ns: int
    status: str = "pending_new"
    updated_ns: int = 0
    filled_ns: int | None = None
    canceled_ns: int | None = None
    expired_ns: int | None = None
    failed_ns: int | None = None
    replaced_ns: int | None = None
    replaces: str | None = None
    replaced_by: str | None = None
    filled_qty: Decimal = ZERO
    filled_notional: Decimal = ZERO
    hwm: Decimal | None = None
    legs: list[Held] = field(default_factory=list)
    """Of a bracket or OTO both or one, of an OCO the stop."""
    parent: Held | None = None
    part: VenueOrderState | None = None
    """Its order in the market; None while it is in none."""
    routed: bool = False
    """Whether it was ever told as new."""
    source: str | None = None

    @classmethod
    def of(cls, asked: Asked, order_id: str, client_order_id: str, now_ns: int) -> Held:
        """The order that is asked for, without legs."""
        prices = asked.prices
        return cls(
            id=order_id,
            client_order_id=client_order_id,
            asset=asked.asset,
            side=asked.side,
            type=asked.type,
            time_in_force=asked.time_in_force,
            qty=asked.qty,
            notional=asked.notional,
            limit_price=prices.get("limit_price"),
            stop_price=prices.get("stop_price"),
            trail_price=prices.get("trail_price"),
            trail_percent=prices.get("trail_percent"),
            extended_hours=asked.extended_hours,
            order_class=asked.order_class,
            created_ns=now_ns,
            updated_ns=now_ns,
        )

    @property
    def open(self) -> bool:
        """Whether it may still fill."""
        return self.status in OPEN

    @property
    def buys(self) -> bool:
        """Which way."""
        return self.side > 0

    @property
    def leaves(self) -> Decimal:
        """What is left of its quantity; zero for an order for an amount."""
        return ZERO if self.qty is None else self.qty - self.filled_qty

    @property
    def average(self) -> Decimal | None:
        """The average price of its fills, to nine places."""
        if not self.filled_qty:
            return None
        return (self.filled_notional / self.filled_qty).quantize(Decimal("1e-9"))

    @property
    def family(self) -> list[Held]:
        """It and the orders of its group."""
        head = self.parent or self
        return [head, *head.legs]

    def shape(self, *, nested: bool = True) -> dict[str, Any]:
        """As `/v2/orders` shows it."""
        return {
            "id": self.id,
            "client_order_id": self.client_order_id,
            "created_at": utc(self.created_ns),
            "updated_at": utc(self.updated_ns),
            "submitted_at": utc(self.created_ns),
            "filled_at": maybe_utc(self.filled_ns),
            "expired_at": maybe_utc(self.expired_ns),
            "canceled_at": maybe_utc(self.canceled_ns),
            "failed_at": maybe_utc(self.failed_ns),
            "replaced_at": maybe_utc(self.replaced_ns),
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": self.asset.id,
            "symbol": self.asset.symbol,
            "asset_class": self.asset.asset_class,
            "notional": maybe(self.notional),
            "qty": maybe(self.qty),
            "filled_qty": text(self.filled_qty),
            "filled_avg_price": maybe(self.average),
            "order_class": self.order_class,
            "order_type": self.type,
            "type": self.type,
            "side": "buy" if self.buys else "sell",
            "time_in_force": self.time_in_force,
            "limit_price": maybe(self.limit_price),
            "stop_price": maybe(self.stop_price),
            "status": self.status,
            "extended_hours": self.extended_hours,
            "legs": [leg.shape() for leg in self.legs] if nested and self.legs else None,
            "trail_percent": maybe(self.trail_percent),
            "trail_price": maybe(self.trail_price),
            "hwm": maybe(self.hwm),
            "subtag": None,
            "source": self.source,
        }
