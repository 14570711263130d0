"""The price collar: how far an order's prices may lie from the market."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.money import ONE, add, multiply, round_down, subtract
from brokergate.domain.orders import Side
from brokergate.engine.risk.breach import Breach, NoReference, exceeded, shown
from brokergate.engine.risk.prices import Prices
from brokergate.engine.risk.wish import Wish

_PERCENT = Decimal("0.01")


class Collar:
    """`percent` of the reference, to either side. The limit of an order that waits for a price is measured from that
    price, which is where the market will be when it counts.

    What reduces a position is refused only where it would give money away: a limit below the collar for a sale, above
    it for a buy. Its stop may lie where its owner wants, its take-profit too, and a market order has no price.
    """

    def __init__(self, percent: Decimal, prices: Prices) -> None:
        self._percent = percent
        self._prices = prices
        part = multiply(percent, _PERCENT)
        self._above = add(ONE, part)
        self._below = subtract(ONE, part)

    def check(self, wish: Wish) -> Breach | None:
        """For what may open a position. `NoReference` where it has a price and there is no fresh quote."""
        spec = wish.spec
        limit, stop = spec.limit_price, self._trigger(wish)
        if (limit is None and stop is None) or not _repriced(wish):
            return None
        base = self._prices.reference(spec.symbol)
        if stop is not None:
            breach = self._outside(wish, "stop_price", stop, base, "the reference price")
            if breach is not None:
                return breach
            base = stop
        if limit is None:
            return None
        return self._outside(
            wish, "limit_price", limit, base, "the reference price" if stop is None else "its stop"
        )

    def check_reducing(self, wish: Wish) -> Breach | None:
        """For what reduces a position. It passes where there is no fresh quote."""
        limit, stop = wish.spec.limit_price, self._trigger(wish)
        if limit is None or not _repriced(wish):
            return None
        try:
            base = self._prices.reference(wish.spec.symbol) if stop is None else stop
        except NoReference:
            return None
        adverse = limit > base if wish.spec.side is Side.BUY else limit < base
        if not adverse:
            return None
        return self._outside(
            wish, "limit_price", limit, base, "the reference price" if stop is None else "its stop"
        )

    @staticmethod
    def _trigger(wish: Wish) -> Decimal | None:
        """The price that it waits for; None where it waits for none, or no longer."""
        if wish.before is not None and wish.before.triggered:
            return None
        return wish.spec.stop_price

    def _outside(self, wish: Wish, field: str, price: Decimal, base: Decimal, name: str) -> Breach | None:
        edges = multiply(base, self._below), multiply(base, self._above)
        low, high = min(edges), max(edges)
        if low <= price <= high:
            return None
        tick = wish.instrument.price_increment
        low_tick = round_down(max(low, tick), tick)
        if low_tick < low:
            low_tick = add(low_tick, tick)
        return exceeded(
            f"risk_limits.price_collar_percent is {shown(self._percent)} and the order's {field} {shown(price)} is "
            f"further than that from {name} of {wish.spec.symbol}, {shown(base)}; give a {field} from "
            f"{shown(low_tick)} to {shown(round_down(max(high, tick), tick))}"
        )


def _repriced(wish: Wish) -> bool:
    """Whether its prices are new: a market that moved away from an order does not keep it from being made smaller."""
    before = wish.before
    if before is None:
        return True
    return (before.spec.limit_price, before.spec.stop_price) != (wish.spec.limit_price, wish.spec.stop_price)
