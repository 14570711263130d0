"""The `Trader` that a run hands to its strategy: it knows what was heard of, and no more."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from brokergate.backtest.commands import Cancel, Place, Replace
from brokergate.domain.accounts import BrokerAccountInfo
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.money import ZERO, add
from brokergate.domain.orders import Order, OrderSpec, Side
from brokergate.ports.broker import FillReport

if TYPE_CHECKING:
    from brokergate.backtest.runner import Run


class RunTrader:
    """See `strategy.Trader`."""

    def __init__(self, run: Run, random: Random) -> None:
        self._run = run
        self._random = random
        self._known: dict[str, Order] = {}
        self._open: dict[str, Order] = {}
        self._positions: dict[str, Decimal] = {}
        self._names = 0

    @property
    def now_ns(self) -> int:
        return self._run.now_ns

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        return self._run.venue.instruments

    @property
    def random(self) -> Random:
        return self._random

    def place(self, spec: OrderSpec, client_order_id: str = "") -> str:
        name = client_order_id
        while not name or (not client_order_id and name in self._run.blotter.records):
            self._names += 1
            name = f"S{self._names}"
        if name in self._run.blotter.records:
            raise ValueError(f"an order was placed as {name!r} already; give each its own client_order_id")
        self._run.send(Place(name, spec))
        self._open[name] = self._known[name] = self._run.blotter.records[name].order
        return name

    def cancel(self, client_order_id: str) -> None:
        self._run.send(Cancel(client_order_id))

    def replace(
        self,
        client_order_id: str,
        *,
        quantity: Decimal | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> None:
        self._run.send(Replace(client_order_id, quantity, limit_price, stop_price))

    def wake(self, time_ns: int) -> None:
        self._run.wake(time_ns)

    def quote(self, symbol: str) -> QuoteView | None:
        return self._run.venue.quote(symbol)

    def book(self, symbol: str, depth: int = 10) -> BookView | None:
        return self._run.venue.book(symbol, depth)

    def position(self, symbol: str) -> Decimal:
        return self._positions.get(symbol, ZERO)

    def order(self, client_order_id: str) -> Order | None:
        return self._known.get(client_order_id)

    def open_orders(self, symbol: str = "") -> list[Order]:
        return [order for order in self._open.values() if symbol in ("", order.spec.symbol)]

    def account(self) -> BrokerAccountInfo:
        return self._run.venue.info()

    # What the run tells

    def heard(self, order: Order) -> None:
        """An order stands so now."""
        self._known[order.client_order_id] = order
        if order.ended:
            self._open.pop(order.client_order_id, None)
        else:
            self._open[order.client_order_id] = order

    def filled(self, report: FillReport, order: Order) -> None:
        """An execution, and the order after it."""
        self.heard(order)
        moved = report.quantity if report.side is Side.BUY else -report.quantity
        self._positions[report.symbol] = add(self.position(report.symbol), moved)
