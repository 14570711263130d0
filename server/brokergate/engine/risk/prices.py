"""Prices that limits are measured by: the reference, what an order may cost at worst, and what a currency is worth.

The reference of an instrument is the middle of its last quote, or the one side that there is. Quotes are dated by the
gateway's own clock (`receive_time_ns`), since a tape's or a venue's time may be another one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import QuoteView
from brokergate.domain.money import ONE, add, multiply, quotient
from brokergate.domain.orders import OrderSpec, Side
from brokergate.engine.risk.breach import NoReference
from brokergate.ports.clock import Clock

_HALF = Decimal("0.5")
_PERCENT = Decimal("0.01")
_CONVERTING = (InstrumentKind.SPOT, InstrumentKind.FOREX)


class Prices:
    """The prices of one account's instruments."""

    def __init__(
        self,
        quote: Callable[[str], QuoteView | None],
        instruments: Callable[[], Mapping[str, Instrument]],
        clock: Clock,
        max_age_ns: int,
        problem_with: Callable[[str], str],
    ) -> None:
        """`problem_with` says why a symbol has no quote, where that is known, and the way out."""
        self._quote = quote
        self._problem_with = problem_with
        self._instruments = instruments
        self._clock = clock
        self._max_age_ns = max_age_ns
        self._pairs: dict[tuple[str, str], str] = {}
        self._pairs_of: Mapping[str, Instrument] | None = None

    def fresh(self, symbol: str) -> QuoteView:
        """The last quote. `NoReference` where there is none, or one older than the limits allow."""
        quote = self._quote(symbol)
        if quote is None:
            problem = self._problem_with(symbol)
            told = f": {problem}" if problem else " yet; wait for one"
            raise NoReference(f"a quote of {symbol}, and there is none{told}")
        age_ns = self._clock.now_ns() - quote.receive_time_ns
        if age_ns > self._max_age_ns:
            raise NoReference(
                f"a quote of {symbol}, and the last one is {age_ns // 1_000_000} ms old; wait for one that is younger "
                f"than risk_limits.quote_max_age_ms, {self._max_age_ns // 1_000_000}"
            )
        return quote

    def reference(self, symbol: str) -> Decimal:
        """The price that the present one is taken to be. `NoReference` without a fresh quote."""
        price = middle(self.fresh(symbol))
        if price is None:
            raise NoReference(f"a price of {symbol}, and its book is empty; wait for a quote")
        return price

    def last_reference(self, symbol: str) -> Decimal | None:
        """The same of the last quote however old it is: what a holding in a closed market is worth."""
        quote = self._quote(symbol)
        return None if quote is None else middle(quote)

    def worst(self, spec: OrderSpec) -> Decimal:
        """What one unit of the order may cost at most, or bring at most.

        A buy with a limit costs no more than that. Anything else is filled at what the market gives: at the far side of
        the quote (the ask for a buy, the bid for a sale), or at the order's own price where that is more. `NoReference`
        where that needs a fresh quote and there is none.
        """
        limit, stop = spec.limit_price, spec.stop_price
        buys = spec.side is Side.BUY
        if buys and limit is not None:
            return limit
        own = [price for price in (limit, stop) if price is not None]
        quote = self.fresh(spec.symbol)
        far = quote.ask_price if buys else quote.bid_price
        if far is not None:
            own.append(_trailed(far, spec) if buys else far)
        if not own:
            side = "ask" if buys else "bid"
            raise NoReference(f"the {side} of {spec.symbol}, and that side is empty; wait for a quote")
        return max(own)

    def convert(self, amount: Decimal, currency: str, into: str) -> Decimal:
        """`amount` of one currency in another, by fresh quotes. `NoReference` without them."""
        return self._converted(amount, currency, into, self.reference)

    def convert_at_last(self, amount: Decimal, currency: str, into: str) -> Decimal:
        """The same by the last quotes, however old. `NoReference` where there never was one."""
        return self._converted(amount, currency, into, self._last)

    def _last(self, symbol: str) -> Decimal:
        price = self.last_reference(symbol)
        if price is None:
            raise NoReference(f"a quote of {symbol}, and there is none yet; wait for one")
        return price

    def _converted(
        self, amount: Decimal, currency: str, into: str, price: Callable[[str], Decimal]
    ) -> Decimal:
        if currency == into:
            return amount
        pairs = self._known_pairs()
        if (symbol := pairs.get((currency, into))) is not None:
            return multiply(amount, price(symbol))
        if (symbol := pairs.get((into, currency))) is not None:
            return quotient(amount, price(symbol))
        raise NoReference(
            f"{currency} in {into}, and no instrument of the account converts one into the other; give the limit in "
            f"{currency}"
        )

    def _known_pairs(self) -> Mapping[tuple[str, str], str]:
        """(base, quote) to the symbol that trades them; made anew when the account learns its instruments again."""
        instruments = self._instruments()
        if instruments is not self._pairs_of:
            self._pairs_of = instruments
            self._pairs = {
                (instrument.base_currency, instrument.quote_currency): symbol
                for symbol, instrument in instruments.items()
                if instrument.kind in _CONVERTING and instrument.multiplier == ONE
            }
        return self._pairs


def middle(quote: QuoteView) -> Decimal | None:
    """Halfway between bid and ask; the one that there is; None for an empty book."""
    bid, ask = quote.bid_price, quote.ask_price
    if bid is None or ask is None:
        return bid if ask is None else ask
    return multiply(add(bid, ask), _HALF)


def _trailed(price: Decimal, spec: OrderSpec) -> Decimal:
    """Where a buy that trails the market would be set off if that turned now; `price` for any other order."""
    if spec.trail_amount is not None:
        return add(price, spec.trail_amount)
    if spec.trail_percent is not None:
        return add(price, multiply(multiply(price, spec.trail_percent), _PERCENT))
    return price
