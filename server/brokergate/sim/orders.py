"""Orders at the venue, in ticks and lots, and what happens to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import OrderType, TimeInForce, TriggerSource
from brokergate.ports.broker import Report
from brokergate.sim.packing import Packer, Unpacker, Unreadable
from brokergate.sim.special import Special, load_special, save_special

if TYPE_CHECKING:
    from brokergate.sim.funds import InstrumentFunds


class WorkingOrder:
    """An order that the venue works."""

    __slots__ = (
        "ahead",
        "arrived_ns",
        "bill",
        "broker_order_id",
        "client_order_id",
        "closing",
        "expire_ns",
        "filled",
        "free",
        "funds",
        "hold",
        "leaves",
        "limit",
        "number",
        "placed",
        "reference",
        "seen",
        "side",
        "source",
        "special",
        "stop",
        "symbol",
        "time_in_force",
        "traded",
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
        special: Special | None = None,
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
        """Lots that can still fill. With those of `special` that are asleep they are what is left of it."""
        self.filled = 0
        self.limit = limit
        """The worst price in ticks; None for a market order."""
        self.stop = stop
        """The trigger in ticks; of a trailing stop where it stood when it came."""
        self.source = source
        self.waiting = stop is not None or kind is OrderType.TRAILING_STOP
        """Whether it has a trigger and has not been set off."""
        self.special = special
        """What few orders ask for; None for most."""
        self.number = 0
        """Its place in time among our own orders: lower is earlier."""
        self.ahead = 0
        """Lots of others that stand before it at its price; `book.UNKNOWN` while the feed does not show them."""
        self.seen = 0
        """What was last shown at its price, and `traded` what traded there since: kept by the queue models that ask."""
        self.traded = 0
        self.arrived_ns = 0
        """When it came to the market, in the venue's time; a change or a trigger is a new arrival."""
        self.reference = 0
        """For a market order that waits for trades or bars: the price that its funds are set aside at."""
        self.expire_ns: int | None = None
        self.funds: InstrumentFunds | None = None
        """Where its reservation is; None while it has none."""
        self.hold = 0
        """Units of currency set aside for it."""
        self.bill: list[int] | None = None
        """What its executions came to, where a fee counts by order (`sim/commission.py`)."""
        self.closing = 0
        """How many of `leaves` close a position instead of opening one."""
        self.free = False
        """Whether nothing is set aside for it: it only reduces, or another order of its group pays."""

    @property
    def left(self) -> int:
        """Lots that are left of it, awake or asleep: 0 when it has ended."""
        return self.leaves if self.special is None else self.leaves + self.special.asleep


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
    total: int = 0
    """For REPLACED by the venue itself: the new total, in lots, filled ones included."""


@dataclass(slots=True)
class Told:
    """Something that happened to no order of the account's owner, as it is told."""

    report: Report


Happening = Executed | Changed | Told


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the venue does not do what was asked."""

    reason: ErrorReason
    message: str


def same_but_less(order: WorkingOrder, change: WorkingOrder, left: int) -> bool:
    """Whether `change` only takes lots from an order."""
    return (
        change.limit == order.limit
        and change.stop == order.stop
        and change.expire_ns in (None, order.expire_ns)
        and left <= order.left
        and not (order.special is not None and order.special.differs(change.special))
    )


def take_over(order: WorkingOrder, change: WorkingOrder) -> None:
    """Gives an order what `change` asks for, but for its size."""
    order.limit, order.stop = change.limit, change.stop
    if change.expire_ns is not None:
        order.expire_ns = change.expire_ns
    if order.special is not None:
        order.special.take_over(change.special)


def renewed(order: WorkingOrder, change: WorkingOrder, leaves: int) -> WorkingOrder:
    """What a working order would be after a replace: to look at."""
    wanted = WorkingOrder(
        order.client_order_id,
        order.broker_order_id,
        order.symbol,
        order.side,
        order.type,
        order.time_in_force,
        leaves,
        change.limit,
        change.stop,
        order.source,
        None if order.special is None else order.special.renewed(change.special),
    )
    wanted.waiting, wanted.filled, wanted.free = order.waiting, order.filled, order.free
    return wanted


_NO_BILL = (0, 0, 0, 0)


def save_orders(pack: Packer, orders: Sequence[WorkingOrder], symbols: Sequence[str]) -> None:
    """Writes working orders down, a column a field."""
    index = {symbol: number for number, symbol in enumerate(symbols)}
    pack.put("\n".join([order.client_order_id for order in orders]))
    pack.put("\n".join([order.broker_order_id for order in orders]))
    pack.column([index[order.symbol] for order in orders])
    pack.column([order.side for order in orders])
    pack.column([+order.type for order in orders])
    pack.column([+order.time_in_force for order in orders])
    pack.column([+order.source for order in orders])
    pack.column([order.waiting for order in orders])
    pack.column([order.leaves for order in orders])
    pack.column([order.filled for order in orders])
    pack.column([order.limit or 0 for order in orders])
    pack.column([order.stop or 0 for order in orders])
    pack.column([order.number for order in orders])
    pack.column([order.ahead for order in orders])
    pack.column([order.expire_ns or 0 for order in orders])
    pack.column([order.hold for order in orders])
    pack.column([order.closing for order in orders])
    pack.column([order.seen for order in orders])
    pack.column([order.traded for order in orders])
    pack.column([order.arrived_ns for order in orders])
    pack.column([order.reference for order in orders])
    pack.column([amount for order in orders for amount in order.bill or _NO_BILL])
    pack.column([order.free for order in orders])
    save_special(pack, {place: order.special for place, order in enumerate(orders) if order.special})


def load_orders(kept: Unpacker, symbols: Sequence[str]) -> tuple[list[WorkingOrder], dict[WorkingOrder, int]]:
    """The orders that `save_orders` wrote, in their order, and the best prices that trailing stops have seen. They are
    in no market yet."""
    names, broker_ids = kept.text().split("\n"), kept.text().split("\n")
    orders: list[WorkingOrder] = []
    rows = kept.columns(19)
    bills, free = kept.column(), kept.column()
    if len(bills) != 4 * len(rows) or len(free) != len(rows):
        raise Unreadable("there is not one bill for each order")
    specials = load_special(kept)
    bests: dict[WorkingOrder, int] = {}
    for place, (name, broker_id, row) in enumerate(zip(names, broker_ids, rows, strict=bool(rows))):
        symbol, side, kind, time_in_force, source, waiting, leaves, filled, limit, stop, *rest = row
        order = WorkingOrder(
            name,
            broker_id,
            symbols[symbol],
            side,
            OrderType(kind),
            TimeInForce(time_in_force),
            leaves,
            limit or None,
            stop or None,
            TriggerSource(source),
        )
        order.placed = broker_id.partition("-")[0]
        order.filled, order.waiting = filled, bool(waiting)
        order.number, order.ahead, expire_ns, order.hold, order.closing, *rest = rest
        order.seen, order.traded, order.arrived_ns, order.reference = rest
        order.expire_ns, order.free = expire_ns or None, bool(free[place])
        bill = bills[4 * place : 4 * place + 4]
        order.bill = bill if any(bill) else None
        if place in specials:
            order.special, best = specials[place]
            if best is not None:
                bests[order] = best
        orders.append(order)
    return orders, bests
