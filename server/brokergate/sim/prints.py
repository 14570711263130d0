"""Markets without a book: how orders fill where the feed tells only trades, or only bars.

Such a market is one whose feed has told no book and no quote yet; with the first one it becomes a market with a book.
Of each trade or bar our orders together get at most the participation of the terms (10 per cent where they name none),
rounded down to whole lots; what they cannot get waits for the next. Of a bar whose feed tells no volumes they get what
the feed assumes.

Trades. A market order waits and takes at the price of the trades that come, after the one that it found. A limit
order fills at its limit by trades beyond it, never by those at it: who stood ahead is not known.

Bars. A bar is told when it is over. What comes later finds the price of its close and what is left of its
participation, and takes there; so a market order fills at the present close, which is known, and never at a price of
the bar's past. What waits when the next bar comes fills in this order, which assumes the worse where a bar does not say
what came first:

1. At the open: market orders, the earlier first; stops that the open has passed; limits that it has passed, which get
   the open, better than their limit, as takers.
2. Within: stops whose trigger lies between low and high, at their trigger. They come before the limits, so that of a
   stop and a limit in the same bar the stop is done.
3. Limits that low or high went strictly beyond, at their limit, as makers; a touch is not enough
   (LEAN: Common/Orders/Fills/EquityFillModel.cs, as are the open for a favourable gap and for a stop that is gapped).
4. At the close: market orders and limits that came while the bar ran. Nothing of it but its close came surely after
   them.

Among ours price comes before time, as everywhere. A bar beside a book or a quote fills nothing.
"""

from __future__ import annotations

from abc import abstractmethod

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import TriggerSource
from brokergate.sim.book import NO_MARKET
from brokergate.sim.filling import DEFAULT_PARTICIPATION, Filling, FillTerms, share_of
from brokergate.sim.funds import InstrumentFunds, Walk
from brokergate.sim.market import BarUpdate, TradeUpdate
from brokergate.sim.orders import Happening, WorkingOrder
from brokergate.sim.packing import Packer, Unpacker


