"""Orders whose trigger trails the market (faqs/trailing-stop-faq.md).

`trailingDelta` is in basis points. An order that waits for a rise trails the lowest price seen, one that waits for a
fall the highest. With a `stopPrice` it begins to trail when the last price has reached that. The matching venue is
given the trigger as it stands; this moves it after each trade, never back.
"""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.values import changed
from tests.emulators.binance.asking import Asked
from tests.emulators.core import VenueCore
from tests.emulators.orders import Refused, VenueOrderState

BASIS_POINTS = Decimal(10_000)


class Trailing:
    """See the module."""

    def __init__(self, core: VenueCore) -> None:
        self._core = core
        self._following: dict[int, Trail] = {}
        self._seen: dict[str, int] = {}
        """How many trades of a symbol were looked at."""

    def first_stop(self, asked: Asked) -> Decimal | None:
        """The trigger that an order begins with."""
        if asked.trailing_delta is None:
            return asked.stop_price
        last = self._core.last(asked.symbol.name)
        if last is None or asked.stop_price is not None:
            # Where no price sets it off until it trails.
            return asked.symbol.max_price if asked.rises else asked.symbol.tick
        return _trigger(asked, last)

    def lock_price(self, asked: Asked) -> Decimal | None:
        """What a buyer locks for each unit while the trigger says nothing of it."""
        if asked.trailing_delta is None or asked.price is not None:
            return None
        return asked.stop_price or self._core.last(asked.symbol.name)

    def follow(self, order: VenueOrderState, asked: Asked) -> None:
        """The order trails from now on."""
        best = None if asked.stop_price is not None else self._core.last(asked.symbol.name)
        self._following[order.number] = Trail(order, asked, best)
        self._seen.setdefault(order.spec.symbol, len(self._core.trades[order.spec.symbol]))
        if best is not None:
            order.extra["trailing_since_ns"] = order.created_ns

    def moved(self, symbol: str, now_ns: int) -> None:
        """There may be new trades in a symbol."""
        trades = self._core.trades[symbol]
        new = trades[self._seen.get(symbol, len(trades)) :]
        self._seen[symbol] = len(trades)
        for trail in list(self._following.values()):
            order = trail.order
            if not order.open or order.triggered:
                self._following.pop(order.number, None)
            elif order.spec.symbol == symbol and not order.asleep:
                for trade in new:
                    trail.see(trade.price, trade.time_ns)
                self._move(trail, now_ns)

    def _move(self, trail: Trail, now_ns: int) -> None:
        if trail.best is None:
            return
        stop = _trigger(trail.asked, trail.best)
        if stop == trail.order.spec.stop_price:
            return
        try:
            self._core.replace(
                trail.order, changed(trail.order.spec, stop_price=stop), trail.order.quantity, now_ns
            )
        except Refused:
            # Set off or ended in the same step.
            self._following.pop(trail.order.number, None)


class Trail:
    """One order that trails. `best` is None until it begins."""

    def __init__(self, order: VenueOrderState, asked: Asked, best: Decimal | None) -> None:
        self.order = order
        self.asked = asked
        self.best = best

    def see(self, price: Decimal, time_ns: int) -> None:
        """A trade came."""
        if self.best is None:
            start = self.asked.stop_price
            reached = start is None or (price >= start if self.asked.rises else price <= start)
            if reached:
                self.best = price
                self.order.extra["trailing_since_ns"] = time_ns
        else:
            self.best = min(self.best, price) if self.asked.rises else max(self.best, price)


def _trigger(asked: Asked, best: Decimal) -> Decimal:
    assert asked.trailing_delta is not None
    share = Decimal(asked.trailing_delta) / BASIS_POINTS
    price = best * (1 + share if asked.rises else 1 - share)
    tick = asked.symbol.tick
    return (price // tick + (1 if asked.rises and price % tick else 0)) * tick
