"""The market that both venues see: prices that wander, books that are thin, trades that fill what rests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random

from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import BookView, TradeView
from brokergate.domain.money import multiply
from brokergate.domain.orders import Side
from brokergate.ports.broker import PushedUpdate
from brokergate.sim.market import BookSnapshot, MarketUpdate, TradeUpdate

BTC = Instrument(
    "BTC/USDT", "BTCUSDT", InstrumentKind.SPOT, "BTC", "USDT", Decimal("0.01"), Decimal("0.001"),
)  # fmt: skip
AAPL = Instrument("AAPL", "AAPL", InstrumentKind.EQUITY, "", "USD", Decimal("0.01"), Decimal(1))
INSTRUMENTS = (AAPL, BTC)
BY_SYMBOL = {instrument.symbol: instrument for instrument in INSTRUMENTS}

_LEVELS = 4


class Market:
    """Draws what happens next. Prices are in ticks, sizes in lots."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.mid = {"AAPL": 20_000, "BTC/USDT": 5_000_000}
        self.step = {"AAPL": 3, "BTC/USDT": 300}

    def price(self, symbol: str, ticks_away: int) -> Decimal:
        """A price so many ticks from the middle."""
        return multiply(Decimal(max(1, self.mid[symbol] + ticks_away)), BY_SYMBOL[symbol].price_increment)

    def move(self, now_ns: int) -> list[MarketUpdate]:
        """The next moment of one instrument: a book, and maybe trades."""
        random = self._random
        symbol = random.choice(("AAPL", "BTC/USDT"))
        step = self.step[symbol]
        self.mid[symbol] = mid = max(step * 50, self.mid[symbol] + random.randint(-2, 2) * step)
        updates: list[MarketUpdate] = [
            BookSnapshot(
                now_ns,
                symbol,
                tuple((mid - step * (level + 1), random.randint(1, 40)) for level in range(_LEVELS)),
                tuple((mid + step * (level + 1), random.randint(1, 40)) for level in range(_LEVELS)),
            )
        ]
        for _ in range(random.randint(0, 2)):
            aggressor = random.choice((-1, 1))
            price = mid + aggressor * step * random.randint(1, 4)
            updates.append(TradeUpdate(now_ns, symbol, price, random.randint(1, 30), aggressor))
        return updates


def pushed(updates: Sequence[MarketUpdate], now_ns: int) -> list[PushedUpdate]:
    """The same as a client pushes it."""
    return [PushedUpdate(_datum(update, now_ns)) for update in updates]


def _datum(update: MarketUpdate, now_ns: int) -> BookView | TradeView:
    instrument = BY_SYMBOL[update.symbol]
    if isinstance(update, BookSnapshot):
        level = _level(instrument)
        return BookView(
            update.symbol,
            tuple(level(*each) for each in update.bids),
            tuple(level(*each) for each in update.asks),
            now_ns,
            now_ns,
        )
    assert isinstance(update, TradeUpdate)
    price, quantity = _level(instrument)(update.price, update.size)
    side = Side.BUY if update.aggressor > 0 else Side.SELL
    return TradeView(update.symbol, price, quantity, side, now_ns, now_ns)


def _level(instrument: Instrument) -> Callable[[int, int], tuple[Decimal, Decimal]]:
    def level(ticks: int, lots: int) -> tuple[Decimal, Decimal]:
        return (
            multiply(Decimal(ticks), instrument.price_increment),
            multiply(Decimal(lots), instrument.quantity_increment),
        )

    return level
