"""One instrument's matching: the life of orders. Pure, in integers; what happens goes to a list.

How orders fill is in `filling`, what the fill of one does to others in `links`. Here is what becomes of them
otherwise:

- **Triggers.** A stop is set off once, by the price of its source: the last trade's; the ask (buy) or bid (sell); or
  the mark price, which is the venue's own where the feed tells one, else the mid (one that lies between two ticks
  counts as the later to set off). An order that names no source goes by trades once the market has told one, and by
  bid and ask until then. An order whose trigger is reached already when it comes is set off at once. It then takes
  what the book has: a gap fills at the market. MARKET_IF_TOUCHED and LIMIT_IF_TOUCHED wait for the other direction: a
  buy for a fall to its trigger. A TRAILING_STOP begins at the price of its source; each price is held against its
  trigger first, and moves it only then, and never back.
- **Replace.** Less of the same keeps its place in the queue. Anything else (a price, a trail, more, another display
  quantity, another end) is a new order that comes now, and loses it. A trailing stop keeps the best price it saw.
- **Self-trade prevention.** Our orders never fill each other. A taker meets an order of ours where that stands at a
  price at least as good as what it would take next of the market, or would rest at. CANCEL_MAKER, which also holds
  where nothing is said, cancels ours and goes on; CANCEL_TAKER keeps what was taken before and cancels the rest, or
  refuses the order where that is all; CANCEL_BOTH does both.
- **Post-only** is refused (WOULD_TAKE) where it would take, or meet an order of ours. Once it rests it only gives.
- **Quote quantity.** A market order for an amount gets the lots that the amount pays for level by level, rounded
  down.
- **Auctions.** AT_OPEN comes with the first book at or after the opening, behind orders that rest already; AT_CLOSE
  comes at the instant of the close, against the book as it stands, before anything else of that instant. What they do
  not get is cancelled.
- On a book that is not trusted nothing fills and nothing is set off.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.money import format_decimal, multiply
from brokergate.domain.orders import SelfTradePrevention, TimeInForce, TriggerSource
from brokergate.sim.book import NO_MARKET
from brokergate.sim.filling import DEFAULT_FILLS, FillTerms
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.links import Group, Linked
from brokergate.sim.market import MarketUpdate, MarkUpdate
from brokergate.sim.orders import Changed, Happening, Refusal, WorkingOrder
from brokergate.sim.packing import Packer, Unpacker
from brokergate.sim.triggers import Triggers, direction, first_trigger, is_trailing

_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)
_MEETING = "an order of the same account stands in its way"


@dataclass(slots=True)
class Meeting:
    """A taker meets orders of ours."""

    walk: Walk
    """What it takes of the market."""
    makers: list[WorkingOrder]
    """Those that are cancelled."""
    cut: bool
    """Whether what is left of the taker is cancelled."""


class Market(Linked):
    """One instrument's book and our orders in it. `happenings` is where everything that happens is appended."""

    def __init__(
        self,
        symbol: str,
        funds: InstrumentFunds,
        happenings: list[Happening],
        fills: FillTerms = DEFAULT_FILLS,
    ) -> None:
        super().__init__(symbol, funds, happenings, fills)
        self._triggers = Triggers()
        self._due: dict[WorkingOrder, None] = {}
        """Orders that are set off and whose turn has not come."""
        self._opens: list[tuple[int, int, WorkingOrder]] = []
        """(opening, number, order) of those that wait for an opening."""
        self._number = 0

    # The market moves

    def apply(self, update: MarketUpdate) -> None:
        super().apply(update)
        if self._waiting and isinstance(update, MarkUpdate) and not self.halted and self._tradable():
            self._set_off(update.time_ns)
        if self._opens and self._opens[0][0] <= update.time_ns:
            self._open(update.time_ns)
        if self.woken:
            self.wake(update.time_ns)

    def _set_off(self, time_ns: int) -> None:
        reached = self._triggers.reached(self._price_of)
        if not reached:
            return
        self._waiting -= len(reached)
        self._due = dict.fromkeys(reached)
        for order in reached:
            if order in self._due:
                del self._due[order]
                self._triggered(order, time_ns)

    def _price_of(self, source: TriggerSource, side: int, rising: int) -> int | None:
        """The price of a source for orders of a side that wait for a rise (+1) or a fall (-1)."""
        if source is TriggerSource.LAST or (source is TriggerSource.UNSPECIFIED and self.last is not None):
            return self._last(rising)
        if source is TriggerSource.MARK:
            doubled = self.mark()
            return None if doubled is None else rising * (rising * doubled // 2)
        return (self.book.asks if side > 0 else self.book.bids).best()

    def _triggered(self, order: WorkingOrder, time_ns: int) -> None:
        order.waiting = False
        order.arrived_ns = time_ns
        if order.special is not None:
            order.special.placed = False
        self._happenings.append(Changed(OrderEventType.TRIGGERED, order, time_ns))
        self._release(order)
        walk, refusal = self.look(order)
        if refusal is not None:
            self._end(order, time_ns, refusal.reason, refusal.message)
        else:
            self._enter(order, walk, time_ns)

    def _open(self, time_ns: int) -> None:
        """The first book after an opening has come, or the first trade or bar of a market without a book."""
        distrust = self.book.distrust
        told_ns = self.book.time_ns if not distrust else self.updated_ns if self.prints else 0
        while self._opens and self._opens[0][0] <= told_ns and not self.halted:
            self.match(self._opens[0][2], time_ns)

    def match(self, order: WorkingOrder, time_ns: int) -> None:
        """The opening or close has come that an order waited for."""
        self._remove(order)
        assert order.special is not None
        order.special.auction_ns = 0
        self._come(order, time_ns)
        if self.woken:
            self.wake(time_ns)

    # Orders come

    def look(self, order: WorkingOrder) -> tuple[Walk, Refusal | None]:
        """What an order that comes now would take, and why it would be refused. Changes nothing but the order, which
        gets the size and the trigger that it would come with."""
        special = order.special
        if special is not None:
            refusal = self._prepare(order)
            if refusal is not None:
                return [], refusal
            if special.auction_ns:
                if order.limit is None:
                    order.reference = self.last or 0
                return [], self.funds.shortfall(order, [], order.leaves)
        if order.waiting and not self._reached(order):
            return [], self.funds.shortfall(order, [], order.leaves)
        walk = self._walk(order)
        meeting = self._meeting(order, walk)
        if special is not None and special.post_only and (walk or meeting):
            price = meeting.makers[0].limit if meeting else walk[0][0]
            return [], Refusal(
                ErrorReason.WOULD_TAKE,
                f"{self.symbol}: it would take at {self._shown_price(price)}, and is post_only",
            )
        if meeting is None:
            return walk, self._refusal(order, walk)
        if meeting.cut and not meeting.walk and not meeting.makers:
            return [], Refusal(
                ErrorReason.SELF_TRADE, f"{self.symbol}: {_MEETING}; cancel that one or keep away from it"
            )
        return meeting.walk, self._refusal(order, meeting.walk, meeting)

    def place(self, order: WorkingOrder, time_ns: int) -> Refusal | None:
        """Takes an order, or says why not."""
        asked = order.leaves
        walk, refusal = self.look(order)
        if refusal is None:
            if order.leaves != asked:
                self._tell(order, time_ns)
            self._accept(order, walk, time_ns)
            if self.woken:
                self.wake(time_ns)
        return refusal

    def place_group(
        self, orders: list[WorkingOrder], time_ns: int, *, bracket: bool
    ) -> tuple[WorkingOrder, Refusal] | None:
        """Takes the orders of a group, all or none, or says which one cannot be taken, and why; of a bracket the entry
        is the first. See `links`."""
        walk: Walk = []
        cut: list[WorkingOrder] = []
        for order in orders[:1] if bracket else orders:
            asked = order.leaves
            walk, refusal = self.look(order)
            if refusal is not None:
                return order, refusal
            if order.leaves != asked:
                cut.append(order)
        for order in cut:
            self._tell(order, time_ns)
        legs = orders[1:] if bracket else orders
        group = Group(list(legs), orders[0] if bracket else None)
        for order in legs:
            assert order.special is not None
            order.special.asleep = orders[0].leaves if bracket else order.leaves
            order.leaves = 0
            if bracket:
                # Of what is held, not short, the holding itself says how much can be sold.
                order.special.reduce_only = self.funds.positional
        for order in orders:
            assert order.special is not None
            order.special.group = group
        if bracket:
            self._accept(orders[0], walk, time_ns)
        else:
            self.woken.append(group)
        if self.woken:
            self.wake(time_ns)
        return None

    def _prepare(self, order: WorkingOrder) -> Refusal | None:
        """Gives an order that asks for something special the size and the trigger that it comes with."""
        special = order.special
        assert special is not None
        if special.quote:
            refusal = self._measure(order, special.quote)
            if refusal is not None:
                return refusal
        if special.reduce_only:
            closable = self.closable(order)
            order.leaves = min(order.leaves, closable)
            order.free = order.free or self._unpaid(order)
            if not closable:
                side = "long" if order.side < 0 else "short"
                return Refusal(
                    ErrorReason.NOTHING_TO_REDUCE,
                    f"{self.symbol}: reduce_only, and there is no {side} position that it could close",
                )
        if order.waiting and is_trailing(order):
            return self._begin_trail(order)
        return None

    def _begin_trail(self, order: WorkingOrder) -> Refusal | None:
        best = self._best_seen(order)
        if best is None or not self._tradable():
            return self._no_market() or Refusal(
                ErrorReason.NO_REFERENCE_PRICE,
                f"{self.symbol}: there is no price that the stop could trail yet",
            )
        trigger = first_trigger(order, best)
        if trigger <= 0:
            return Refusal(
                ErrorReason.INVALID_FIELD,
                f"{self.symbol}: the stop would trail {self._shown_price(best)} at zero or below; trail nearer",
            )
        order.stop = trigger
        return None

    def _best_seen(self, order: WorkingOrder) -> int | None:
        """The best price that a trailing stop has seen: the present one where it comes now."""
        crest = order.special.crest if order.special else None
        if crest is not None:
            return crest.price
        return self._price_of(order.source, order.side, direction(order))

    def _measure(self, order: WorkingOrder, amount: int) -> Refusal | None:
        """The lots that an amount of quote currency pays for, or that raise it, rounded down."""
        unit = self.funds.unit
        order.leaves = max(1, amount // unit)
        lots, left = 0, amount
        for price, size in self._walk(order):
            part = min(size, left // (price * unit))
            lots += part
            left -= part * price * unit
            if part < size:
                break
        else:
            if not lots:
                order.leaves = 1
                return None
        order.leaves = lots
        if lots:
            return None
        return Refusal(
            ErrorReason.QUANTITY_OUT_OF_RANGE, f"{self.symbol}: quote_quantity comes to less than one lot"
        )

    def _accept(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        order.arrived_ns = time_ns
        special = order.special
        if special is not None and special.auction_ns:
            self._park(order)
            return
        if order.waiting:
            if not self._reached(order):
                self._wait(order, self._best_seen(order) if is_trailing(order) else None)
                return
            order.waiting = False
            self._happenings.append(Changed(OrderEventType.TRIGGERED, order, time_ns))
        self._enter(order, walk, time_ns)

    def _come(self, order: WorkingOrder, time_ns: int) -> None:
        asked = order.leaves
        walk, refusal = self.look(order)
        if refusal is not None:
            self._end(order, time_ns, refusal.reason, refusal.message)
            return
        if order.leaves != asked:
            self._forgo(order, asked - order.leaves, time_ns)
            self._tell(order, time_ns)
        self._accept(order, walk, time_ns)

    def restore(self, order: WorkingOrder) -> None:
        """Takes an order up again after a restart. What stands ahead of it is what the feed shows first, and what a
        trailing stop has seen the first price."""
        if not order.leaves:
            return
        if order.special is not None and order.special.auction_ns:
            self._park(order)
        elif order.waiting:
            self._wait(order)
        else:
            self._rest(order)

    def save(self, pack: Packer) -> None:
        """Writes the market of others down; our orders in it are the venue's to keep."""
        self.book.save(pack)
        self.save_prints(pack)
        pack.put(self.last, self.told_mark, self.updated_ns, self.received_ns, self._number)

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self.book.load(kept)
        self.load_prints(kept)
        self.last, self.told_mark = kept.optional(), kept.optional()
        self.updated_ns, self.received_ns = kept.integer(), kept.integer()
        self._number = kept.integer()

    def put_back(self, order: WorkingOrder, best: int | None = None) -> None:
        """Puts an order where it stood, with its number and what is set aside for it: those that came earlier first. A
        trailing stop has seen `best`."""
        if not order.leaves:
            return
        self.funds.put_back(order)
        special = order.special
        if special is not None:
            special.placed = True
            if special.reduce_only:
                self._reduces(order)
        if special is not None and special.auction_ns:
            self._list_opening(order)
        elif order.waiting:
            self._waiting += 1
            self._triggers.add(order, best)
        else:
            self._stand(order)

    def cancel(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
    ) -> None:
        """Ends a working order at somebody's wish."""
        self._remove(order)
        self._end(order, time_ns, reason, message)

    def force(self, order: WorkingOrder, time_ns: int) -> int:
        """A market order of the venue's own takes what the book has, whatever the account can pay; returns its
        notional. What it cannot take at once is not part of it."""
        walk = [] if self.halted else self._walk(order)
        order.leaves = sum([lots for _, lots in walk])
        if walk:
            self._take(order, walk, time_ns)
        return sum([price * lots for price, lots in walk]) * self.funds.unit

    def expire(self, order: WorkingOrder, time_ns: int) -> None:
        """Ends a working order whose time in force ran out."""
        self._remove(order)
        self._end(order, time_ns, kind=OrderEventType.EXPIRED)

    # Orders change

    def replace(self, order: WorkingOrder, change: WorkingOrder, time_ns: int) -> Refusal | None:
        """Makes a working order one of the size, prices, wishes and end of `change`, in one step; `change.leaves` is
        its lots in all, filled ones included. See the module for its place in the queue. Refused, it stays the same."""
        left = change.leaves - order.filled
        if left <= 0:
            return Refusal(ErrorReason.REPLACE_BELOW_FILLED, "the new quantity is not above what is filled")
        group = order.special.group if order.special else None
        if group is not None and group.bracket and order is not group.entry and left != order.left:
            return Refusal(
                ErrorReason.INVALID_FIELD, "quantity: that of a bracket's leg follows its entry; leave it out"
            )
        entry = group is not None and order is group.entry
        asleep = order.left - order.leaves
        if not order.leaves:
            _take_over(order, change)
            self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        elif _same_but_less(order, change, left):
            self._release(order)
            order.leaves = left - asleep
            if order.special is not None:
                order.special.slice = min(order.special.slice, order.leaves)
            self._reserve(order)
            self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        else:
            refusal = self._renew(order, change, left - asleep, time_ns)
            if refusal is not None:
                return refusal
        if group is not None and entry:
            # Also where the new one has filled at once, and is the entry no more.
            self._entry_changed(group, time_ns)
        if self.woken:
            self.wake(time_ns)
        return None

    def _renew(self, order: WorkingOrder, change: WorkingOrder, leaves: int, time_ns: int) -> Refusal | None:
        """A replace that is a new order in the place of the old one."""
        self._release(order)
        wanted = _renewed(order, change, leaves)
        walk, refusal = self.look(wanted)
        if refusal is not None:
            self._reserve(order)
            return refusal
        best = self._best_seen(order) if is_trailing(order) else None
        self._remove(order)
        _take_over(order, change)
        order.leaves, order.stop = wanted.leaves, wanted.stop
        self._happenings.append(Changed(OrderEventType.REPLACED, order, time_ns))
        if order.leaves != leaves:
            self._tell(order, time_ns)
        if order.waiting and best is not None and not self._reached(order):
            self._wait(order, best)
        else:
            self._accept(order, walk, time_ns)
        return None

    def _reached(self, order: WorkingOrder) -> bool:
        """Whether an order's source has reached its trigger already."""
        assert order.stop is not None
        if not self._tradable():
            return False
        rising = direction(order)
        price = self._price_of(order.source, order.side, rising)
        return price is not None and rising * price >= rising * order.stop

    def _meeting(self, order: WorkingOrder, walk: Walk) -> Meeting | None:
        """What an order that would take `walk` meets of ours; None for nothing."""
        own, side, limit = self._asks if order.side > 0 else self._bids, order.side, order.limit
        if not own.keys or (limit is not None and side * limit < -own.keys[-1]):
            return None
        prevention = order.special.prevention if order.special is not None else None
        makers: list[WorkingOrder] = []
        for maker in own.reaching(-side * own.keys[0] if limit is None else limit):
            assert maker.limit is not None
            before = [level for level in walk if side * level[0] < side * maker.limit]
            if sum([lots for _, lots in before]) >= order.leaves:
                break
            if prevention is SelfTradePrevention.CANCEL_TAKER:
                return Meeting(before, makers, cut=True)
            makers.append(maker)
            if prevention is SelfTradePrevention.CANCEL_BOTH:
                return Meeting(before, makers, cut=True)
        return Meeting(walk, makers, cut=False) if makers else None

    def _tradable(self) -> bool:
        """Whether there is a market to trade at: a trusted book, or the last of trades or bars."""
        return not self.book.distrust or self.prints

    def _no_market(self) -> Refusal | None:
        """Why nothing can be done at the market's prices; None where it can."""
        distrust = self.book.distrust
        if not distrust:
            return None
        return Refusal(
            ErrorReason.STALE_MARKET_DATA if distrust != NO_MARKET else ErrorReason.NO_REFERENCE_PRICE,
            f"{self.symbol}: {distrust}; try again when the market is back",
        )

    def _refusal(self, order: WorkingOrder, walk: Walk, meeting: Meeting | None = None) -> Refusal | None:
        """Why an order that would take `walk` cannot go in."""
        at_once = not self.may_stay(order)
        if at_once and not self._tradable():
            return self._no_market()
        if order.limit is None and not at_once:
            order.reference = self.last or 0
        if order.limit is None and not walk and at_once and meeting is None:
            side = "asks" if order.side > 0 else "bids"
            return Refusal(
                ErrorReason.NO_REFERENCE_PRICE, f"{self.symbol}: nobody {side}; place a limit order or wait"
            )
        taken = sum([lots for _, lots in walk])
        if order.time_in_force is TimeInForce.FOK and taken < order.leaves:
            size = format_decimal(multiply(self.funds.instrument.quantity_increment, Decimal(taken)))
            return Refusal(
                ErrorReason.NOT_FILLABLE, f"{self.symbol}: at that price or better the book has only {size}"
            )
        rest = 0 if at_once or (meeting is not None and meeting.cut) else order.leaves - taken
        return self.funds.shortfall(order, walk, rest)

    def _enter(self, order: WorkingOrder, walk: Walk, time_ns: int) -> None:
        """Takes `walk`; the rest rests, or ends where it may not."""
        meeting = self._meeting(order, walk)
        if meeting is not None:
            for maker in meeting.makers:
                if maker.left:
                    self.cancel(maker, time_ns, ErrorReason.SELF_TRADE, "an order of the same account met it")
        if walk:
            self._take(order, walk, time_ns)
        if not order.leaves:
            return
        if meeting is not None and meeting.cut:
            self._end(order, time_ns, ErrorReason.SELF_TRADE, f"{_MEETING}; the rest is cancelled")
        elif not self.may_stay(order):
            what = "a market order" if order.limit is None else f"an {order.time_in_force.name} order"
            self._end(
                order,
                time_ns,
                ErrorReason.NOT_FILLABLE,
                f"the book had no more; the rest of {what} is cancelled",
            )
        else:
            self._rest(order)

    # Where orders wait

    def _wait(self, order: WorkingOrder, best: int | None = None) -> None:
        self._number += 1
        order.number = self._number
        self._waiting += 1
        self._triggers.add(order, best)
        self._reserve(order)

    def _rest(self, order: WorkingOrder) -> None:
        self._number += 1
        order.number = self._number
        if order.limit is not None:
            self._join(order)
        self._stand(order)
        if order.special is None:
            self.funds.reserve(order)
            return
        order.special.slice = min(order.special.display, order.leaves)
        self._reserve(order)

    def _park(self, order: WorkingOrder) -> None:
        """Keeps an order for its opening or close."""
        self._number += 1
        order.number = self._number
        self._list_opening(order)
        self._reserve(order)

    def _list_opening(self, order: WorkingOrder) -> None:
        if order.time_in_force is TimeInForce.AT_OPEN:
            assert order.special is not None
            insort(self._opens, (order.special.auction_ns, order.number, order))

    def _remove(self, order: WorkingOrder) -> None:
        self._release(order)
        special = order.special
        if special is not None:
            self._reducers.pop(order.client_order_id, None)
            special.placed = False
            if not order.leaves:
                return
            if special.auction_ns:
                if order.time_in_force is TimeInForce.AT_OPEN:
                    del self._opens[bisect_left(self._opens, (special.auction_ns, order.number))]
                return
        if not order.waiting:
            self._leave(order)
        elif order in self._due:
            del self._due[order]
        else:
            self._waiting -= 1
            self._triggers.remove(order)

    def may_stay(self, order: WorkingOrder) -> bool:
        """Whether what it does not get at once rests, or waits for the next trade or bar."""
        return order.time_in_force not in _AT_ONCE and (order.limit is not None or self.prints)

    def _reserve(self, order: WorkingOrder) -> None:
        """Sets aside what an order needs that is in its place now."""
        special = order.special
        if special is not None:
            special.placed = True
            if special.reduce_only:
                self._reduces(order)
                order.free = self._unpaid(order)
            if special.group is not None and order is not special.group.entry:
                self._fund(special.group)
                return
        self.funds.reserve(order)

    def _release(self, order: WorkingOrder) -> None:
        """Gives back what is set aside for an order, and for those that share it."""
        self.funds.release(order)
        group = order.special.group if order.special is not None else None
        if group is not None and order is not group.entry:
            for other in group.orders:
                if other.side == order.side:
                    self.funds.release(other)

    def _end(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
        kind: OrderEventType = OrderEventType.CANCELED,
    ) -> None:
        order.leaves = 0
        special = order.special
        if special is not None:
            special.asleep = 0
            self._reducers.pop(order.client_order_id, None)
        self._happenings.append(Changed(kind, order, time_ns, reason, message))
        if special is not None and special.group is not None:
            self._unlink(order, time_ns)

    def _shown_price(self, ticks: int | None) -> str:
        return format_decimal(multiply(self.funds.instrument.price_increment, Decimal(ticks or 0)))


def _same_but_less(order: WorkingOrder, change: WorkingOrder, left: int) -> bool:
    """Whether `change` only takes lots from an order."""
    return (
        change.limit == order.limit
        and change.stop == order.stop
        and change.expire_ns in (None, order.expire_ns)
        and left <= order.left
        and not (order.special is not None and order.special.differs(change.special))
    )


def _take_over(order: WorkingOrder, change: WorkingOrder) -> None:
    """Gives an order what `change` asks for, but for its size."""
    order.limit, order.stop = change.limit, change.stop
    if change.expire_ns is not None:
        order.expire_ns = change.expire_ns
    if order.special is not None:
        order.special.take_over(change.special)


def _renewed(order: WorkingOrder, change: WorkingOrder, leaves: int) -> WorkingOrder:
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
