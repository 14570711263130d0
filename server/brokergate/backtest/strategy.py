"""What a strategy is to a run: four calls, each with a `Trader`. See docs/replay.md for an example."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random
from typing import Protocol

from brokergate.domain.accounts import BrokerAccountInfo
from brokergate.domain.events import OrderChanged
from brokergate.domain.instruments import Instrument
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.orders import Order, OrderSpec
from brokergate.ports.broker import FillReport


@dataclass(frozen=True, slots=True)
class View:
    """That the market of `symbol` moved, at `time_ns` of the market's clock."""

    symbol: str
    time_ns: int


class Trader(Protocol):
    """A strategy's hands and eyes. Commands return at once; what becomes of them comes by `on_order` and `on_fill`,
    after the call that gave them has returned, and later where the account has latency."""

    @property
    def now_ns(self) -> int:
        """The market's time, in nanoseconds since the epoch."""
        ...

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """What can be traded, by symbol."""
        ...

    @property
    def random(self) -> Random:
        """Dice, seeded by `--seed`: chance that is the same in every run."""
        ...

    def place(self, spec: OrderSpec, client_order_id: str = "") -> str:
        """Sends an order and gives its id; without one it is named `S1`, `S2` …. `ValueError` for an id that was used
        before."""
        ...

    def cancel(self, client_order_id: str) -> None:
        """Asks to end an order. It may fill before the venue hears of it."""
        ...

    def replace(
        self,
        client_order_id: str,
        *,
        quantity: Decimal | None = None,
        limit_price: Decimal | None = None,
        stop_price: Decimal | None = None,
    ) -> None:
        """Asks to change an order; what is left out stays. `quantity` is the new total, filled ones included."""
        ...

    def wake(self, time_ns: int) -> None:
        """Asks for `on_time` at a moment to come, whether the market moves or not."""
        ...

    def quote(self, symbol: str) -> QuoteView | None:
        """The best bid and ask that can still be taken; None where there is no trusted market."""
        ...

    def book(self, symbol: str, depth: int = 10) -> BookView | None:
        """The book, `depth` levels a side; None where there is no trusted market."""
        ...

    def position(self, symbol: str) -> Decimal:
        """What was bought less what was sold, of the fills that were heard of; below zero for a short position."""
        ...

    def order(self, client_order_id: str) -> Order | None:
        """An order as last heard of; None before that."""
        ...

    def open_orders(self, symbol: str = "") -> list[Order]:
        """The orders that are under way or work, oldest first, of one instrument or of all."""
        ...

    def account(self) -> BrokerAccountInfo:
        """The account as a whole, at the present marks."""
        ...


class Strategy(Protocol):
    """Inherit from it and write the calls that matter: the others do nothing. Made anew for each run, with the
    `--set` values as keyword arguments."""

    def on_start(self, trader: Trader) -> None:
        """Before the first update."""
        return

    def on_update(self, trader: Trader, view: View) -> None:
        """The market of an instrument moved: its book, its quote, or a trade of others."""
        return

    def on_time(self, trader: Trader) -> None:
        """A moment has come that `Trader.wake` asked for."""
        return

    def on_order(self, trader: Trader, change: OrderChanged) -> None:
        """An order changed other than by a fill: it was acknowledged, rejected, set off, replaced, cancelled, or
        expired; or a cancel or replace was refused."""
        return

    def on_fill(self, trader: Trader, fill: FillReport) -> None:
        """An execution. `Trader.position` counts it already."""
        return
