"""The real Binance recording, against what its folder's README says of it."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.sim.feeds.binance import BinanceTape
from brokergate.sim.feeds.info import TapeInfo, as_dict, render, tape_info
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeFormat, TapeOverrides
from brokergate.sim.market import BookDelta, BookSnapshot, MarketUpdate, QuoteUpdate, TradeUpdate


@pytest.fixture(scope="module")
def info(btc_recording: Path) -> TapeInfo:
    return tape_info(btc_recording)


@pytest.fixture(scope="module")
def updates(btc_recording: Path) -> list[MarketUpdate]:
    return list(open_tape(btc_recording).updates())


def test_every_frame_is_counted_by_its_kind(info: TapeInfo) -> None:
    """41,249 frames: 3,451 depth, 28,040 bookTicker, 9,757 trade and one snapshot."""
    assert info.format is TapeFormat.BINANCE
    assert info.frame_counts() == {"depth": 3_451, "snapshot": 1, "bookTicker": 28_040, "trade": 9_757}
    assert sum(info.frame_counts().values()) == 41_249


def test_the_joined_book_is_never_crossed_and_agrees_with_book_ticker(info: TapeInfo) -> None:
    """The top equals bookTicker, price and size, at all 3,449 comparable updates, without gap or repair."""
    assert (info.gaps, info.crossed, info.repairs) == (0, 0, {})
    assert (info.comparable, info.agreeing) == (3_449, 3_449)


def test_the_instrument_is_found_with_the_increments_that_all_levels_fit(info: TapeInfo) -> None:
    """Three levels far from the top hold remnants of a finer lot, so the lot found is a tenth of today's."""
    (instrument,) = info.instruments
    assert (instrument.symbol, instrument.broker_symbol) == ("BTC/USDT", "BTCUSDT")
    assert (instrument.base_currency, instrument.quote_currency) == ("BTC", "USDT")
    assert (instrument.price_increment, instrument.quantity_increment) == (
        Decimal("0.01"),
        Decimal("0.000001"),
    )


def test_the_recorders_clock_is_behind_the_exchanges(info: TapeInfo) -> None:
    """The exchange's times run some 1.27 s ahead of the recorder's, and the tape has the recorder's."""
    assert info.exchange_lead_ns is not None
    assert 1.26e9 < info.exchange_lead_ns < 1.29e9
    assert info.start_ns == 1_723_161_253_937_085_768
    assert info.end_ns == 1_723_161_599_999_231_384


def test_times_never_run_backwards(updates: list[MarketUpdate]) -> None:
    """Updates come in the file's order, and their nanosecond times with them."""
    times = [update.time_ns for update in updates]
    assert times == sorted(times)


def test_the_book_starts_at_the_snapshot_with_the_straddling_diff(updates: list[MarketUpdate]) -> None:
    """One held diff is applied after the snapshot, at the snapshot's time; no book update comes before."""
    books = [update for update in updates if isinstance(update, (BookSnapshot, BookDelta))]
    assert isinstance(books[0], BookSnapshot)
    assert (len(books[0].bids), len(books[0].asks)) == (1_000, 1_000)
    assert isinstance(books[1], BookDelta)
    assert books[1].time_ns == books[0].time_ns == 1_723_161_254_206_652_067
    assert len(books) == 1 + 3_449


def test_without_the_straddling_diff_the_book_is_crossed(updates: list[MarketUpdate]) -> None:
    """Left out, the book is crossed in 2,573 of the 3,448 updates that follow."""
    books = [update for update in updates if isinstance(update, (BookSnapshot, BookDelta))]
    del books[1]
    assert _crossed(books) == (2_573, 3_448)


def test_a_recording_that_lacks_the_straddling_diff_is_a_gap_and_not_a_bad_book(
    btc_recording: Path, tmp_path: Path
) -> None:
    """With the diff cut out of the file, the reader sees the gap and gives no book at all."""
    lines = gzip.decompress(btc_recording.read_bytes()).splitlines(keepends=True)
    cut = tmp_path / "cut"
    cut.write_bytes(b"".join(line for line in lines if b'"U":50093239208' not in line))
    info = tape_info(cut)
    assert info.gaps == 1
    assert (info.crossed, info.updates.get("BookDelta", 0)) == (0, 0)


def test_ticks_and_lots_are_exact(btc_recording: Path, updates: list[MarketUpdate]) -> None:
    """Every trade and quote, scaled back by `Decimal`, is what the recording says."""
    quotes = iter([update for update in updates if isinstance(update, QuoteUpdate)])
    trades = iter([update for update in updates if isinstance(update, TradeUpdate)])
    tick, lot = Decimal("0.01"), Decimal("0.000001")
    with gzip.open(btc_recording) as stream:
        for line in stream:
            data = json.loads(line.split(b" ", 1)[1]).get("data", {})
            if data.get("e") == "trade":
                trade = next(trades)
                assert (trade.price * tick, trade.size * lot) == (Decimal(data["p"]), Decimal(data["q"]))
                assert trade.aggressor == (-1 if data["m"] else 1)
            elif "B" in data:
                quote = next(quotes)
                assert quote.advisory
                assert quote.bid is not None
                assert (quote.bid[0] * tick, quote.bid[1] * lot) == (Decimal(data["b"]), Decimal(data["B"]))
    assert next(trades, None) is None
    assert next(quotes, None) is None


def test_a_tape_plays_again_the_same(btc_recording: Path, updates: list[MarketUpdate]) -> None:
    """A second and a third pass over one tape give the same updates as the first."""
    tape = open_tape(btc_recording)
    assert list(tape.updates()) == updates
    assert list(tape.updates()) == updates


def test_the_increments_can_be_set(btc_recording: Path) -> None:
    """A finer tick than needed is taken, and the prices are that many more ticks."""
    overrides = TapeOverrides(symbol="XBT/USDT", price_increment=Decimal("0.001"))
    tape = BinanceTape(btc_recording, overrides)
    (instrument,) = tape.survey().instruments
    assert (instrument.symbol, instrument.price_increment) == ("XBT/USDT", Decimal("0.001"))
    quote = next(update for update in tape.updates() if isinstance(update, QuoteUpdate))
    assert quote.bid is not None
    assert quote.bid[0] == 61_837_630


def test_the_findings_are_told_to_people_and_to_programs(info: TapeInfo) -> None:
    """The text names the symbol, the counts and the agreement; the dict survives JSON."""
    text = "\n".join(render(info))
    for part in (
        "BTC/USDT",
        "41,249",
        "28,040 bookTicker",
        "3,449 of 3,449",
        "2024-08-08T23:54:13.937085768Z",
    ):
        assert part in text
    again = json.loads(json.dumps(as_dict(info)))
    assert again["frame_counts"]["depth"] == 3_451
    assert again["instruments"][0]["quantity_increment"] == "0.000001"


def _crossed(books: list[BookSnapshot | BookDelta]) -> tuple[int, int]:
    """After how many deltas the bid is at or above the ask, and how many there are."""
    sides: tuple[dict[int, int], dict[int, int]] = ({}, {})
    crossed = deltas = 0
    for update in books:
        for side, levels in zip(sides, (update.bids, update.asks), strict=True):
            side.update(levels)
            for price in [price for price, size in levels if not size]:
                del side[price]
        if isinstance(update, BookDelta):
            deltas += 1
            crossed += max(sides[0]) >= min(sides[1])
    return crossed, deltas
