"""Binance recordings as users make them, of all the kinds of frame."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.sim.feeds.binance_symbols import split_symbol
from brokergate.sim.feeds.info import tape_info
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import TapeError, TapeOverrides
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, QuoteUpdate, TradeUpdate
from tests.unit.sim.feeds.recording import GOOD, START_NS, depth, snapshot, ticker, trade, write

BID, ASK = ("100.00", "1"), ("100.10", "2")


def test_a_recording_is_joined_into_ticks_and_lots(tmp_path: Path) -> None:
    """The snapshot comes first, then the straddling diff at its time, then the rest in order."""
    tape = open_tape(write(tmp_path, GOOD))
    (instrument,) = tape.survey().instruments
    assert (instrument.price_increment, instrument.quantity_increment) == (Decimal("0.1"), Decimal("0.5"))
    joined_ns = START_NS + 1_000_000
    assert list(tape.updates()) == [
        BookSnapshot(joined_ns, "BTC/USDT", ((1000, 4), (999, 2)), ((1001, 6), (1003, 8))),
        BookDelta(joined_ns, "BTC/USDT", ((1000, 3),), ((1003, 18),)),
        QuoteUpdate(START_NS + 2_000_000, "BTC/USDT", (1000, 3), (1001, 6), True),
        BookDelta(START_NS + 3_000_000, "BTC/USDT", ((999, 0),), ((1001, 2),)),
        TradeUpdate(START_NS + 4_000_000, "BTC/USDT", 1001, 4, 1),
        QuoteUpdate(START_NS + 5_000_000, "BTC/USDT", (1000, 3), (1001, 2), True),
    ]


def test_gzip_is_known_by_its_content(tmp_path: Path) -> None:
    """A packed recording plays as the plain one, whatever its name."""
    plain = write(tmp_path, GOOD)
    packed = tmp_path / "packed.dat"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(open_tape(packed).updates()) == list(open_tape(plain).updates())


def test_lines_without_a_time_take_the_exchanges(tmp_path: Path) -> None:
    """E counts, bookTicker takes its predecessor's, and the first frames the first that is found."""
    frames = (ticker(1, BID, ASK), trade("100.00", "1", True), ticker(2, BID, ASK))
    tape = open_tape(write(tmp_path, frames, stamped=False))
    assert [update.time_ns for update in tape.updates()] == [1_700_000_000_000_000_000] * 3


def test_event_times_in_microseconds_are_known_by_their_size(tmp_path: Path) -> None:
    """`timeUnit=MICROSECOND` gives sixteen digits."""
    bare = '{"e":"trade","E":1700000000000123,"s":"BTCUSDT","p":"1","q":"1","m":true}'
    (update,) = open_tape(write(tmp_path, (bare,))).updates()
    assert update.time_ns == 1_700_000_000_000_123_000


def test_a_local_time_may_be_in_milliseconds(tmp_path: Path) -> None:
    """The number of digits tells the unit of the leading time."""
    line = '1700000000123 {"u":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"}'
    (update,) = open_tape(write(tmp_path, (line,))).updates()
    assert update.time_ns == 1_700_000_000_123_000_000


def test_book_ticker_alone_is_a_feed_of_quotes(tmp_path: Path) -> None:
    """Without a book beside it a quote is to be matched on; a side at zero is empty."""
    empty = ticker(2, BID, ("0.00000000", "0.00000000"))
    first, second = open_tape(write(tmp_path, (ticker(1, BID, ASK), empty))).updates()
    assert first == QuoteUpdate(START_NS, "BTC/USDT", (1000, 1), (1001, 2), False)
    assert second == QuoteUpdate(START_NS + 1_000_000, "BTC/USDT", (1000, 1), None, False)


def test_diffs_without_a_snapshot_make_no_book(tmp_path: Path) -> None:
    """The recording falls back on its bookTicker."""
    updates = list(open_tape(write(tmp_path, (depth(1, 2, [BID], [ASK]), ticker(2, BID, ASK)))).updates())
    assert [type(update) for update in updates] == [QuoteUpdate]
    assert isinstance(updates[0], QuoteUpdate)
    assert not updates[0].advisory


def test_partial_depth_frames_are_snapshots(tmp_path: Path) -> None:
    """`@depth20` names its symbol in the stream, and each frame is the book."""
    frames = [
        {"stream": "ethbtc@depth20@100ms", "data": snapshot(number, [("0.05", "1")], [("0.06", str(number))])}
        for number in (1, 2)
    ]
    updates = list(open_tape(write(tmp_path, frames)).updates())
    assert updates == [
        BookSnapshot(START_NS, "ETH/BTC", ((5, 1),), ((6, 1),)),
        BookSnapshot(START_NS + 1_000_000, "ETH/BTC", ((5, 1),), ((6, 2),)),
    ]


def test_partial_depth_of_a_raw_stream_needs_the_symbol(tmp_path: Path) -> None:
    """Its frames do not say what they are of; the configuration does."""
    path = write(tmp_path, (snapshot(1, [BID], [ASK]),))
    with pytest.raises(TapeError, match="set 'symbol' for this tape"):
        open_tape(path).survey()
    (update,) = open_tape(path, TapeOverrides(symbol="BTC/USDT")).updates()
    assert update.symbol == "BTC/USDT"


