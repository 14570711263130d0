"""What the account holds: positions at their average entry, and what an order costs of its buying power.

By docs.alpaca.markets, "Margin and Short Selling" and "Crypto Spot Trading": a margin account of multiplier 2 ties up
half of what stocks are worth, crypto in full; a cash account (multiplier 1) everything in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.emulators.alpaca.assets import Asset, Assets
from tests.emulators.alpaca.held import Held
from tests.emulators.alpaca.numbers import maybe, text

ZERO = Decimal(0)
HALF = Decimal("0.5")
MAINTENANCE = Decimal("0.3")
SHORT_MARKUP = Decimal("1.03")
"""A market order that opens a short position is valued 3 % above the ask."""
_MONEY = Decimal("0.000001")
Price = Callable[[Asset], Decimal | None]


@dataclass(slots=True)
class Position:
    """One position, short below zero."""

    asset: Asset
    qty: Decimal = ZERO
    average: Decimal = ZERO
    """The average price that what is held was entered at."""

    def fill(self, side: int, qty: Decimal, price: Decimal, fee_qty: Decimal) -> None:
        """An execution; a fee that is taken from what was bought leaves the average alone."""
        signed = side * qty
        if self.qty * signed >= 0:
            self.average = (abs(self.qty) * self.average + qty * price) / (abs(self.qty) + qty)
        elif abs(signed) > abs(self.qty):
            self.average = price
        self.qty += signed - fee_qty
        if not self.qty:
            self.average = ZERO

    @property
    def cost(self) -> Decimal:
        """What it was entered for, signed as it is."""
        return self.qty * self.average

    def shape(self, price: Decimal | None, available: Decimal) -> dict[str, Any]:
        """As `/v2/positions` shows it; without a price what depends on one is null."""
        value = None if price is None else self.qty * price
        profit = None if value is None else value - self.cost
        share = None if profit is None or not self.cost else profit / abs(self.cost)
        return {
            "asset_id": self.asset.id,
            "symbol": self.asset.position_symbol,
            "exchange": self.asset.exchange,
            "asset_class": self.asset.asset_class,
            "asset_marginable": not self.asset.crypto,
            "qty": text(self.qty),
            "avg_entry_price": text(self.average.quantize(Decimal("1e-9"))),
            "side": "long" if self.qty > 0 else "short",
            "market_value": _money(value),
            "cost_basis": _money(self.cost),
            "unrealized_pl": _money(profit),
            "unrealized_plpc": _money(share),
            "unrealized_intraday_pl": _money(profit),
            "unrealized_intraday_plpc": _money(share),
            "current_price": maybe(price),
            "lastday_price": maybe(price),
            "change_today": "0",
            "qty_available": text(available),
        }


class Holdings:
    """All positions, and the account's figures from them. `cash` and `price` are asked when they are needed."""

    def __init__(
        self, assets: Assets, cash: Callable[[], Decimal], price: Price, multiplier: int = 2
    ) -> None:
        self.assets = assets
        self.positions: dict[str, Position] = {}
        self.multiplier = multiplier
        self._cash = cash
        self._price = price

    def __iter__(self) -> Iterator[Position]:
        return iter([self.positions[symbol] for symbol in sorted(self.positions)])

    def of(self, asset: Asset) -> Position:
        """The position in an asset; an empty one where there is none."""
        return self.positions.get(asset.symbol) or Position(asset)

    def fill(self, asset: Asset, side: int, qty: Decimal, price: Decimal, fee_qty: Decimal) -> None:
        """Books an execution."""
        position = self.positions.setdefault(asset.symbol, Position(asset))
        position.fill(side, qty, price, fee_qty)
        if not position.qty:
            del self.positions[asset.symbol]

    def reserved(self, asset: Asset, orders: Iterable[Held]) -> tuple[Decimal, list[str]]:
        """What of a position open orders stand ready to close, and their ids. The orders of a group close it once."""
        position, ids = self.of(asset).qty, []
        groups: dict[str, Decimal] = {}
        for order in orders:
            if order.asset.symbol == asset.symbol and order.side * position < 0 and order.status != "held":
                group = (order.parent or order).id
                groups[group] = max(groups.get(group, ZERO), order.leaves)
                ids.append(order.id)
        return sum(groups.values(), ZERO), ids

    # What orders cost

    def rate(self, asset: Asset) -> Decimal:
        """The share of its worth that an asset ties up."""
        return Decimal(1) if asset.crypto or self.multiplier == 1 else HALF

    def cost(self, order: Held) -> Decimal:
        """What is left of an order is worth at the price that it may fill at."""
        if order.notional is not None:
            return max(ZERO, order.notional - order.filled_notional)
        price = order.limit_price or order.stop_price or self._price(order.asset) or ZERO
        if not order.buys and order.limit_price is None:
            price *= SHORT_MARKUP
        return order.leaves * price

    def tied_by(self, order: Held) -> Decimal:
        """What an open order sets aside: nothing where it closes, or waits for another of its group."""
        if order.status == "held" or order.side * self.of(order.asset).qty < 0:
            return ZERO
        if order.asset.crypto and not order.buys:
            return ZERO
        return self.cost(order) * self.rate(order.asset)

    def figures(self, orders: Iterable[Held]) -> Figures:
        """The account at the present prices, with `orders` open."""
        long = short = initial = maintenance = ZERO
        for position in self.positions.values():
            price = self._price(position.asset) or position.average
            value = position.qty * price
            long, short = long + max(ZERO, value), short + min(ZERO, value)
            initial += abs(value) * self.rate(position.asset)
            maintenance += abs(value) * (Decimal(1) if position.asset.crypto else MAINTENANCE)
        cash = self._cash()
        tied = sum((self.tied_by(order) for order in orders), ZERO)
        free = cash + long + short - initial - tied
        settled = min(free, cash + min(ZERO, short) - tied)
        return Figures(
            cash=cash,
            long_value=long,
            short_value=short,
            equity=cash + long + short,
            initial_margin=initial + tied,
            maintenance_margin=maintenance,
            buying_power=max(ZERO, free * self.multiplier),
            non_marginable=max(ZERO, free if self.multiplier > 1 else settled),
        )


@dataclass(frozen=True, slots=True)
class Figures:
    """The account's money, in USD."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    equity: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    buying_power: Decimal
    non_marginable: Decimal
    """What crypto can be bought for."""


def _money(value: Decimal | None) -> str | None:
    return None if value is None else text(value.quantize(_MONEY))
