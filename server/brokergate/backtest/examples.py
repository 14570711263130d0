"""Two strategies to begin with: one that gives liquidity and one that takes it. They show the calls, not an edge."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from brokergate.backtest.strategy import Strategy, Trader, View
from brokergate.backtest.times import SECOND_NS
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO, round_down
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side


def _instrument(trader: Trader, symbol: str) -> Instrument:
    """The instrument called so, the market's first one where nothing is said. `ValueError` where there is none."""
    for instrument in trader.instruments:
        if symbol in ("", instrument.symbol):
            return instrument
    known = ", ".join(instrument.symbol for instrument in trader.instruments)
    raise ValueError(f"there is no instrument {symbol!r}; there are {known}")


def _number(name: str, value: object) -> Decimal:
    """A setting above zero. `ValueError`."""
    if not isinstance(value, int | Decimal) or value <= 0:
        raise ValueError(f"{name} is {value!r}; write a number above zero")
    return Decimal(value)


class MarketMaker(Strategy):
    """Quotes both sides, `ticks` behind the best bid and ask, and moves its quotes when the market has moved by more
    than `slack` ticks, at most every `pause_ms`. What it holds beyond `most` it only sells, and short it only buys.
    """

    def __init__(
        self,
        symbol: str = "",
        quantity: Decimal = Decimal("0.05"),
        most: Decimal = Decimal("0.5"),
        ticks: int = 0,
        slack: int = 100,
        pause_ms: int = 500,
    ) -> None:
        self._symbol = symbol
        self._quantity, self._most = _number("quantity", quantity), _number("most", most)
        self._ticks, self._slack, self._pause_ns = int(ticks), int(slack), int(pause_ms) * 1_000_000
        self._tick = Decimal(1)
        self._shortable = False
        self._next_ns = 0

    def on_start(self, trader: Trader) -> None:
        instrument = _instrument(trader, self._symbol)
        self._symbol, self._tick = instrument.symbol, instrument.price_increment
        self._quantity = max(
            round_down(self._quantity, instrument.quantity_increment), instrument.quantity_increment
        )
        self._shortable = not instrument.base_currency or instrument.kind.name == "FOREX"

    def on_update(self, trader: Trader, view: View) -> None:
        if view.symbol != self._symbol or view.time_ns < self._next_ns:
            return
        quote = trader.quote(self._symbol)
        if quote is None or quote.bid_price is None or quote.ask_price is None:
            return
        self._next_ns = view.time_ns + self._pause_ns
        position = trader.position(self._symbol)
        away = self._ticks * self._tick
        buys = position < self._most
        sells = position > -self._most if self._shortable else position >= self._quantity
        self._quote(trader, Side.BUY, quote.bid_price - away if buys else None)
        self._quote(trader, Side.SELL, quote.ask_price + away if sells else None)

    def _quote(self, trader: Trader, side: Side, price: Decimal | None) -> None:
        """Has one order on a side: at `price`, or none."""
        standing = [order for order in trader.open_orders(self._symbol) if order.spec.side is side]
        for order in standing:
            if price is None or self._far(order, price):
                trader.cancel(order.client_order_id)
        if price is not None and price > 0 and not standing:
            trader.place(OrderSpec(self._symbol, side, OrderType.LIMIT, self._quantity, limit_price=price))

    def _far(self, order: Order, price: Decimal) -> bool:
        limit = order.spec.limit_price
        return limit is None or abs(limit - price) > self._slack * self._tick


class TimeSlices(Strategy):
    """Buys or sells `quantity` in `slices` equal market orders, one every `every_s` seconds (a time-weighted average
    price, TWAP)."""

    def __init__(
        self,
        symbol: str = "",
        side: str = "buy",
        quantity: Decimal = Decimal(1),
        slices: int = 10,
        every_s: int = 30,
    ) -> None:
        if side not in ("buy", "sell"):
            raise ValueError(f"side is {side!r}; write buy or sell")
        self._symbol, self._side = symbol, Side[side.upper()]
        self._left = _number("quantity", quantity)
        self._slices = int(_number("slices", slices))
        self._every_ns = int(_number("every_s", every_s) * SECOND_NS)
        self._lot = Decimal(1)

    def on_start(self, trader: Trader) -> None:
        instrument = _instrument(trader, self._symbol)
        self._symbol, self._lot = instrument.symbol, instrument.quantity_increment
        trader.wake(trader.now_ns + self._every_ns)

    def on_time(self, trader: Trader) -> None:
        if not self._slices:
            return
        share = (self._left / self._slices / self._lot).to_integral_value(ROUND_DOWN) * self._lot
        self._slices -= 1
        self._left -= share
        if share > ZERO:
            trader.place(OrderSpec(self._symbol, self._side, OrderType.MARKET, share))
        if self._slices:
            trader.wake(trader.now_ns + self._every_ns)
