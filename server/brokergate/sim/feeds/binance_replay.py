"""The frames of one Binance symbol to the venue's updates, in ticks and lots."""

from __future__ import annotations

from collections.abc import Sequence

from brokergate.sim.feeds.binance_frames import Frame, FrameKind
from brokergate.sim.feeds.binance_join import Diff, DiffJoin, Levels, Verdict
from brokergate.sim.feeds.binance_survey import BookSource
from brokergate.sim.feeds.increments import StepTable
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, MarketUpdate, QuoteUpdate, TradeUpdate

Numbered = tuple[int, MarketUpdate]
"""Binance's id of the book's state after the update (0 where it has none), update."""


class SymbolReplay:
    """The state of one symbol while a recording is played. Frames have been surveyed, so their fields are
    there.
    """

    def __init__(
        self, symbol: str, prices: StepTable, sizes: StepTable, source: BookSource, aggregated_trades: bool
    ) -> None:
        self.symbol = symbol
        self.join = DiffJoin()
        self._prices = prices
        self._sizes = sizes
        self._source = source
        self._trades = FrameKind.AGG_TRADE if aggregated_trades else FrameKind.TRADE

    def updates(self, frame: Frame) -> Sequence[Numbered]:
        """What a frame says to the venue: nothing, one update, or a snapshot and the diffs held for it."""
        kind = frame.kind
        if kind is FrameKind.TICKER:
            return self._quote(frame)
        if kind is self._trades:
            return self._trade(frame)
        if self._source is BookSource.DIFFS:
            if kind is FrameKind.DEPTH:
                return self._diff(frame)
            if kind is FrameKind.SNAPSHOT:
                return self._rest_snapshot(frame)
        elif self._source is BookSource.SNAPSHOTS and (
            kind is FrameKind.PARTIAL or kind is FrameKind.SNAPSHOT
        ):
            return ((frame.data["lastUpdateId"], self._snapshot(frame)),)
        return ()

    def _quote(self, frame: Frame) -> Sequence[Numbered]:
        data, prices, sizes = frame.data, self._prices, self._sizes
        bid = (prices[data["b"]], sizes[data["B"]])
        ask = (prices[data["a"]], sizes[data["A"]])
        update = QuoteUpdate(
            frame.time_ns,
            self.symbol,
            bid if bid[0] and bid[1] else None,
            ask if ask[0] and ask[1] else None,
            self._source is not BookSource.QUOTES,
        )
        return ((data["u"], update),)

    def _trade(self, frame: Frame) -> Sequence[Numbered]:
        data = frame.data
        # m: the buyer was the maker, so a seller took.
        aggressor = -1 if data["m"] else 1
        price, size = self._prices[data["p"]], self._sizes[data["q"]]
        return ((0, TradeUpdate(frame.time_ns, self.symbol, price, size, aggressor)),)

    def _diff(self, frame: Frame) -> Sequence[Numbered]:
        data = frame.data
        diff = Diff(data["U"], data["u"], self._levels(data["b"]), self._levels(data["a"]))
        before = self.join.last_id
        return self._verdict(frame.time_ns, diff, self.join.offer(diff), before)

    def _rest_snapshot(self, frame: Frame) -> Sequence[Numbered]:
        book_id = frame.data["lastUpdateId"]
        held = self.join.rejoin(book_id)
        if held is None:
            return ()
        updates: list[Numbered] = [(book_id, self._snapshot(frame))]
        # The held diffs came before the snapshot did: they count from its time on, when the book came to be.
        for diff, verdict in held:
            updates += self._verdict(frame.time_ns, diff, verdict, updates[-1][0])
        return updates

    def _verdict(self, time_ns: int, diff: Diff, verdict: Verdict, before: int | None) -> Sequence[Numbered]:
        if verdict is Verdict.APPLY:
            return ((diff.last, BookDelta(time_ns, self.symbol, diff.bids, diff.asks)),)
        if verdict is Verdict.GAP:
            reason = f"depth updates after {before} and before {diff.first} are missing"
            return ((0, FeedGap(time_ns, self.symbol, reason)),)
        return ()

    def _snapshot(self, frame: Frame) -> BookSnapshot:
        bids = tuple(level for level in self._levels(frame.data["bids"]) if level[1])
        asks = tuple(level for level in self._levels(frame.data["asks"]) if level[1])
        return BookSnapshot(frame.time_ns, self.symbol, bids, asks)

    def _levels(self, levels: list[list[str]]) -> Levels:
        prices, sizes = self._prices, self._sizes
        return tuple([(prices[price], sizes[size]) for price, size in levels])
