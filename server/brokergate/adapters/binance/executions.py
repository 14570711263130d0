"""The account's executions, complete and each once, and the positions that they make.

Binance has no list of an account's executions: `myTrades` answers for one symbol, from an id on. Which symbols are to
be asked? An execution moves two assets, so that it lies in a symbol of two assets whose balances are not what they
were; and those in which the gateway's orders or the stream show something are asked in any case. Executions that
leave every balance as it was, of others, in a symbol that was never seen, change nothing that anybody holds.

A spot account holds assets and no positions. A position here is what was bought less what was sold in a symbol, and
less the fees that were taken of it, since the gateway saw the account first.

Source: rest-api.md ("Account trade list", "Account information") of binance/binance-spot-api-docs. `myTrades` comes
from a database behind the matching engine: what was seen to move is asked again for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

import orjson

from brokergate.adapters.binance import parse, wire
from brokergate.adapters.binance.client import BinanceClient
from brokergate.adapters.binance.listing import Listing
from brokergate.adapters.binance.parse import NS_PER_MS, AccountView, Execution, Malformed
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.money import (
    ZERO,
    add,
    format_decimal,
    multiply,
    parse_decimal,
    quotient,
    subtract,
)
from brokergate.domain.money import total as sum_of
from brokergate.domain.orders import Side
from brokergate.ports.clock import Clock

PAGE = 1000
"""Executions of one answer, at most."""
DAY_MS = 86_400_000
"""The longest span that `myTrades` answers for."""
PATIENCE_NS = 120 * 1_000_000_000
"""How long a question may wait for the limits: a minute's weight is enough for fewer than 300 symbols, and an account
that has traded more of them is to be connected too."""
WARM_NS = 60 * 1_000_000_000
"""How long a symbol is asked for after something moved in it."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the executions up to `last_id` make in one symbol. `cost` is signed as `quantity`."""

    last_id: int
    quantity: Decimal = ZERO
    cost: Decimal = ZERO

    def after(self, execution: Execution, base: str) -> Held:
        """With one execution more. A fee in the asset that was bought, `base`, makes what is held less, and what that
        cost no less."""
        signed = execution.quantity if execution.side is Side.BUY else execution.quantity.copy_negate()
        quantity = add(self.quantity, signed)
        cost = self.cost
        if not self.quantity or self.quantity.is_signed() == signed.is_signed():
            cost = add(cost, multiply(signed, execution.price))
        elif abs(signed) < abs(self.quantity):
            cost = quotient(multiply(cost, quantity), self.quantity)
        else:
            cost = multiply(quantity, execution.price)
        paid = sum_of([fee.amount for fee in execution.fees if fee.currency == base])
        return Held(execution.trade_id, subtract(quantity, paid), cost)


@dataclass(frozen=True, slots=True)
class Ledger:
    """Up to where executions are known. As text it is the watermark."""

    since_ms: int
    """Of a symbol that is not in `held` they are known up to this time of the venue."""
    assets: Mapping[str, Decimal] = field(default_factory=dict)
    """The balances that the executions up to here, and what is known to be none, explain."""
    held: Mapping[str, Held] = field(default_factory=dict)
    """By Binance's symbol."""

    def text(self) -> str:
        """To be kept."""
        held = {
            name: [one.last_id, format_decimal(one.quantity), format_decimal(one.cost)]
            for name, one in self.held.items()
        }
        assets = {asset: format_decimal(total) for asset, total in self.assets.items()}
        kept = {"since": self.since_ms, "assets": assets, "held": held}
        return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS).decode()

    @classmethod
    def of(cls, text: str) -> Ledger:
        """What `text` gave. `Malformed` for what it never gave."""
        try:
            kept = orjson.loads(text)
            held = {
                name: Held(int(last_id), parse_decimal(quantity), parse_decimal(cost))
                for name, (last_id, quantity, cost) in kept["held"].items()
            }
            assets = {asset: parse_decimal(text) for asset, text in kept["assets"].items()}
            return cls(int(kept["since"]), assets, held)
        except parse.WRONG as error:
            raise Malformed(f"the journal's watermark of this account is none ({error!r})") from None