@pytest.mark.parametrize(
    "wrapped",
    [
        {"stream": "btcusdt@snapshot", "data": GOOD[1]},
        {"id": 1, "status": 200, "result": GOOD[1]},
        {**GOOD[1], "symbol": "BTCUSDT"},
    ],
)
def test_a_snapshot_may_be_wrapped(tmp_path: Path, wrapped: object) -> None:
    """In an envelope, as an answer of the WebSocket API, or with its symbol beside it."""
    bare = list(open_tape(write(tmp_path, GOOD)).updates())
    assert list(open_tape(write(tmp_path, (GOOD[0], wrapped, *GOOD[2:]))).updates()) == bare


def test_aggregated_trades_count_where_there_are_no_others(tmp_path: Path) -> None:
    """Beside `trade` they would tell each trade twice."""
    aggregated = {"e": "aggTrade", "E": 1_700_000_000_000, "s": "BTCUSDT", "p": "100", "q": "1", "m": True}
    alone = list(open_tape(write(tmp_path, (aggregated,))).updates())
    assert alone == [TradeUpdate(START_NS, "BTC/USDT", 1, 1, -1)]
    both = list(open_tape(write(tmp_path, (aggregated, trade("100", "1", True)))).updates())
    assert len(both) == 1


def test_several_symbols_share_a_file(tmp_path: Path) -> None:
    """Each is an instrument with increments of its own."""
    frames = (
        ticker(1, BID, ASK),
        ticker(1, ("0.051", "7"), ("0.052", "14"), "ETHBTC"),
        trade("1", "1", True),
    )
    tape = open_tape(write(tmp_path, frames))
    btc, eth = tape.survey().instruments
    assert (btc.symbol, eth.symbol) == ("BTC/USDT", "ETH/BTC")
    assert (eth.price_increment, eth.quantity_increment) == (Decimal("0.001"), Decimal(7))
    assert [update.symbol for update in tape.updates()] == ["BTC/USDT", "ETH/BTC", "BTC/USDT"]


def test_a_nameless_snapshot_among_several_symbols_is_an_error(tmp_path: Path) -> None:
    """Nothing says which of them it is of, and guessing makes a bad book."""
    path = write(tmp_path, (*GOOD, ticker(1, BID, ASK, "ETHBTC")))
    with pytest.raises(TapeError, match="does not say which of 'BTCUSDT', 'ETHBTC'"):
        open_tape(path).survey()


def test_answers_and_foreign_streams_are_passed_over(tmp_path: Path) -> None:
    """They are counted as other frames."""
    others = ({"result": None, "id": 1}, {"e": "kline", "E": 1_700_000_000_000, "s": "BTCUSDT"})
    info = tape_info(write(tmp_path, (*others, *GOOD)))
    assert info.frames[""] == {"other": 2}
    assert (info.comparable, info.agreeing) == (2, 2)


def test_a_gap_is_told_and_the_next_snapshot_joins_again(tmp_path: Path) -> None:
    """Between them no update of the book is given."""
    frames = (
        *GOOD,
        depth(110, 112, bids=[("100.00", "5")]),
        depth(113, 115, bids=[("99.80", "5")]),
        snapshot(114, [BID], [ASK]),
        depth(116, 117, asks=[("100.20", "1")]),
    )
    path = write(tmp_path, frames)
    *_, gap, fresh, straddling, following = open_tape(path).updates()
    assert isinstance(gap, FeedGap)
    assert gap.reason == "depth updates after 105 and before 110 are missing"
    assert isinstance(fresh, BookSnapshot)
    assert isinstance(straddling, BookDelta)
    assert straddling.bids == ((998, 10),)
    assert isinstance(following, BookDelta)
    assert tape_info(path).gaps == 1


def test_disagreement_with_book_ticker_is_counted(tmp_path: Path) -> None:
    """A book whose top is not what bookTicker says at the same id does not pass for right."""
    info = tape_info(write(tmp_path, (*GOOD[:5], ticker(105, ("100.00", "1.5"), ("100.10", "2")))))
    assert (info.comparable, info.agreeing) == (2, 1)


@pytest.mark.parametrize(
    ("broker_symbol", "pair"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("ETHBTC", ("ETH", "BTC")),
        ("BTCTUSD", ("BTC", "TUSD")),
        ("BTCFDUSD", ("BTC", "FDUSD")),
        ("BTCUSD", ("BTC", "USD")),
        ("1000SATSUSDC", ("1000SATS", "USDC")),
        ("USDTTRY", ("USDT", "TRY")),
        ("USDT", None),
        ("ABCXYZ", None),
    ],
)
def test_symbols_split_at_the_longest_quote_currency(
    broker_symbol: str, pair: tuple[str, str] | None
) -> None:
    """The table knows Binance's quote currencies; what it does not know is not guessed."""
    assert split_symbol(broker_symbol) == pair
