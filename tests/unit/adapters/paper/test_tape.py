"""A paper account on a tape: its time, its steering, its end, and its breaking."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.domain.accounts import BrokerBalance, BrokerPosition, ConnectionState
from brokergate.domain.errors import BrokerError, ErrorReason, GatewayError
from brokergate.domain.market import BookChanged, MarketDatum, QuoteView, TradeView
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import Accepted, ConnectionReport, FillReport, OrderReport, Rejected, TapeAction
from tests.unit.adapters.paper.hand_clock import (
    NEW,
    HandClock,
    Reader,
    accepted,
    at,
    broker,
    fills,
    order,
    settle,
    tape_broker,
)
from tests.unit.sim.feeds.recording import START_NS, depth, snapshot, text, ticker, trade

MS = 1_000_000


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Ten seconds: the ask rises by one every second from 101 on, a trade at 99 at half past five."""
    frames = [at(0, snapshot(1, [("99.00", "5.0")], [("101.00", "5.0")]))]
    for second in range(1, 11):
        asks = [(f"{100 + second}.00", "0.0"), (f"{101 + second}.00", "5.0")]
        frames.append(at(second * 1000, depth(second + 1, second + 1, [], asks)))
        if second == 5:
            frames.append(at(5500, trade("99.00", "7.0", True)))
    path = tmp_path / "recording.txt"
    path.write_text(text(frames))
    return path


async def test_a_paused_tape_stands_before_its_first_update(clock: HandClock, tape: Path) -> None:
    """However long one waits there is no book, and the time is the tape's first."""
    paper = await tape_broker(clock, tape)
    await clock.advance(100)
    status = await paper.control_tape(TapeAction(pause=True))
    assert (status.state, status.tape_time_ns, status.played_updates) == ("PAUSED", START_NS, 0)
    assert paper.quote("BTC/USDT") is None
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "1")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.NO_REFERENCE_PRICE
    await paper.close()


@pytest.mark.parametrize(("speed", "seconds"), [("1", 3.2), ("10", 0.32), ("0.5", 6.4)])
async def test_a_tape_plays_at_its_speed(clock: HandClock, tape: Path, speed: str, seconds: float) -> None:
    """After the same stretch of the tape's time the same has been played, however long it took."""
    paper = await tape_broker(clock, tape, speed=speed, paused=False)
    await clock.advance(seconds)
    quote = paper.quote("BTC/USDT")
    assert quote is not None
    assert quote.ask_price == Decimal(104)
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "1")])
    (fill,) = [report for report in accepted(outcome).reports if isinstance(report, FillReport)]
    assert fills([fill]) == [("104", "1")]
    assert abs(fill.event_time_ns - START_NS - 3200 * MS) < 100
    await paper.close()


async def test_a_command_sees_everything_that_came_before_it(clock: HandClock, tape: Path) -> None:
    """Though the player has not had its turn, the market stands where its time is."""
    paper = await tape_broker(clock, tape, paused=False)
    await clock.advance(0.5)
    clock._elapsed_ns += 4_000_000_000
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "1")])
    assert fills(accepted(outcome)) == [("105", "1")]
    await paper.close()


async def test_pausing_stops_the_time_between_two_updates(clock: HandClock, tape: Path) -> None:
    """The tape goes on from the very moment where it was stopped."""
    paper = await tape_broker(clock, tape, paused=False)
    await clock.advance(1.75)
    await paper.control_tape(TapeAction(pause=True))
    await clock.advance(1000)
    await paper.control_tape(TapeAction(resume=True))
    await clock.advance(0.2)
    assert (await paper.control_tape(TapeAction(pause=True))).played_updates == 2
    await paper.control_tape(TapeAction(resume=True))
    await clock.advance(0.06)
    status = await paper.control_tape(TapeAction(pause=True))
    assert (status.played_updates, status.tape_time_ns) == (3, START_NS + 2000 * MS)
    await paper.close()