class PrintFilling(Filling):
    """What trades and bars bring to our orders where there is no book."""

    def __init__(
        self, symbol: str, funds: InstrumentFunds, happenings: list[Happening], terms: FillTerms
    ) -> None:
        super().__init__(symbol, funds, happenings, terms)
        self._share = self._part or share_of(DEFAULT_PARTICIPATION)
        self._price: int | None = None
        """What takers pay now."""
        self._offered = 0
        """What our orders together may still get of the trade or bar."""
        self._traded_lots = 0
        """What traded in it; 0 where that is not known."""
        self._by_bars = False
        """Whether bars come: then trades beside them fill nothing."""
        self._within = 0
        """Not 0 while a bar is between its open and its close, where stops go at their trigger: +1 while those that
        wait for a rise look at its high and the others at its low, -1 the other way round."""
        self._range = (0, 0)
        """The bar's low and high."""

    @property
    def prints(self) -> bool:
        """Whether this is a market of trades or bars without a book, and one has come."""
        return self.last is not None and self.book.distrust == NO_MARKET

    @abstractmethod
    def _end(
        self,
        order: WorkingOrder,
        time_ns: int,
        reason: ErrorReason = ErrorReason.UNSPECIFIED,
        message: str = "",
    ) -> None:
        """Ends an order that waits nowhere."""

    def save_prints(self, pack: Packer) -> None:
        """Writes down what the last trade or bar left."""
        pack.put(self._price, self._offered, self._traded_lots, self._by_bars)

    def load_prints(self, kept: Unpacker) -> None:
        """Takes up what `save_prints` wrote."""
        self._price, self._offered = kept.optional(), kept.integer()
        self._traded_lots, self._by_bars = kept.integer(), kept.flag()

    def split(self, numerator: int, denominator: int, time_ns: int) -> None:
        """Also, what the last trade or bar left is not to be had any more."""
        super().split(numerator, denominator, time_ns)
        self._price, self._offered = None, 0

    def _printed(self, update: TradeUpdate | BarUpdate) -> None:
        if isinstance(update, BarUpdate):
            _check(update)
        if self.book.distrust != NO_MARKET:
            return
        if isinstance(update, BarUpdate):
            self._bar(update)
        elif not self._by_bars:
            self._single(update)
        elif self._waiting:
            self._set_off(update.time_ns)

    def _single(self, trade: TradeUpdate) -> None:
        self._open_for(trade.size)
        self._price = trade.price
        for order in list(self._takers.values()):
            self._serve(order, trade.time_ns)
        self._beyond(trade.price, trade.price, trade.time_ns, trade.time_ns)
        if self._waiting:
            self._set_off(trade.time_ns)
        self._offered = 0

    def _bar(self, bar: BarUpdate) -> None:
        now_ns, opened_ns = bar.time_ns, bar.time_ns - bar.span_ns
        self._by_bars = True
        self._open_for(bar.volume, bar.assumed)
        self._at(bar.open)
        self._serve_since(opened_ns, now_ns)
        self._trigger(now_ns)
        self._gapped(bar.open, opened_ns, now_ns)
        self._range = (bar.low, bar.high)
        # What waits is tested before what trails is drawn after the price (LEAN: FillModel.TrailingStopFill).
        for self._within in (1, -1):
            self._trigger(now_ns)
        self._within, self._range = 0, (0, 0)
        self._beyond(bar.low, bar.high, opened_ns, now_ns)
        self._at(bar.close)
        self._serve_since(now_ns, now_ns)
        self._trigger(now_ns)
        self._beyond(bar.close, bar.close, now_ns, now_ns)

    def _last(self, rising: int) -> int | None:
        """The last price, as orders see it that wait for a rise (+1) or a fall (-1)."""
        if not self._within:
            return self.last
        low, high = self._range
        return high if rising == self._within else low

    def price_of(self, source: TriggerSource, side: int, rising: int) -> int | None:
        """The price of a source for orders of a side that wait for a rise (+1) or a fall (-1)."""
        if source is TriggerSource.LAST or (source is TriggerSource.UNSPECIFIED and self.last is not None):
            return self._last(rising)
        if source is TriggerSource.MARK:
            doubled = self.mark()
            return None if doubled is None else rising * (rising * doubled // 2)
        return (self.book.asks if side > 0 else self.book.bids).best()

    def tradable(self) -> bool:
        """Whether there is a market to trade at: a trusted book, or the last of trades or bars."""
        return not self.book.distrust or self.prints

    def _open_for(self, lots: int, assumed: int = 0) -> None:
        numerator, denominator = self._share
        self._offered = assumed or lots * numerator // denominator
        self._traded_lots = lots

    def _at(self, price: int) -> None:
        self._price = self.last = price

    def _trigger(self, time_ns: int) -> None:
        if self._waiting:
            self._set_off(time_ns)

    def _serve_since(self, arrived_ns: int, time_ns: int) -> None:
        """Market orders that came at `arrived_ns` or before, the earlier first."""
        for order in list(self._takers.values()):
            if order.arrived_ns <= arrived_ns:
                self._serve(order, time_ns)

    def _serve(self, order: WorkingOrder, time_ns: int) -> None:
        """A waiting market order takes what it can get; it ends where the account cannot pay for it any more."""
        walk = self.walk(order)
        if not walk or order.number not in self._takers:
            return
        self.funds.release(order)
        refusal = self.funds.shortfall(order, walk, 0)
        if refusal is not None:
            self._leave(order)
            self._end(order, time_ns, refusal.reason, refusal.message)
            return
        self._take(order, walk, time_ns)
        if order.leaves:
            self.funds.release(order)  # in a group an execution sets aside again
            self.funds.reserve(order)
        else:
            self._leave(order)

    def _gapped(self, price: int, arrived_ns: int, time_ns: int) -> None:
        """Limits that the open passed get the open."""
        for own in (self.bids, self.asks):
            for order in own.reaching(price):
                if not self._offered or order.limit == price:
                    break
                if order.arrived_ns <= arrived_ns:
                    self._give_part(order, time_ns, price)

    def _beyond(self, low: int, high: int, arrived_ns: int, time_ns: int) -> None:
        """Limits that came at `arrived_ns` or before and that prices went strictly beyond fill at their limit."""
        for own, price in ((self.bids, low), (self.asks, high)):
            for order in own.reaching(price):
                if not self._offered or order.limit == price:
                    break
                if order.arrived_ns <= arrived_ns:
                    self._give_part(order, time_ns, None)

    def _give_part(self, order: WorkingOrder, time_ns: int, price: int | None) -> None:
        lots = min(order.leaves, self._offered)
        if lots:
            self._offered -= lots
            self._give(order, lots, time_ns, price)

    def _shown_again(self, time_ns: int) -> None:
        for order in list(self._takers.values()):
            self._serve(order, time_ns)
            if order.leaves and order.number in self._takers:
                self.funds.release(order)
                self._leave(order)
                message = "a book came, which had no more; the rest of a market order is cancelled"
                self._end(order, time_ns, ErrorReason.NOT_FILLABLE, message)

    def _print_walk(self, order: WorkingOrder) -> Walk:
        price = order.stop if self._within and order.stop is not None else self._price
        if price is None or not self._offered or self.book.distrust != NO_MARKET:
            return []
        if order.limit is not None and order.side * price > order.side * order.limit:
            return []
        return [(price, min(order.leaves, self._offered))]

    def _take_print(self, lots: int) -> None:
        self._offered -= lots

    def _volume(self) -> int | None:
        return self._traded_lots or None if self.book.distrust else None


def _check(bar: BarUpdate) -> None:
    if not 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high:
        raise ValueError(
            f"a bar with open {bar.open}, high {bar.high}, low {bar.low} and close {bar.close} ticks"
        )
    if bar.volume < 0 or bar.assumed < 0 or bar.span_ns <= 0:
        raise ValueError(f"a bar of {bar.volume} lots, {bar.assumed} of them assumed, over {bar.span_ns} ns")
