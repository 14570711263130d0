"""The market data of one account, as the port has it: what is wanted gets a line while there is one, those that are
listened to before those that were only asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

from brokergate.adapters.connection.hub import MarketDataHub
from brokergate.adapters.ibkr.contracts import Contracts, Listed
from brokergate.adapters.ibkr.lines import MarketLine, MarketLines
from brokergate.adapters.ibkr.ticks import News
from brokergate.adapters.ibkr.values import NS_PER_S
from brokergate.domain.errors import BrokerError, NotSent
from brokergate.domain.market import BookView, MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import OrderSpec, Side
from brokergate.ports.clock import Clock

SWEEP_S = 60.0
"""Between two looks at what nobody asks for any more."""
REFUSED_NS = 60 * NS_PER_S
"""How long a symbol that was refused is not asked for again: another session may have ended meanwhile."""


class Market:
    """See the module. `start` and `close` go with the connection; `close` leaves what is known, as stale."""

    def __init__(
        self, lines: MarketLines, contracts: Contracts, clock: Clock, log: Callable[..., object]
    ) -> None:
        self._lines = lines
        self._contracts = contracts
        self._clock = clock
        self._log = log
        self._news = asyncio.Event()
        self._hub = MarketDataHub(clock, self._news.set)
        self._task: asyncio.Task[None] | None = None
        self._held: dict[str, MarketLine] = {}
        self._symbols: dict[int, str] = {}
        self._refused: dict[str, int] = {}
        self.problems: dict[str, str] = {}
        """Why there is no market data of a symbol, with the way out."""

    # For the port

    def quote(self, symbol: str) -> QuoteView | None:
        """The present quote; None for one that is delayed, or of a market that is closed (frozen)."""
        return self._hub.quote(symbol)

    def last_quote(self, symbol: str) -> QuoteView | None:
        """As the port has it: delayed ones too."""
        return self._hub.last_quote(symbol)

    def book(self, symbol: str, depth: int) -> BookView | None:
        """As the port has it."""
        return self._hub.book(symbol, depth)

    def subscribe(
        self, symbols: Sequence[str], listener: Callable[[MarketDatum], None]
    ) -> Callable[[], None]:
        """As the port has it."""
        return self._hub.subscribe_market_data(symbols, listener)

    def quantity_for(self, spec: OrderSpec) -> Decimal:
        """As the port has it."""
        listed = self._contracts.get(spec.symbol)
        return self._hub.quantity_for(spec, None if listed is None else listed.instrument)

    def problem_with(self, symbol: str) -> str:
        """Why there is no quote to trade by, and the way out; '' where there is one, or nobody knows."""
        if (problem := self.problems.get(symbol)) is not None:
            return problem
        line = self._held.get(symbol)
        if line is None or line.ticks.live:
            return ""
        if line.ticks.cut:
            return "IB's market data farm is away, and nothing is measured by its last quotes; wait until it is back"
        if line.ticks.delayed:
            return "its market data is delayed, and nothing is measured by it; subscribe to it in IB's Client Portal"
        return "its market is closed, and nothing is measured by its last quotes; wait until it opens"

    # With the connection

    def start(self) -> None:
        """Begins to follow what is wanted over the connection that there is now."""
        self._refused.clear()
        self._news.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="market data lines")

    async def close(self) -> None:
        """Ends, and leaves the lines to others, without a word to the venue. It may be started again."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        for line in self._held.values():
            self._lines.idle(line, self._told)
        self._held.clear()
        self._hub.lost()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._arrange()
            except NotSent:
                # It is asked for again when there is a connection.
                pass
            except BrokerError as error:
                self._log("market data not asked for", reason=str(error))
            await self._until_news()
            self._hub.sweep()

    async def _until_news(self) -> None:
        waits = [
            asyncio.ensure_future(self._news.wait()),
            asyncio.ensure_future(self._clock.sleep(SWEEP_S)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _arrange(self) -> None:
        """Ends what is wanted no more, and asks for what is."""
        wanted = self._hub.wanted
        for symbol in [symbol for symbol in self._held if symbol not in wanted]:
            await self._leave(symbol)
        listened, now_ns = self._hub.listened, self._clock.monotonic_ns()
        for symbol in sorted(wanted - set(self._held), key=lambda each: (each not in listened, each)):
            listed, refused_ns = self._contracts.get(symbol), self._refused.get(symbol)
            if listed is not None and (refused_ns is None or now_ns - refused_ns >= REFUSED_NS):
                await self._take(listed, spare=symbol in listened)

    async def _take(self, listed: Listed, *, spare: bool) -> None:
        """Gets a line. `spare`: at the cost of one that nobody listens to."""
        self._symbols[listed.contract.con_id] = listed.symbol
        line = await self._lines.take(listed.contract, self._told)
        if line is None and spare:
            others = [symbol for symbol in self._held if symbol not in self._hub.listened]
            if others:
                await self._leave(others[0])
                line = await self._lines.take(listed.contract, self._told)
        if line is None:
            self._problem(
                listed.symbol,
                f"all {self._lines.limit} market data lines are in use; subscribe to fewer symbols, or raise "
                "`market_data_lines` where the login has more",
            )
        elif not line.ended:
            self._held[listed.symbol] = line

    async def _leave(self, symbol: str) -> None:
        line = self._held.pop(symbol)
        self._hub.lost((symbol,))
        await self._lines.leave(line, self._told)

    # What is heard

    def _told(self, line: MarketLine, news: News) -> None:
        symbol = self._symbols[line.contract.con_id]
        listed = self._contracts.get(symbol)
        if line.ended:
            self._held.pop(symbol, None)
            self._hub.lost((symbol,))
            if line.problem:
                self._refused[symbol] = self._clock.monotonic_ns()
                self._problem(symbol, line.problem)
            return
        if listed is None:
            return
        if news is News.TRADE:
            self._hub.on_trade(self._trade(listed, line))
            return
        ticks = line.ticks
        if ticks.bid is not None or ticks.ask is not None or self._hub.last_quote(symbol) is not None:
            self.problems.pop(symbol, None)
            self._hub.on_quote(self._quote(listed, line), live=ticks.live)

    def _problem(self, symbol: str, problem: str) -> None:
        """Keeps it, and logs it once."""
        if self.problems.get(symbol) != problem:
            self.problems[symbol] = problem
            self._log("no market data", symbol=symbol, reason=problem)

    def _quote(self, listed: Listed, line: MarketLine) -> QuoteView:
        ticks, now_ns = line.ticks, self._clock.now_ns()
        return QuoteView(
            symbol=listed.symbol,
            bid_price=_ours(listed, ticks.bid),
            bid_quantity=ticks.bid_size,
            ask_price=_ours(listed, ticks.ask),
            ask_quantity=ticks.ask_size,
            event_time_ns=_event_time_ns(line, now_ns),
            receive_time_ns=now_ns,
            last_price=_ours(listed, ticks.last),
            delayed=ticks.delayed,
        )

    def _trade(self, listed: Listed, line: MarketLine) -> TradeView:
        ticks, now_ns = line.ticks, self._clock.now_ns()
        assert ticks.last is not None
        assert ticks.last_size is not None
        return TradeView(
            symbol=listed.symbol,
            price=listed.from_venue(ticks.last),
            quantity=ticks.last_size,
            aggressor_side=Side.UNSPECIFIED,
            event_time_ns=_event_time_ns(line, now_ns),
            receive_time_ns=now_ns,
            delayed=ticks.delayed,
        )


def _ours(listed: Listed, price: Decimal | None) -> Decimal | None:
    return None if price is None else listed.from_venue(price)


def _event_time_ns(line: MarketLine, now_ns: int) -> int:
    """Ticks have no time. What is delayed happened no later than the last trade that it tells of."""
    last_ns = line.ticks.last_time_ns
    return now_ns if last_ns is None or not line.ticks.delayed else min(last_ns, now_ns)