async def test_a_seek_plays_everything_up_to_the_time_and_stands_there(clock: HandClock, tape: Path) -> None:
    """The update of that very instant counts, the next one does not; what it fills is told."""
    paper = await tape_broker(clock, tape)
    reader = Reader(paper)
    await paper.control_tape(TapeAction(seek_time_ns=START_NS + 2000 * MS))
    outcome = await paper.place_order(order("BTC/USDT", 1, "1", "100"))
    assert isinstance(outcome, Accepted)
    held = [told for told in paper.untold() if isinstance(told, BrokerPosition | BrokerBalance)]
    assert {holding.as_of_ns for holding in held} == {START_NS + 2000 * MS}
    status = await paper.control_tape(TapeAction(seek_time_ns=START_NS + 5999 * MS))
    assert (status.state, status.tape_time_ns) == ("PAUSED", START_NS + 5500 * MS)
    await settle()
    assert fills(reader.reports) == [("100", "1")]
    quote = paper.quote("BTC/USDT")
    assert quote is not None
    assert quote.ask_price == Decimal(106)
    await paper.close()
    await reader.task


async def test_the_venue_tells_the_time_of_its_tape(clock: HandClock, tape: Path) -> None:
    """Which passes at the tape's speed; where nothing is recorded the gateway's clock counts."""
    paper = await tape_broker(clock, tape, speed="2", paused=False)
    await clock.advance(1.5)
    told = paper.venue_time_ns()
    assert told is not None
    assert abs(told - START_NS - 3000 * MS) < 100
    await paper.close()
    made_up = broker(clock, {"synthetic": {"seed": 1}})
    assert made_up.venue_time_ns() is None
    await made_up.connect(NEW)
    assert made_up.venue_time_ns() is None
    await made_up.close()


@pytest.mark.parametrize(
    "action", [TapeAction(seek_time_ns=START_NS + 1999 * MS), TapeAction(speed="0"), TapeAction(speed="fast")]
)
async def test_a_tape_is_not_steered_where_it_cannot_go(
    clock: HandClock, tape: Path, action: TapeAction
) -> None:
    """Backwards, at no speed: refused, and the tape stands as it stood."""
    paper = await tape_broker(clock, tape)
    before = await paper.control_tape(TapeAction(seek_time_ns=START_NS + 2000 * MS))
    with pytest.raises(GatewayError) as refused:
        await paper.control_tape(action)
    assert refused.value.reason is ErrorReason.INVALID_FIELD
    assert await paper.control_tape(TapeAction(pause=True)) == before
    await paper.close()


async def test_at_full_speed_a_tape_is_over_at_once_and_its_book_stays(clock: HandClock, tape: Path) -> None:
    """No time of ours passes; orders go on against the last book, at the tape's last time."""
    paper = await tape_broker(clock, tape, speed="max", paused=False)
    await settle()
    status = await paper.control_tape(TapeAction(resume=True))
    assert (status.state, status.played_updates) == ("ENDED", 12)
    await clock.advance(1000)
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "6")])
    assert fills(accepted(outcome)) == [("111", "5")]
    (time_ns,) = {report.event_time_ns for report in outcome.reports if isinstance(report, FillReport)}
    assert time_ns == START_NS + 10_000 * MS
    await paper.close()


async def test_speed_changes_while_it_plays(clock: HandClock, tape: Path) -> None:
    """From recorded speed to ten times that, with no jump."""
    paper = await tape_broker(clock, tape, paused=False)
    await clock.advance(1.5)
    await paper.control_tape(TapeAction(speed="10"))
    await clock.advance(0.1)
    assert (await paper.control_tape(TapeAction(pause=True))).played_updates == 3
    await paper.close()


async def test_reports_come_in_one_order_whoever_takes_them(clock: HandClock, tape: Path) -> None:
    """What the tape filled and nobody has read comes first in the next command's answer, and not again by events."""
    paper = await tape_broker(clock, tape, paused=False)
    await clock.advance(0.1)
    await paper.place_orders([order("BTC/USDT", 1, "1", "100")])
    clock._elapsed_ns += 6_000_000_000
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "2")])
    assert fills(accepted(outcome)) == [("100", "1"), ("107", "2")]
    reader = Reader(paper)
    await settle()
    assert fills(reader.reports) == []
    await paper.close()
    await reader.task


