"""Orders as they are asked for, made into ticks and lots: what the venue can hold, and what not."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from brokergate.domain.money import ZERO, format_decimal, round_down
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce, TriggerSource
from brokergate.sim.orders import WorkingOrder
from brokergate.sim.special import Special

if TYPE_CHECKING:
    from brokergate.sim.listing import Listing

DEFAULT_TIME_IN_FORCE = TimeInForce.GTC
_AUCTIONS = frozenset({TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE})
_WAITING = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.GTD})
_MARKET = frozenset({TimeInForce.DAY, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}) | _AUCTIONS
_LIMIT = _MARKET | {TimeInForce.GTD}
FORCES = {
    # A market order's rest is cancelled whatever its time in force; FOK is all or nothing.
    OrderType.MARKET: _MARKET,
    OrderType.LIMIT: _LIMIT,
    OrderType.STOP: _WAITING,
    OrderType.STOP_LIMIT: _WAITING,
    OrderType.TRAILING_STOP: _WAITING,
    OrderType.MARKET_IF_TOUCHED: _WAITING,
    OrderType.LIMIT_IF_TOUCHED: _WAITING,
}
"""Which types there are, with which times in force."""
_LIMITED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED})
_TRIGGERED = frozenset(
    {OrderType.STOP, OrderType.STOP_LIMIT, OrderType.MARKET_IF_TOUCHED, OrderType.LIMIT_IF_TOUCHED}
)
SOURCES = (TriggerSource.LAST, TriggerSource.BID_ASK, TriggerSource.MARK)
_SIDES = {Side.BUY: 1, Side.SELL: -1}
_PER_CENT = 10**18
"""Parts of `special.WHOLE` in a per cent."""


class NotHere(ValueError):
    """What is asked for is an order elsewhere; this instrument's market does not have it."""


def working_order(
    listing: Listing,
    order: Order | None,
    spec: OrderSpec,
    quantity: Decimal,
    broker_order_id: str,
    now_ns: int,
) -> WorkingOrder:
    """The order in ticks and lots, at the venue's time `now_ns`. Beside quote_quantity a quantity is the most that it
    may come to, and may be zero: no such most. `ValueError` for one that the venue cannot hold: a type or time in force
    that it has not, a price or quantity that is missing, off its increment or not above zero, an end that has
    passed."""
    forces = FORCES.get(spec.type)
    if forces is None:
        raise ValueError(f"the venue has no {spec.type.name} orders")
    time_in_force = spec.time_in_force or DEFAULT_TIME_IN_FORCE
    if time_in_force not in forces:
        raise ValueError(f"the venue has no {spec.type.name} orders with {time_in_force.name}")
    side = _SIDES.get(spec.side)
    if side is None:
        raise ValueError("the side is missing")
    special = _special(listing, spec, time_in_force, now_ns)
    lots = listing.lots(quantity)
    if special is not None and special.quote and not lots:
        lots = max(1, special.quote // listing.funds.unit)  # no price is below a tick
    limit = _ticks(listing, "limit_price", spec.limit_price, spec.type in _LIMITED)
    stop = _ticks(listing, "stop_price", spec.stop_price, spec.type in _TRIGGERED)
    if lots <= 0:
        raise ValueError(f"the quantity {format_decimal(quantity)} is not above zero")
    working = WorkingOrder(
        order.client_order_id if order else "",
        broker_order_id,
        spec.symbol,
        side,
        spec.type,
        time_in_force,
        lots,
        limit,
        stop,
        spec.trigger_source,
        special,
    )
    if time_in_force is TimeInForce.GTD:
        if spec.expire_time_ns is None or spec.expire_time_ns <= now_ns:
            raise ValueError("expire_time is missing, or has passed by the time of the venue's market")
        working.expire_ns = spec.expire_time_ns
    return working


def journalled_order(listing: Listing, order: Order, now_ns: int) -> WorkingOrder:
    """The order as a journal has it, filled and set off as far as it says. `ValueError` as `working_order`."""
    working = working_order(listing, order, order.spec, order.quantity, order.broker_order_id, now_ns)
    working.placed = order.broker_order_id.partition("-")[0]
    working.filled = listing.lots(order.cum_quantity)
    working.leaves -= working.filled
    working.waiting = working.waiting and not order.triggered
    return working


def _special(listing: Listing, spec: OrderSpec, time_in_force: TimeInForce, now_ns: int) -> Special | None:
    """What the order asks for that few do; None for nothing."""
    trails = spec.type is OrderType.TRAILING_STOP
    if not (
        trails
        or spec.reduce_only
        or spec.post_only
        or spec.display_quantity is not None
        or spec.quote_quantity is not None
        or spec.self_trade_prevention
        or time_in_force in _AUCTIONS
    ):
        return None
    special = Special()
    special.reduce_only, special.post_only = spec.reduce_only, spec.post_only
    special.prevention = spec.self_trade_prevention
    if trails:
        _trail(listing, spec, special)
    if spec.display_quantity is not None:
        special.display = listing.lots(spec.display_quantity)
        if special.display <= 0:
            raise ValueError("display_quantity is not above zero")
    if spec.quote_quantity is not None:
        if spec.type is not OrderType.MARKET or time_in_force in _AUCTIONS:
            raise ValueError("quote_quantity belongs to market orders that come at once")
        quote = listing.funds.quote
        special.quote = quote.units(round_down(spec.quote_quantity, quote.amount(1)))
        if not special.quote:
            raise ValueError(f"quote_quantity is below {format_decimal(quote.amount(1))} {quote.currency}")
    if time_in_force in _AUCTIONS:
        calendar = listing.calendar
        if not calendar.has_auctions:
            raise NotHere(
                f"{spec.symbol} has no {time_in_force.name} orders: its hours ({calendar.name}) have no auctions"
            )
        opening = time_in_force is TimeInForce.AT_OPEN
        special.auction_ns = calendar.next_open_ns(now_ns) if opening else calendar.next_close_ns(now_ns)
    return special


def _trail(listing: Listing, spec: OrderSpec, special: Special) -> None:
    amount, percent = spec.trail_amount, spec.trail_percent
    if amount is not None and percent is None:
        special.trail = listing.ticks(amount)
        if special.trail <= 0:
            raise ValueError(f"trail_amount {format_decimal(amount)} is not above zero")
    elif percent is not None and amount is None:
        if not ZERO < percent < 100:
            raise ValueError(f"trail_percent {format_decimal(percent)} is not above zero and below 100")
        special.trail_share = int(percent * _PER_CENT)
    else:
        raise ValueError("a trailing stop has either trail_amount or trail_percent")


def _ticks(listing: Listing, name: str, price: Decimal | None, wanted: bool) -> int | None:
    if price is None:
        if wanted:
            raise ValueError(f"{name} is missing")
        return None
    if not wanted:
        raise ValueError(f"{name} does not belong to the order's type")
    ticks = listing.ticks(price)
    if ticks <= 0:
        raise ValueError(f"{name} {format_decimal(price)} is not above zero")
    return ticks
