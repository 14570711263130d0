"""Recordings of Binance's public spot streams as tapes; the formats are in `binance_frames`, the join in
`binance_join`.

A symbol's book comes from the best that the recording has: diffs (`@depth`, `@depth@100ms`) joined to a REST
snapshot; else the snapshots of `@depth5|10|20`; else `bookTicker`, as L1 quotes. Beside a book `bookTicker`
is advisory. Trades come from `trade`, else from `aggTrade`. A bid or ask of zero is an empty side.

Increments are the common divisor over the whole recording and not over the snapshot alone: Binance's books
hold remnants of orders that are older than today's lot (BTCUSDT: multiples of 0.000001 beside a lot of
0.00001).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from brokergate.sim.feeds.binance_frames import FrameKind, FrameReader, missing_field
from brokergate.sim.feeds.binance_replay import SymbolReplay
from brokergate.sim.feeds.binance_survey import BinanceSurvey, bad_value, survey_binance
from brokergate.sim.feeds.crossing import uncrossed
from brokergate.sim.feeds.tape import Located, TapeFormat, TapeOverrides, TapeSurvey
from brokergate.sim.market import MarketUpdate


class BinanceTape:
    """A recording of one or several symbols in one file, plain or gzip."""

    format = TapeFormat.BINANCE

    def __init__(self, path: Path, overrides: TapeOverrides | None = None) -> None:
        self.path = path
        self.name = str(path)
        self.overrides = overrides or TapeOverrides()
        self.join_counts: Counter[str] = Counter()
        """What the join put right in the latest pass that ran to its end, such as `diffs_repeated`."""
        self._survey: BinanceSurvey | None = None

    def survey(self) -> TapeSurvey:
        """Instruments, times and counts; the first call reads the whole recording."""
        return self._surveyed().survey

    def updates(self) -> Iterator[MarketUpdate]:
        """The updates from the start; `TapeError` on a bad line or a crossed book."""
        return uncrossed(self.located())

    def located(self) -> Iterator[Located]:
        """The updates with file, line and Binance's update id, crossed or not."""
        surveyed = self._surveyed()
        replays = {
            name: SymbolReplay(
                instrument.symbol,
                *surveyed.tables[name],
                surveyed.sources[name],
                surveyed.aggregated_trades[name],
            )
            for name, instrument in surveyed.instruments.items()
        }
        only = next(iter(replays.values()))
        file = self.name
        for frame in FrameReader(self.path).frames():
            if frame.kind is FrameKind.OTHER:
                continue
            replay = replays[frame.symbol] if frame.symbol else only
            try:
                updates = replay.updates(frame)
            except KeyError as error:
                raise missing_field(file, frame.line, error) from error
            except (ValueError, TypeError) as error:
                raise bad_value(self.path, frame, error) from error
            for update_id, update in updates:
                yield file, frame.line, update_id, update
        self.join_counts = Counter()
        for replay in replays.values():
            self.join_counts.update(replay.join.counts)

    def _surveyed(self) -> BinanceSurvey:
        if self._survey is None:
            self._survey = survey_binance(self.path, self.overrides)
        return self._survey
