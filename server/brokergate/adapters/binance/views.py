"""The account as a whole, and what an order would do: worked out from what Binance tells."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import Refusal
from brokergate.adapters.binance.desk import Desk
from brokergate.adapters.binance.listing import Listed
from brokergate.domain.accounts import BrokerAccountInfo, BrokerBalance
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ONE, ZERO, add, multiply, quotient, round_places, subtract
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import Preview, Rejected

DEPTH = 100
"""Levels of a book that a preview looks at."""
FEE_PLACES = 8

Level = tuple[Decimal, Decimal]


class Views:
    """The views of one account. `currency` is the asset in which it is valued."""

    def __init__(self, desk: Desk, currency: str) -> None:
        self._desk = desk
        self._currency = currency

    async def balances(self) -> list[BrokerBalance]:
        """All balances, those of assets that are gone too. Raises a `BrokerError`."""
        desk = self._desk
        desk.see(parse.account(await desk.client.ask(wire.account()), desk.clock.now_ns()))
        return [desk.balances[asset] for asset in sorted(desk.balances)]

    async def account(self) -> BrokerAccountInfo:
        """The account, its assets valued at the middle of the best prices. Raises a `BrokerError`."""
        balances = await self.balances()
        prices = parse.book_tickers(await self._desk.client.ask(wire.book_tickers()))
        equity, unvalued = ZERO, []
        for balance in balances:
            price = self._price(balance.currency, prices)
            if price is None and balance.total:
                unvalued.append(balance.currency)
            elif price is not None:
                equity = add(equity, round_places(multiply(balance.total, price), 18))
        cash = self._desk.balances.get(self._currency)
        return BrokerAccountInfo(
            base_currency=self._currency,
            cash=ZERO if cash is None else cash.total,
            as_of_ns=self._desk.clock.now_ns(),
            equity=None if unvalued else equity,
            initial_margin=ZERO,
            maintenance_margin=ZERO,
            buying_power=self._desk.free(self._currency) or ZERO,
            unrealized_pnl=None,
            realized_pnl=None,
            unvalued_currencies=tuple(unvalued),
        )

    def _price(self, asset: str, prices: parse.Prices) -> Decimal | None:
        """What one of an asset is worth; None where no symbol says it."""
        if asset == self._currency:
            return ONE
        direct = self._middle(f"{asset}/{self._currency}", prices)
        if direct is not None:
            return direct
        other = self._middle(f"{self._currency}/{asset}", prices)
        return None if other is None else quotient(ONE, other)

    def _middle(self, symbol: str, prices: parse.Prices) -> Decimal | None:
        listed = self._desk.listed(symbol)
        return None if listed is None else parse.middle(prices, listed.instrument.broker_symbol)

    # Previews

    async def preview(self, spec: OrderSpec, listed: Listed, quantity: Decimal) -> Preview:
        """What an order would do against the book as it stands; Binance's own test says whether it takes it. Raises a
        `BrokerError`."""
        instrument = listed.instrument
        name = instrument.broker_symbol
        refused = await self._test(spec, name, quantity)
        _, bids, asks = parse.depth(await self._desk.client.ask(wire.depth(name, DEPTH)))
        account = parse.account(await self._desk.client.ask(wire.account()), self._desk.clock.now_ns())
        self._desk.see(account)
        buys = spec.side is Side.BUY
        filled, notional = _walk(spec, quantity, asks if buys else bids)
        if refused is None and spec.time_in_force is TimeInForce.FOK and filled < quantity:
            refused = ErrorReason.NOT_FILLABLE, "the book has less than the order is for"
        required, currency = self._required(spec, quantity, filled, notional, instrument)
        if refused is None and (free := self._desk.free(currency)) is not None and required > free:
            refused = ErrorReason.INSUFFICIENT_FUNDS, f"the order needs more {currency} than is free"
        fee_base = filled if buys else notional
        fee = round_places(multiply(fee_base, account.taker_rate), FEE_PLACES)
        fee_currency = instrument.base_currency if buys else instrument.quote_currency
        return Preview(
            estimated_price=quotient(notional, filled) if filled else None,
            estimated_fill_quantity=filled,
            estimated_notional=Money(notional, instrument.quote_currency),
            estimated_fees=(Money(fee, fee_currency),) if fee else (),
            required_funds=Money(required, currency),
            rejection=refused,
        )

    async def _test(self, spec: OrderSpec, name: str, quantity: Decimal) -> tuple[ErrorReason, str] | None:
        try:
            params = wire.order_params(name, spec, quantity, "preview")
            await self._desk.client.command(wire.test(params))
        except (ValueError, KeyError) as error:
            return ErrorReason.UNSUPPORTED, str(error)
        except Refusal as refusal:
            if not refusal.meaning.sure or refusal.meaning.reason is ErrorReason.RATE_LIMITED:
                raise refusal.error() from None
            return refusal.meaning.reason, refusal.message
        return None

    @staticmethod
    def _required(
        spec: OrderSpec, quantity: Decimal, filled: Decimal, notional: Decimal, instrument: Instrument
    ) -> tuple[Decimal, str]:
        """What an order sets aside, and of which asset."""
        if spec.side is Side.SELL:
            return quantity, instrument.base_currency
        if spec.quote_quantity is not None:
            return spec.quote_quantity, instrument.quote_currency
        price = spec.limit_price if spec.limit_price is not None else spec.stop_price
        if price is None:
            return notional, instrument.quote_currency
        rest = multiply(subtract(quantity, filled), price)
        return add(notional, rest), instrument.quote_currency


def _walk(spec: OrderSpec, quantity: Decimal, levels: Sequence[Level]) -> tuple[Decimal, Decimal]:
    """What an order would take at once: how much, and for how much in all."""
    filled, notional = ZERO, ZERO
    if spec.type not in (OrderType.MARKET, OrderType.LIMIT) or spec.post_only:
        return filled, notional
    for price, size in levels:
        if spec.limit_price is not None and (
            price > spec.limit_price if spec.side is Side.BUY else price < spec.limit_price
        ):
            break
        part = min(size, subtract(quantity, filled))
        filled, notional = add(filled, part), add(notional, multiply(part, price))
        if filled == quantity:
            break
    return filled, notional


def refused_preview(outcome: Rejected, currency: str) -> Preview:
    """A preview of an order that is refused before anything of it is worked out."""
    nothing = Money(ZERO, currency)
    return Preview(None, ZERO, nothing, (), nothing, (outcome.reason, outcome.message))
