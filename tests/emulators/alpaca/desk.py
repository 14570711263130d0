"""What an account may ask of Alpaca, and what it is told: orders taken, changed, cancelled; positions closed.

What a request has to look like is in `asked`, what becomes of an order in `floor`. Here is what depends on the account:
its flags, its funds and shares, its other orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

from tests.emulators.alpaca.asked import LEAST_COST, Asked, below_least, read_change, read_order
from tests.emulators.alpaca.assets import LOT, Asset, Assets
from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.floor import Floor
from tests.emulators.alpaca.held import WORKING, Held
from tests.emulators.alpaca.holdings import Holdings
from tests.emulators.alpaca.hours import Hours, Phase
from tests.emulators.alpaca.numbers import number, text
from tests.emulators.alpaca.refusal import (
    Refused,
    forbidden,
    invalid,
    not_found,
    short_of_balance,
    short_of_power,
    short_of_shares,
    unprocessable,
    wash_trade,
)

ZERO = Decimal(0)
HUNDRED = Decimal(100)


@dataclass(slots=True)
class Flags:
    """What an account may do; `/v2/account` shows them. A test can set each."""

    status: str = "ACTIVE"
    trading_blocked: bool = False
    transfers_blocked: bool = False
    account_blocked: bool = False
    trade_suspended_by_user: bool = False
    shorting_enabled: bool = True
    fractional_trading: bool = True

    def change(self, values: Mapping[str, Any]) -> None:
        """Sets some. `ValueError` for one that there is not."""
        for name, value in values.items():
            if name not in {each.name for each in fields(self)}:
                raise ValueError(f"the account has no flag {name!r}")
            setattr(self, name, value)


class Desk:
    """See the module. `tell` gets the data of each event of `trade_updates`; times are the venue's."""

    def __init__(
        self,
        core: AlpacaCore,
        assets: Assets,
        hours: Hours,
        random: Random,
        tell: Callable[[dict[str, Any]], None],
    ) -> None:
        self.core = core
        self.assets = assets
        self.flags = Flags()
        self._random = random
        self.account_id = self._new_id()
        self.created_ns = core.now_ns
        self.holdings = Holdings(assets, lambda: core.totals["USD"], self.price)
        self.floor = Floor(core, hours, self.holdings, self._new_id, tell)

    def price(self, asset: Asset) -> Decimal | None:
        """What an asset is valued at: the last trade, else the middle of the quote."""
        last = self.core.last(asset.symbol)
        if last is not None:
            return last
        quote = self.core.quote(asset.symbol)
        sides = [] if quote is None else [quote.bid_price, quote.ask_price]
        known = [side for side in sides if side is not None]
        return sum(known, ZERO) / len(known) if known else None

    # Orders

    def place(self, body: Any, now_ns: int) -> dict[str, Any]:
        """A `POST /v2/orders`: the order as it is answered, before anything has become of it."""
        self._check_flags()
        asked = read_order(body, self.assets)
        self._check_client_id(asked.client_order_id)
        self.core.advance(now_ns)
        held = Held.of(asked, self._new_id(), asked.client_order_id or self._new_id(), self.core.now_ns)
        self._give_legs(held, asked)
        self._check_hours(held)
        self._check_account(held)
        self._check_funds(held)
        self.floor.keep(held)
        held.status = "pending_new" if self.floor.eligible(held, self.core.now_ns) else "accepted"
        for leg in held.legs:
            leg.status = "held"
        answer = held.shape()
        self.floor.route(held, self.core.now_ns)
        return answer

    def replace(self, order_id: str, body: Any, now_ns: int) -> dict[str, Any]:
        """A `PATCH /v2/orders/{id}`: the new order as it is answered."""
        self.core.advance(now_ns)
        held = self.order(order_id)
        leg_waits = held.status == "held" and held.parent is not None
        if held.part is None or not (held.status in WORKING or leg_waits):
            if held.open:
                raise unprocessable(f"cannot replace order in {held.status} status")
            raise unprocessable(f'order is already in "{held.status}" state')
        if held.notional is not None:
            raise unprocessable("notional orders cannot be replaced")
        change = read_change(body, held.type, held.asset)
        self._check_client_id(change.client_order_id)
        if change.qty is not None and change.qty <= held.filled_qty:
            raise unprocessable("qty must be greater than filled qty")
        if change.qty is not None and held.parent is not None:
            raise unprocessable("qty of a leg cannot be replaced")
        by_price = held.trail_price is not None
        new = replace(
            held,
            id=self._new_id(),
            client_order_id=change.client_order_id or self._new_id(),
            qty=held.qty if change.qty is None else change.qty,
            time_in_force=change.time_in_force or held.time_in_force,
            limit_price=held.limit_price if change.limit_price is None else change.limit_price,
            stop_price=held.stop_price if change.stop_price is None else change.stop_price,
            status="held" if leg_waits else "pending_new",
            created_ns=self.core.now_ns,
            updated_ns=self.core.now_ns,
            replaces=held.id,
            part=None,
            trail_price=change.trail if change.trail and by_price else held.trail_price,
            trail_percent=change.trail if change.trail and not by_price else held.trail_percent,
            legs=list(held.legs),
        )
        if held.parent is None:
            self._check_wash(new, held.family)
            self._check_funds(new, instead_of=held)
        answer = new.shape()
        self.floor.replace(held, new)
        return answer

    def cancel(self, order_id: str, now_ns: int) -> None:
        """A `DELETE /v2/orders/{id}`."""
        self.core.advance(now_ns)
        held = self.order(order_id)
        if not held.open or held.status == "pending_cancel":
            raise unprocessable(f'order is already in "{held.status}" state')
        self.floor.cancel(held, self.core.now_ns)

    def cancel_all(self, now_ns: int) -> list[dict[str, Any]]:
        """A `DELETE /v2/orders`: a status an order."""
        self.core.advance(now_ns)
        told = []
        for held in self.floor.open:
            if held.open and held.status != "pending_cancel":
                self.floor.cancel(held, self.core.now_ns)
            told.append({"id": held.id, "status": 200, "body": self.floor.shape(held)})
        return told

    def order(self, order_id: str) -> Held:
        """By its id. Raises `Refused`."""
        try:
            found = self.floor.by_id.get(str(UUID(order_id)))
        except ValueError:
            raise invalid(f"invalid order_id: {order_id}") from None
        if found is None:
            raise not_found(f"order not found for {order_id}")
        return found

    # Positions

    def position(self, name: str) -> Asset:
        """The asset of an open position, by its symbol or id. Raises `Refused`."""
        asset = self.assets.find(name)
        if asset is None:
            raise unprocessable(f"symbol not found: {name}")
        if not self.holdings.of(asset).qty:
            raise not_found("position does not exist")
        return asset

    def position_shape(self, asset: Asset) -> dict[str, Any]:
        """As `/v2/positions/{symbol}` shows it."""
        position = self.holdings.of(asset)
        reserved, _ = self.holdings.reserved(asset, self.floor.open)
        sign = 1 if position.qty > 0 else -1
        available = position.qty - sign * min(abs(position.qty), reserved)
        return position.shape(self.price(asset), available)

    def close(self, name: str, query: Mapping[str, str], now_ns: int) -> dict[str, Any]:
        """A `DELETE /v2/positions/{symbol}`: the order that closes it, or part of it."""
        self.core.advance(now_ns)
        asset = self.position(name)
        qty, percentage = (number(query[key]) if key in query else None for key in ("qty", "percentage"))
        if qty is not None and percentage is not None:
            raise unprocessable("only one of qty or percentage is accepted")
        position = self.holdings.of(asset).qty
        size = abs(position)
        if percentage is not None:
            if not 0 < percentage <= HUNDRED:
                raise unprocessable("percentage must be between 0 and 100")
            size = size * percentage / HUNDRED // LOT * LOT
        elif qty is not None:
            size = qty
        body = {
            "symbol": asset.symbol,
            "qty": text(size),
            "side": "sell" if position > 0 else "buy",
            "type": "market",
            "time_in_force": "gtc" if asset.crypto else "day",
        }
        return self.place(body, now_ns)

    def close_all(self, *, cancel_orders: bool, now_ns: int) -> list[dict[str, Any]]:
        """A `DELETE /v2/positions`: a status a position."""
        if cancel_orders:
            self.cancel_all(now_ns)
        told = []
        for position in list(self.holdings):
            symbol = position.asset.position_symbol
            try:
                body = self.close(symbol, {}, now_ns)
                told.append({"symbol": symbol, "status": 200, "body": body})
            except Refused as refused:
                told.append({"symbol": symbol, "status": refused.status, "body": refused.body()})
        return told

    # Checks

    def _check_flags(self) -> None:
        flags = self.flags
        if flags.account_blocked:
            raise forbidden("account is blocked")
        if flags.trading_blocked or flags.status != "ACTIVE":
            raise forbidden("account is not allowed to trade")
        if flags.trade_suspended_by_user:
            raise forbidden("new orders are rejected by user request")

    def _check_client_id(self, client_order_id: str) -> None:
        if client_order_id in self.floor.by_client:
            raise invalid("client_order_id must be unique")

    def _give_legs(self, held: Held, asked: Asked) -> None:
        legs: list[tuple[str, Decimal | None, Decimal | None]] = []
        if asked.order_class in ("bracket", "oto") and asked.profit_limit is not None:
            legs.append(("limit", asked.profit_limit, None))
        if asked.loss_stop is not None:
            legs.append(
                ("stop_limit" if asked.loss_limit is not None else "stop", asked.loss_limit, asked.loss_stop)
            )
        for type_, limit, stop in legs:
            leg = replace(
                held,
                id=self._new_id(),
                client_order_id=self._new_id(),
                side=held.side if held.order_class == "oco" else -held.side,
                type=type_,
                limit_price=limit,
                stop_price=stop,
                trail_price=None,
                trail_percent=None,
                legs=[],
                parent=held,
            )
            held.legs.append(leg)

    def _check_hours(self, held: Held) -> None:
        if held.asset.crypto:
            return
        hours, now_ns = self.floor.hours, self.core.now_ns
        kind = held.time_in_force
        if kind in ("opg", "cls") and not hours.takes_auction(kind, now_ns):
            raise unprocessable(f"{kind} orders are not accepted at this time")
        if kind in ("ioc", "fok") and hours.phase(now_ns) is not Phase.REGULAR:
            raise unprocessable(f"{kind} orders are only accepted during market hours")

    def _check_account(self, held: Held) -> None:
        """Groups, fractions, wash trades."""
        position = self.holdings.of(held.asset).qty
        if held.order_class == "oco" and held.side * position >= 0:
            raise unprocessable("oco orders must be exit orders")
        if held.order_class in ("bracket", "oto") and held.side * position < 0:
            raise unprocessable(f"{held.order_class} orders must be entry orders")
        fractional = held.notional is not None or held.leaves % 1
        if fractional and not held.asset.crypto and not self.flags.fractional_trading:
            raise forbidden("fractional trading is not enabled for this account")
        self._check_wash(held, [])

    def _check_wash(self, held: Held, family: list[Held]) -> None:
        for other in self.floor.open:
            opposite = other.asset.symbol == held.asset.symbol and other.side != held.side
            if opposite and other.status != "held" and other not in family and _could_meet(held, other):
                raise wash_trade(other.id, other.type)

    def _check_funds(self, held: Held, instead_of: Held | None = None) -> None:
        """Shares for what closes, borrowing and buying power for what opens."""
        family = [] if instead_of is None else instead_of.family
        others = [order for order in self.floor.open if order not in family]
        position = self.holdings.of(held.asset).qty
        if held.side * position < 0:
            self._check_shares(held, others)
            return
        if not held.buys:
            self._check_short(held)
        self._check_power(held, others)

    def _check_shares(self, held: Held, others: list[Held]) -> None:
        position = abs(self.holdings.of(held.asset).qty)
        reserved, related = self.holdings.reserved(held.asset, others)
        asked = held.leaves
        if held.notional is not None:
            price = self.price(held.asset)
            asked = (held.notional / price) // LOT * LOT if price else ZERO
        if asked <= position - reserved:
            return
        if held.asset.crypto:
            raise short_of_balance(held.asset.base, asked, max(ZERO, position - reserved))
        raise short_of_shares(held.asset.symbol, asked, position, reserved, related)

    def _check_short(self, held: Held) -> None:
        asset = held.asset
        if asset.crypto:
            raise short_of_balance(asset.base, held.leaves, ZERO)
        if not self.flags.shorting_enabled or self.holdings.multiplier == 1:
            raise forbidden("account is not allowed to short")
        if not asset.shortable:
            raise unprocessable(f'asset "{asset.symbol}" cannot be sold short')
        if held.notional is not None or held.leaves % 1:
            raise unprocessable("fractional orders cannot be sold short")

    def _check_power(self, held: Held, others: list[Held]) -> None:
        cost = self.holdings.cost(held)
        figures = self.holdings.figures(others)
        if held.asset.crypto:
            if not held.filled_qty and cost < LEAST_COST[True]:
                raise below_least(cost, held.asset)
            if held.qty is not None and held.qty < held.asset.min_order_size:
                least = text(held.asset.min_order_size)
                raise forbidden(f"minimal qty of order {least}, got {text(held.qty)}")
            if cost > figures.non_marginable:
                raise short_of_balance("USD", cost, figures.non_marginable)
        elif cost > figures.buying_power:
            raise short_of_power(figures.buying_power, cost)

    # Inside

    def _new_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def _could_meet(order: Held, other: Held) -> bool:
    """Whether two orders on opposite sides could trade with each other: at least one has no limit, or they cross."""
    if order.limit_price is None or other.limit_price is None:
        return True
    return order.side * (order.limit_price - other.limit_price) >= 0
