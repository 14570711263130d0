"""An order of TWS's as the matching venue takes it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce, TriggerSource
from tests.emulators.tws.orders import TwsOrder

TYPES = {
    "MKT": OrderType.MARKET,
    "LMT": OrderType.LIMIT,
    "STP": OrderType.STOP,
    "STP LMT": OrderType.STOP_LIMIT,
    "TRAIL": OrderType.TRAILING_STOP,
    "MIT": OrderType.MARKET_IF_TOUCHED,
    "LIT": OrderType.LIMIT_IF_TOUCHED,
    "MOC": OrderType.MARKET,
    "LOC": OrderType.LIMIT,
}
"""tws-api, "Available Orders"; the others are refused (387)."""
AUCTIONS = frozenset({"MOC", "LOC"})
"""They come to the market at the close."""
FORCES = frozenset({"DAY", "GTC", "GTD", "IOC", "FOK", "OPG"})
AT_ONCE = frozenset({"IOC", "FOK"})
LIMITED = frozenset({"LMT", "STP LMT", "LIT", "LOC"})
TRIGGERED = frozenset({"STP", "STP LMT", "MIT", "LIT"})
"""Those whose `auxPrice` sets them off."""
_METHODS = {1: TriggerSource.BID_ASK, 4: TriggerSource.BID_ASK, 8: TriggerSource.MARK}
"""tws-api, "Trigger Methods": double bid/ask, bid/ask, mid-point; the others go by the last price."""
_BY_QUOTES = ("CASH", "OPT")
"""Kinds whose default trigger is the quotes."""


def is_stop(order: TwsOrder) -> bool:
    """Whether it waits for a price."""
    return order.asked.type in TRIGGERED or order.asked.type == "TRAIL"


def spec_of(order: TwsOrder, quantity: Decimal) -> OrderSpec:
    """What is asked for, for `quantity`. A stop that was set off is a market or a limit order."""
    asked, listed = order.asked, order.listed
    kind = TYPES[asked.type]
    waits = is_stop(order) and not order.triggered
    if is_stop(order) and order.triggered:
        kind = OrderType.LIMIT if asked.type in LIMITED else OrderType.MARKET
    force, expires_ns = _force(asked.tif, asked.good_till, kind)
    trails = asked.type == "TRAIL" and waits
    amount = asked.aux if trails and asked.trail_percent is None else None
    return OrderSpec(
        listed.name,
        Side.BUY if asked.buys else Side.SELL,
        kind,
        quantity,
        limit_price=_price(order, asked.limit if asked.type in LIMITED else None),
        stop_price=_price(order, asked.aux if asked.type in TRIGGERED and waits else None),
        trail_amount=_price(order, amount),
        trail_percent=asked.trail_percent if trails else None,
        trigger_source=_source(order) if waits else TriggerSource.UNSPECIFIED,
        time_in_force=force,
        expire_time_ns=expires_ns,
        display_quantity=Decimal(asked.display) if asked.display and kind is OrderType.LIMIT else None,
    )


def _price(order: TwsOrder, price: Decimal | None) -> Decimal | None:
    return None if price is None else order.listed.from_wire(price)


def _source(order: TwsOrder) -> TriggerSource:
    method = order.asked.trigger_method
    if not method and order.listed.security in _BY_QUOTES:
        return TriggerSource.BID_ASK
    return _METHODS.get(method, TriggerSource.LAST)


def _force(tif: str, good_till: str, kind: OrderType) -> tuple[TimeInForce, int | None]:
    """A DAY order ends when the emulator's day ends, which the matching venue knows nothing of."""
    if tif == "GTD" and kind is not OrderType.MARKET:
        return TimeInForce.GTD, moment_ns(good_till)
    if tif in AT_ONCE:
        return TimeInForce[tif], None
    return TimeInForce.GTC, None


def moment_ns(text: str) -> int:
    """`20261218-21:00:00` (UTC), `20261218 21:00:00 US/Eastern`, or a day, in nanoseconds. `ValueError` for no time.

    tws-api, "Order Class", `goodTillDate`; a time without a zone is UTC here.
    """
    if "-" in text:
        return _ns(datetime.strptime(text, "%Y%m%d-%H:%M:%S").replace(tzinfo=UTC))
    day, _, rest = text.partition(" ")
    clock, _, zone = rest.partition(" ")
    try:
        where = ZoneInfo(zone) if zone else UTC
    except (KeyError, OSError):
        raise ValueError(f"no time zone {zone!r}") from None
    return _ns(datetime.strptime(f"{day} {clock or '23:59:59'}", "%Y%m%d %H:%M:%S").replace(tzinfo=where))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000_000_000