async def test_listeners_hear_every_update_in_its_order(clock: HandClock, tmp_path: Path) -> None:
    """Trades and quotes as they come, the book as changed; beside a book the feed's own quotes are told; none after
    the end of the subscription."""
    path = tmp_path / "recording.txt"
    path.write_text(
        text(
            [
                snapshot(1, [("99.00", "5.0")], [("101.00", "5.0")]),
                ticker(2, ("99.50", "1.0"), ("100.50", "2.0")),
                trade("100.50", "1.0", False),
                depth(2, 3, [("99.50", "1.0")]),
                depth(4, 4, [("99.60", "1.0")]),
            ]
        )
    )
    paper = await tape_broker(clock, path)
    heard: list[MarketDatum] = []
    end = paper.subscribe_market_data(["BTC/USDT"], heard.append)
    paper.subscribe_market_data(["ETH/USDT"], heard.append)
    await paper.control_tape(TapeAction(seek_time_ns=START_NS + 3 * MS))
    assert [type(datum) for datum in heard] == [BookChanged, QuoteView, QuoteView, TradeView, BookChanged]
    quotes = [(datum.bid_price, datum.ask_price) for datum in heard if isinstance(datum, QuoteView)]
    assert quotes == [(Decimal(99), Decimal(101)), (Decimal("99.5"), Decimal("100.5"))]
    (told,) = [datum for datum in heard if isinstance(datum, TradeView)]
    assert (told.price, told.quantity, told.event_time_ns) == (
        Decimal("100.5"),
        Decimal(1),
        START_NS + 2 * MS,
    )
    end()
    await paper.control_tape(TapeAction(seek_time_ns=START_NS + 4 * MS))
    assert len(heard) == 5
    book = paper.book("BTC/USDT", 1)
    assert book is not None
    assert book.bids == ((Decimal("99.6"), Decimal(1)),)
    await paper.close()


async def test_a_day_order_expires_by_the_tapes_time(clock: HandClock, tmp_path: Path) -> None:
    """START_NS is 22:13:20 UTC: seeking past midnight ends the day's orders though nothing was told then."""
    path = tmp_path / "recording.txt"
    path.write_text(
        text([at(0, snapshot(1, [("10.00", "5.0")], [("12.00", "5.0")])), at(9_000_000, depth(2, 2))])
    )
    paper = await tape_broker(clock, path)
    reader = Reader(paper)
    await paper.control_tape(TapeAction(seek_time_ns=START_NS))
    await paper.place_orders([order("BTC/USDT", 1, "5", "8", TimeInForce.DAY)])
    await paper.control_tape(TapeAction(seek_time_ns=START_NS + 7_000_000 * MS))
    await settle()
    assert [r.event.name for r in reader.reports if isinstance(r, OrderReport)] == ["EXPIRED"]
    await paper.close()
    await reader.task


@pytest.mark.parametrize("speed", ["1", "max"])
async def test_a_tape_that_breaks_fills_nothing_more(clock: HandClock, tmp_path: Path, speed: str) -> None:
    """The connection is in ERROR with file and line, orders are refused, cancels pass, no bad book is shown."""
    path = tmp_path / "recording.txt"
    frames = [
        at(0, snapshot(1, [("99.00", "5.0")], [("101.00", "5.0")])),
        at(1000, depth(2, 2, [("98.00", "1.0")])),
        at(2000, depth(3, 3, [("150.00", "1.0")])),
        at(3000, depth(4, 4, [("97.00", "1.0")])),
    ]
    path.write_text(text(frames))
    paper = await tape_broker(clock, path)
    reader = Reader(paper)
    await paper.control_tape(TapeAction(seek_time_ns=START_NS + 500 * MS))
    resting = order("BTC/USDT", 1, "1", "90")
    await paper.place_orders([resting])
    await paper.control_tape(TapeAction(speed=speed))
    await paper.control_tape(TapeAction(resume=True))
    await clock.advance(5)
    (report,) = [r for r in reader.reports if isinstance(r, ConnectionReport)]
    assert report.state is ConnectionState.ERROR
    assert "line 3" in report.message
    assert "crossed" in report.message
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "1")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.BROKER_UNAVAILABLE
    assert paper.quote("BTC/USDT") is None
    accepted(await paper.cancel_order(resting))
    await paper.close()
    await reader.task


