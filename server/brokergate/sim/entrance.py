"""An order comes: what it would take, what it would meet, and why it would be refused. Looking changes nothing but the
order.

- **Self-trade prevention.** Our orders never fill each other. A taker meets an order of ours where that stands at a
  price at least as good as what it would take next of the market, or would rest at. CANCEL_MAKER, which also holds
  where nothing is said, cancels ours and goes on; CANCEL_TAKER keeps what was taken before and cancels the rest, or
  refuses the order where that is all; CANCEL_BOTH does both.
- **Post-only** is refused (WOULD_TAKE) where it would take, or meet an order of ours. Once it rests it only gives.
- **Quote quantity.** A market order for an amount gets the lots that the amount pays for level by level, rounded
  down.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.money import format_decimal, multiply
from brokergate.domain.orders import SelfTradePrevention, TimeInForce
from brokergate.sim.book import NO_MARKET
from brokergate.sim.funds import Walk
from brokergate.sim.links import Linked
from brokergate.sim.orders import Refusal, WorkingOrder
from brokergate.sim.triggers import direction, first_trigger, is_trailing

MEETING = "an order of the same account stands in its way"
_AT_ONCE = (TimeInForce.IOC, TimeInForce.FOK, TimeInForce.AT_OPEN, TimeInForce.AT_CLOSE)


@dataclass(slots=True)
class Meeting:
    """A taker meets orders of ours."""

    walk: Walk
    """What it takes of the market."""
    makers: list[WorkingOrder]
    """Those that are cancelled."""
    cut: bool
    """Whether what is left of the taker is cancelled."""


class Entrance:
    """Looks at the orders that come to one market."""

    def __init__(self, market: Linked) -> None:
        self._market = market

    def look(self, order: WorkingOrder) -> tuple[Walk, Refusal | None]:
        """What an order that comes now would take, and why it would be refused. Changes nothing but the order, which
        gets the size and the trigger that it would come with."""
        market = self._market
        special = order.special
        if special is not None:
            refusal = self._prepare(order)
            if refusal is not None:
                return [], refusal
            if special.auction_ns:
                if order.limit is None:
                    order.reference = market.last or 0
                return [], market.funds.shortfall(order, [], order.leaves)
        if order.waiting and not self.reached(order):
            return [], market.funds.shortfall(order, [], order.leaves)
        walk = market.walk(order)
        meeting = self.meeting(order, walk)
        if special is not None and special.post_only and (walk or meeting):
            price = walk[0][0] if walk else order.limit
            return [], Refusal(
                ErrorReason.WOULD_TAKE,
                f"{market.symbol}: it would take at {self._shown_price(price)}, and is post_only",
            )
        if meeting is None:
            return walk, self._refusal(order, walk)
        if meeting.cut and not meeting.walk and not meeting.makers:
            return [], Refusal(
                ErrorReason.SELF_TRADE,
                f"{market.symbol}: {MEETING}; cancel that one or keep away from it",
            )
        return meeting.walk, self._refusal(order, meeting.walk, meeting)

    def reached(self, order: WorkingOrder) -> bool:
        """Whether an order's source has reached its trigger already."""
        assert order.stop is not None
        if not self._market.tradable():
            return False
        rising = direction(order)
        price = self._market.price_of(order.source, order.side, rising)
        return price is not None and rising * price >= rising * order.stop

    def best_seen(self, order: WorkingOrder) -> int | None:
        """The best price that a trailing stop has seen: the present one where it comes now."""
        crest = order.special.crest if order.special else None
        if crest is not None:
            return crest.price
        return self._market.price_of(order.source, order.side, direction(order))

    def meeting(self, order: WorkingOrder, walk: Walk) -> Meeting | None:
        """What an order that would take `walk` meets of ours; None for nothing."""
        own, side, limit = self._market.asks if order.side > 0 else self._market.bids, order.side, order.limit
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

    def may_stay(self, order: WorkingOrder) -> bool:
        """Whether what it does not get at once rests, or waits for the next trade or bar."""
        return order.time_in_force not in _AT_ONCE and (order.limit is not None or self._market.prints)

    def _prepare(self, order: WorkingOrder) -> Refusal | None:
        """Gives an order that asks for something special the size and the trigger that it comes with."""
        special = order.special
        assert special is not None
        if special.quote:
            refusal = self._measure(order, special.quote)
            if refusal is not None:
                return refusal
        if special.reduce_only:
            closable = self._market.closable(order)
            order.leaves = min(order.leaves, closable)
            order.free = order.free or self._market.unpaid(order)
            if not closable:
                side = "long" if order.side < 0 else "short"
                return Refusal(
                    ErrorReason.NOTHING_TO_REDUCE,
                    f"{self._market.symbol}: reduce_only, and there is no {side} position that it could close",
                )
        if order.waiting and is_trailing(order):
            return self._begin_trail(order)
        return None

    def _begin_trail(self, order: WorkingOrder) -> Refusal | None:
        best = self.best_seen(order)
        if best is None or not self._market.tradable():
            return self._no_market() or Refusal(
                ErrorReason.NO_REFERENCE_PRICE,
                f"{self._market.symbol}: there is no price that the stop could trail yet",
            )
        trigger = first_trigger(order, best)
        if trigger <= 0:
            return Refusal(
                ErrorReason.INVALID_FIELD,
                f"{self._market.symbol}: the stop would trail {self._shown_price(best)} at zero or below; trail nearer",
            )
        order.stop = trigger
        return None

    def _measure(self, order: WorkingOrder, amount: int) -> Refusal | None:
        """The lots that an amount of quote currency pays for, or that raise it, rounded down; no more than it has."""
        unit = self._market.funds.unit
        lots, left = 0, amount
        for price, size in self._market.walk(order):
            part = min(size, left // (price * unit))
            lots += part
            left -= part * price * unit
            if part < size:
                break
        else:
            if not lots and self._market.prints:
                message = (
                    f"{self._market.symbol}: nothing can be had now to count quote_quantity by; give quantity"
                )
                return Refusal(ErrorReason.NOT_FILLABLE, message)
            if not lots:
                return None
        order.leaves = lots
        if lots:
            return None
        return Refusal(
            ErrorReason.QUANTITY_OUT_OF_RANGE,
            f"{self._market.symbol}: quote_quantity comes to less than one lot",
        )

    def _no_market(self) -> Refusal | None:
        """Why nothing can be done at the market's prices; None where it can."""
        distrust = self._market.book.distrust
        if not distrust:
            return None
        return Refusal(
            ErrorReason.STALE_MARKET_DATA if distrust != NO_MARKET else ErrorReason.NO_REFERENCE_PRICE,
            f"{self._market.symbol}: {distrust}; try again when the market is back",
        )

    def _refusal(self, order: WorkingOrder, walk: Walk, meeting: Meeting | None = None) -> Refusal | None:
        """Why an order that would take `walk` cannot go in."""
        market = self._market
        at_once = not self.may_stay(order)
        if at_once and not market.tradable():
            return self._no_market()
        if order.limit is None and not at_once:
            order.reference = market.last or 0
        if order.limit is None and not walk and at_once and meeting is None:
            side = "asks" if order.side > 0 else "bids"
            return Refusal(
                ErrorReason.NO_REFERENCE_PRICE,
                f"{market.symbol}: nobody {side}; place a limit order or wait",
            )
        taken = sum([lots for _, lots in walk])
        if order.time_in_force is TimeInForce.FOK and taken < order.leaves:
            size = format_decimal(multiply(market.funds.instrument.quantity_increment, Decimal(taken)))
            return Refusal(
                ErrorReason.NOT_FILLABLE,
                f"{market.symbol}: at that price or better the book has only {size}",
            )
        rest = 0 if at_once or (meeting is not None and meeting.cut) else order.leaves - taken
        return market.funds.shortfall(order, walk, rest)

    def _shown_price(self, ticks: int | None) -> str:
        return format_decimal(multiply(self._market.funds.instrument.price_increment, Decimal(ticks or 0)))