class Executions:
    """Asks for executions. `listing` gives what is listed now; `told` is called with every account that was asked."""

    def __init__(
        self,
        client: BinanceClient,
        listing: Callable[[], Listing],
        clock: Clock,
        told: Callable[[AccountView], None],
    ) -> None:
        self._client = client
        self._listing = listing
        self._clock = clock
        self._told = told
        self._warm: dict[str, int] = {}
        self._unexplained: dict[str, tuple[Decimal, int]] = {}
        self._latest: Ledger | None = None
        self._all_next = False

    def begin(self, account: AccountView) -> None:
        """A connection was made. What was executed before the first one is nobody's to tell."""
        self._all_next = True
        if self._latest is None:
            self._latest = Ledger(self._client.timestamp_ms(), _totals(account.balances))
            self._first = self._latest

    def touch(self, symbols: Iterable[str]) -> None:
        """Something happens in these symbols of Binance: they are asked for executions for a while."""
        until_ns = self._clock.monotonic_ns() + WARM_NS
        for symbol in symbols:
            self._warm[symbol] = until_ns

    async def after(self, watermark: str) -> tuple[list[Execution], str, bool]:
        """The executions after `watermark`, oldest first, the next one, and whether that is all. Raises a
        `BrokerError`."""
        ledger = Ledger.of(watermark) if watermark else self._first
        found, ledger, complete = await self._advance(ledger)
        self._latest = ledger
        return found, ledger.text(), complete

    async def positions(self) -> list[BrokerPosition]:
        """What the executions up to now make. Raises a `BrokerError`."""
        assert self._latest is not None
        complete = False
        while not complete:
            _, self._latest, complete = await self._advance(self._latest)
        marks: parse.Prices = {}
        if any(held.quantity for held in self._latest.held.values()):
            marks = parse.book_tickers(await self._client.ask(wire.book_tickers()))
        return [self._position(name, held, marks) for name, held in sorted(self._latest.held.items())]

    def _position(self, name: str, held: Held, marks: parse.Prices) -> BrokerPosition:
        listed = self._listing().by_venue.get(name)
        mark = parse.middle(marks, name) if held.quantity else None
        return BrokerPosition(
            symbol=self._listing().symbol(name),
            quantity=held.quantity,
            cost=held.cost,
            quote_currency="" if listed is None else listed.instrument.quote_currency,
            as_of_ns=self._clock.now_ns(),
            mark_price=mark,
            unrealized_pnl=None if mark is None else subtract(multiply(held.quantity, mark), held.cost),
        )

    async def _advance(self, ledger: Ledger) -> tuple[list[Execution], Ledger, bool]:
        shown = await self._client.ask(wire.account(), PATIENCE_NS)
        account = parse.account(shown, self._clock.now_ns())
        self._told(account)
        totals = _totals(account.balances)
        listing = self._listing()
        self.touch(listing.among(frozenset(_differences(totals, ledger.assets))))
        now_ns = self._clock.monotonic_ns()
        self._warm = {symbol: until_ns for symbol, until_ns in self._warm.items() if until_ns > now_ns}
        # Of a symbol that is no longer listed Binance answers nothing.
        asked = {*self._warm, *(ledger.held if self._all_next else ())} & listing.by_venue.keys()
        found: list[Execution] = []
        held = dict(ledger.held)
        complete = True
        for symbol in sorted(asked):
            page, whole = await self._of(symbol, held.get(symbol), ledger.since_ms)
            base = listing.by_venue[symbol].instrument.base_currency
            for execution in page:
                held[symbol] = held.get(symbol, Held(-1)).after(execution, base)
            found += page
            complete = complete and whole
        found.sort(key=lambda one: (one.time_ns, one.symbol, one.trade_id))
        explained = self._moved_by(found, ledger.assets)
        if complete:
            self._all_next = False
            explained = self._settled(explained, totals, now_ns)
        return found, Ledger(ledger.since_ms, explained, held), complete

    def _moved_by(self, executions: Iterable[Execution], assets: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """What the balances are after these executions."""
        moved = dict(assets)

        def move(asset: str, amount: Decimal) -> None:
            moved[asset] = add(moved.get(asset, ZERO), amount)

        for execution in executions:
            instrument = self._listing().by_venue[execution.symbol].instrument
            quantity, paid = execution.quantity, multiply(execution.quantity, execution.price)
            buys = execution.side is Side.BUY
            move(instrument.base_currency, quantity if buys else quantity.copy_negate())
            move(instrument.quote_currency, paid.copy_negate() if buys else paid)
            for fee in execution.fees:
                move(fee.currency, fee.amount.copy_negate())
        return moved

    def _settled(
        self, explained: Mapping[str, Decimal], totals: Mapping[str, Decimal], now_ns: int
    ) -> dict[str, Decimal]:
        """The balances from which the next look begins. What no execution explains may be one that is not shown yet:
        only after a while is it taken for a deposit or the like, so that it is looked for also after a crash."""
        settled = dict(explained)
        differences = _differences(totals, explained)
        since = self._unexplained
        self._unexplained = {}
        for asset, difference in differences.items():
            before, since_ns = since.get(asset, (ZERO, now_ns))
            if difference != before:
                since_ns = now_ns
            if now_ns - since_ns >= WARM_NS:
                settled[asset] = totals.get(asset, ZERO)
            else:
                self._unexplained[asset] = difference, since_ns
        return {asset: total for asset, total in settled.items() if total}

    async def _of(self, symbol: str, held: Held | None, since_ms: int) -> tuple[list[Execution], bool]:
        """Executions in one symbol after what is held, and whether that is all."""
        if held is None:
            recent = await self._trades(wire.my_trades(symbol, limit=PAGE))
            since_ns = since_ms * NS_PER_MS
            new = [one for one in recent if one.time_ns >= since_ns]
            if len(recent) < PAGE or len(new) < len(recent):
                return new, True
            first = await self._first_since(symbol, since_ms, recent[-1].time_ns // NS_PER_MS)
        else:
            first = held.last_id + 1
        page = await self._trades(wire.my_trades(symbol, limit=PAGE, fromId=first))
        return page, len(page) < PAGE

    async def _first_since(self, symbol: str, since_ms: int, until_ms: int) -> int:
        """The id of the first execution at `since_ms` or later; there is one at `until_ms`."""
        for start_ms in range(since_ms, until_ms + 1, DAY_MS):
            bounds = {"startTime": start_ms, "endTime": start_ms + DAY_MS - 1}
            page = await self._trades(wire.my_trades(symbol, limit=PAGE, **bounds))
            if page:
                return page[0].trade_id
        raise Malformed(f"Binance shows executions in {symbol} without times, and none by time")

    async def _trades(self, request: wire.Request) -> list[Execution]:
        trades = parse.executions(await self._client.ask(request, PATIENCE_NS))
        return sorted(trades, key=lambda one: one.trade_id)


def _totals(balances: Sequence[BrokerBalance]) -> dict[str, Decimal]:
    return {one.currency: one.total for one in balances if one.total}


def _differences(now: Mapping[str, Decimal], then: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """How much more there is of each asset, of which there is not as much."""
    differences = {asset: subtract(now.get(asset, ZERO), then.get(asset, ZERO)) for asset in {*now, *then}}
    return {asset: difference for asset, difference in differences.items() if difference}
