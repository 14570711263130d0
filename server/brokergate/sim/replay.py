"""Does again what a diary (`sim/diary.py`) says, on a venue that stands where the diary began.

The same lines on the same state give the same state: the venue decides everything else by itself (law 12).
What it tells meanwhile was told before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from brokergate.domain.orders import OrderType, TimeInForce, TriggerSource
from brokergate.sim.market import BarUpdate, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate
from brokergate.sim.orders import WorkingOrder
from brokergate.sim.packing import Unreadable
from brokergate.sim.special import special_of
from brokergate.sim.venue import Venue

Pull = Callable[[int], Sequence[MarketUpdate]]
"""Takes so many updates from the feed; fewer where it has no more."""
Dated = Callable[[str, int], None]
"""Takes a symbol and the time that a client gave to what it pushed."""
Standing = Callable[[str], None]
"""Takes what the feed said of where it stood."""


def replay(venue: Venue, step: bytes, pull: Pull, dated: Dated, standing: Standing) -> None:
    """Does one step again. `Unreadable` for a line that is none, or that cannot be done on this state, and where the
    market broke in the step."""
    for line in step.decode().split("\n"):
        kind, fields = line[:1], line[1:].split("\t")
        try:
            if kind == "P":
                _play(venue, pull, *fields)
            elif kind == "F":
                standing(line[1:])
            elif kind == "L":
                _place_group(venue, line[1:])
            elif kind in _PUSHED:
                _push(venue, kind, fields, dated)
            else:
                _COMMANDS[kind](venue, *fields)
        except (ValueError, KeyError, TypeError, AssertionError) as error:
            if isinstance(error, Unreadable):
                raise
            raise Unreadable(
                f"the step {line[:80]!r} cannot be done again ({str(error)[:120] or type(error).__name__})"
            ) from error
        venue.forget()


def _play(venue: Venue, pull: Pull, count: str, received_ns: str) -> None:
    updates = pull(int(count))
    if len(updates) != int(count):
        raise Unreadable(f"the feed has {len(updates)} more updates where {count} were played")
    venue.apply(updates, int(received_ns))


def _push(venue: Venue, kind: str, fields: Sequence[str], dated: Dated) -> None:
    symbol, time_ns, received_ns, dated_ns, *rest = fields
    dated(symbol, int(dated_ns))
    venue.push(_PUSHED[kind](int(time_ns), symbol, *rest), int(received_ns), int(dated_ns))


def _quote(time_ns: int, symbol: str, bid: str, ask: str) -> MarketUpdate:
    bids, asks = _levels(bid), _levels(ask)
    return QuoteUpdate(time_ns, symbol, bids[0] if bids else None, asks[0] if asks else None)


def _trade(time_ns: int, symbol: str, price: str, size: str, aggressor: str) -> MarketUpdate:
    return TradeUpdate(time_ns, symbol, int(price), int(size), int(aggressor))


def _book(time_ns: int, symbol: str, bids: str, asks: str) -> MarketUpdate:
    return BookSnapshot(time_ns, symbol, _levels(bids), _levels(asks))


def _bar(time_ns: int, symbol: str, *numbers: str) -> MarketUpdate:
    span_ns, opened, high, low, close, volume = map(int, numbers)
    return BarUpdate(time_ns, symbol, span_ns, opened, high, low, close, volume)


def _gap(time_ns: int, symbol: str, reason: str) -> MarketUpdate:
    return FeedGap(time_ns, symbol, reason)


def _levels(text: str) -> tuple[tuple[int, int], ...]:
    pairs = (pair.split("x") for pair in text.split())
    return tuple((int(price), int(size)) for price, size in pairs)


def _place(
    venue: Venue,
    client_order_id: str,
    symbol: str,
    side: str,
    kind: str,
    time_in_force: str,
    lots: str,
    limit: str,
    stop: str,
    source: str,
    *wishes: str,
) -> None:
    order = _order(client_order_id, symbol, side, kind, time_in_force, lots, limit, stop, source, *wishes)
    if venue.enter(order) is not None:
        raise Unreadable(f"the order {client_order_id!r}, which was accepted, is refused")


def _order(
    client_order_id: str,
    symbol: str,
    side: str,
    kind: str,
    time_in_force: str,
    lots: str,
    limit: str,
    stop: str,
    source: str,
    *wishes: str,
) -> WorkingOrder:
    order = WorkingOrder(
        client_order_id,
        "",
        symbol,
        int(side),
        OrderType(int(kind)),
        TimeInForce(int(time_in_force)),
        int(lots),
        int(limit) or None,
        int(stop) or None,
        TriggerSource(int(source)),
    )
    _wish(order, wishes)
    return order


def _wish(order: WorkingOrder, wishes: Sequence[str]) -> None:
    """Gives an order what few ask for."""
    numbers = {name: int(number) for name, _, number in (wish.partition("=") for wish in wishes)}
    order.expire_ns = numbers.pop("expire_ns", None)
    order.special = special_of(numbers)


def _place_group(venue: Venue, line: str) -> None:
    kind, *parts = line.split(";")
    orders = [_order(*part.split("\t")) for part in parts]
    if venue.enter_group(orders, bracket=kind == "bracket") is not None:
        raise Unreadable(f"the group of {orders[0].client_order_id!r}, which was accepted, is refused")


def _change(
    venue: Venue, client_order_id: str, broker_order_id: str, lots: str, limit: str, stop: str, *wishes: str
) -> None:
    order = _working(venue, client_order_id)
    change = WorkingOrder(
        client_order_id,
        broker_order_id,
        order.symbol,
        order.side,
        order.type,
        order.time_in_force,
        int(lots),
        int(limit) or None,
        int(stop) or None,
        order.source,
    )
    _wish(change, wishes)
    venue.change(order, broker_order_id, change)


def _working(venue: Venue, client_order_id: str) -> WorkingOrder:
    order = venue.working(client_order_id)
    if order is None:
        raise Unreadable(f"the order {client_order_id!r}, which worked, does not")
    return order


def _reset(venue: Venue, *balances: str) -> None:
    pairs = (pair.split("=") for pair in balances)
    venue.reset({currency: Decimal(amount) for currency, amount in pairs}, venue.now_ns)


def _broke(_venue: Venue, reason: str) -> None:
    raise Unreadable(f"the market had broken: {reason}")


_PUSHED: dict[str, Callable[..., MarketUpdate]] = {"Q": _quote, "T": _trade, "B": _book, "G": _gap, "K": _bar}
_COMMANDS: dict[str, Callable[..., None]] = {
    "A": lambda venue, time_ns: venue.advance(int(time_ns)),
    "R": lambda venue, count: venue.refuse(int(count)),
    "O": _place,
    "X": _change,
    "C": lambda venue, client_order_id: venue.withdraw(_working(venue, client_order_id)),
    "Z": _reset,
    "!": _broke,
}