async def test_a_tape_that_cannot_be_read_does_not_connect(clock: HandClock, tmp_path: Path) -> None:
    """The error names the file; commands before a connection are refused, not raised."""
    paper = broker(clock, {"tape": str(tmp_path / "missing.gz")})
    with pytest.raises(BrokerError, match=r"missing\.gz"):
        await paper.connect(NEW)
    (outcome,) = await paper.place_orders([order("BTC/USDT", 1, "1")])
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.BROKER_UNAVAILABLE
    with pytest.raises(BrokerError):
        await paper.get_positions()


async def test_a_closed_account_goes_on_where_it_stood(clock: HandClock, tape: Path) -> None:
    """Closing ends the events; connecting again goes on with the same market, orders and money."""
    paper = await tape_broker(clock, tape, paused=False)
    reader = Reader(paper)
    await clock.advance(1.5)
    await paper.place_orders([order("BTC/USDT", 1, "1", "100")])
    await paper.close()
    await asyncio.wait_for(reader.task, 1)
    await clock.advance(1000)
    await paper.connect(NEW)
    again = Reader(paper)
    await clock.advance(0.4)
    assert (await paper.control_tape(TapeAction(pause=True))).played_updates == 2
    await paper.control_tape(TapeAction(seek_time_ns=START_NS + 9000 * MS))
    await settle()
    assert fills(again.reports) == [("100", "1")]
    await paper.close()
    await again.task


async def test_commands_never_suspend(clock: HandClock, tape: Path) -> None:
    """Placing, replacing and cancelling end in one step, so that an intent and its outcome share a commit."""
    paper = await tape_broker(clock, tape)
    await paper.control_tape(TapeAction(seek_time_ns=START_NS))
    resting = order("BTC/USDT", 1, "1", "90")
    for command in (paper.place_orders([resting, order("BTC/USDT", 1, "1")]), paper.cancel_order(resting)):
        with pytest.raises(StopIteration):
            command.send(None)
    await paper.close()


async def test_a_tape_that_breaks_at_its_first_update_does_not_connect(
    clock: HandClock, tmp_path: Path
) -> None:
    """There never was a book to trade on, and the error says where."""
    path = tmp_path / "recording.txt"
    path.write_text(text([snapshot(1, [("101.00", "5.0")], [("99.00", "5.0")]), depth(2, 2)]))
    with pytest.raises(BrokerError, match=r"line 1.*crossed"):
        await tape_broker(clock, path, paused=False)


async def test_an_account_that_broke_begins_its_tape_anew(clock: HandClock, tmp_path: Path) -> None:
    """After the recording was mended, connecting again reads it from its start."""
    path = tmp_path / "recording.txt"
    good, bad = snapshot(1, [("99.00", "5.0")], [("101.00", "5.0")]), depth(2, 2, [("150.00", "5.0")])
    path.write_text(text([good, bad]))
    paper = await tape_broker(clock, path, speed="max", paused=False)
    await settle()
    await paper.close()
    path.write_text(text([good, depth(2, 2, [("100.00", "5.0")])]))
    await paper.connect(NEW)
    await settle()
    quote = paper.quote("BTC/USDT")
    assert quote is not None
    assert quote.bid_price == Decimal(100)
    await paper.close()


async def test_on_bars_of_foreign_exchange_orders_fill_up_to_the_quote_size(
    clock: HandClock, tmp_path: Path
) -> None:
    """They tell no volume; of each bar as much can be had as is configured, the rest of an order waits for the next."""
    rows = "".join(f"2024-05-06 10:0{minute},1.08,1.09,1.07,1.08\n" for minute in range(3))
    path = tmp_path / "bars.csv"
    path.write_text("time,open,high,low,close\n" + rows)
    feed: dict[str, object] = {"tape": str(path), "symbol": "EUR/USD", "quote_size": "5000", "paused": True}
    paper = broker(clock, feed, initial_balance={"USD": "100000"})
    await paper.connect(NEW)
    reader = Reader(paper)
    first_ns = (await paper.control_tape(TapeAction(pause=True))).start_time_ns + 60 * 1000 * MS
    await paper.control_tape(TapeAction(seek_time_ns=first_ns))
    assert fills(await paper.place_order(order("EUR/USD", 1, "12000"))) == [("1.08", "5000")]
    await paper.control_tape(TapeAction(seek_time_ns=first_ns + 120 * 1000 * MS))
    await settle()
    assert fills(reader.reports) == [("1.08", "5000"), ("1.08", "2000")]
    await paper.close()
    await reader.task
