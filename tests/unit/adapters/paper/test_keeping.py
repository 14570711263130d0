"""When the state of a paper account is kept, and what happens where it cannot be taken up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.adapters.paper.keeping import CHECKPOINT_S, LEAST_WORK
from brokergate.domain.accounts import ConnectionState
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import TimeInForce
from brokergate.ports.broker import (
    Absent,
    ConnectionReport,
    Failed,
    FillReport,
    Found,
    OrderReport,
    Rejected,
    TapeAction,
    VenueSnapshot,
    VenueStep,
)
from tests.unit.adapters.paper.durable import Desk
from tests.unit.adapters.paper.hand_clock import NEW, Reader, accepted, at, fills, order
from tests.unit.adapters.paper.test_live import PUSHED, quote
from tests.unit.sim.feeds.recording import START_NS, depth, snapshot, text, trade

MS = 1_000_000
MADE_UP: dict[str, object] = {"synthetic": {"seed": 3}}


def lines() -> Iterator[str]:
    yield at(0, snapshot(1, [("99.00", "5.0")], [("101.00", "5.0")]))
    for second in range(1, 11):
        asks = [(f"{100 + second}.00", "0.0"), (f"{101 + second}.00", "5.0")]
        yield at(second * 1000, depth(second + 1, second + 1, [], asks))
        yield at(second * 1000 + 500, trade("99.00", "2.0", True))


LINES = list(lines())


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    """Ten seconds: the ask rises by one every second from 101 on, two are traded at 99 half a second later."""
    path = tmp_path / "recording.txt"
    path.write_text(text(LINES))
    return path


def on_tape(tape: Path, **feed: object) -> dict[str, object]:
    return {"tape": str(tape), "speed": "max", "paused": True, **feed}


def complaint(desk: Desk) -> str:
    """What the broker says about a state that it did not take up; empty when it did."""
    desk.commit()
    said = [report for report in desk.books.log if isinstance(report, ConnectionReport)]
    return said[-1].message if said and said[-1].state is ConnectionState.CONNECTED else ""


async def test_the_place_in_the_queue_survives(tape: Path) -> None:
    """Five stand before ours at 99 and each trade takes two of them: killed after two trades, ours fills at the
    third, by one."""
    desk = await Desk(on_tape(tape)).open()
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS))
    await desk.place(order("BTC/USDT", 1, "3", "99"))
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS + 2600 * MS))
    desk.commit()
    await desk.die()
    status = await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS + 3400 * MS))
    assert (status.state, status.played_updates) == ("PAUSED", 6)
    desk.commit()
    assert fills(desk.books.log) == []
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS + 3600 * MS))
    desk.commit()
    assert fills(desk.books.log) == [("99", "1")]
    assert complaint(desk) == ""
    await desk.close()


async def test_lots_are_told_apart_after_a_death(tape: Path) -> None:
    """Bought at 101 and at 103, sold at 99: the profit is that of the first purchase, not of the average."""
    desk = await Desk(on_tape(tape)).open()
    for milliseconds in (0, 2000):
        await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS + milliseconds * MS))
        await desk.place(order("BTC/USDT", 1, "1"))
    desk.commit()
    await desk.die()
    await desk.place(order("BTC/USDT", -1, "1"))
    desk.commit()
    assert desk.books.positions["BTC/USDT"].realized_pnl == Decimal(-2)
    await desk.close()


async def test_speed_and_pause_survive_unless_the_configuration_says_otherwise_now(tape: Path) -> None:
    """A tape that was steered goes on as it was steered; one whose configuration was changed goes by that."""
    desk = await Desk(on_tape(tape)).open()
    await desk.broker.control_tape(TapeAction(speed="2"))
    await desk.broker.control_tape(TapeAction(resume=True))
    await desk.clock.advance(1)
    playing = await desk.broker.control_tape(TapeAction(speed="4"))
    desk.commit()
    await desk.die()
    status = await desk.broker.control_tape(TapeAction(resume=True))
    assert (status.state, status.speed, status.played_updates) == ("PLAYING", "4", playing.played_updates)
    await desk.clock.advance(0.5)
    assert (await desk.broker.control_tape(TapeAction(pause=True))).played_updates > playing.played_updates
    await desk.broker.control_tape(TapeAction(resume=True))
    desk.commit()
    desk.config = PaperTradingConfig.model_validate({"feed": on_tape(tape, speed="1")})
    await desk.die()
    status = await desk.broker.control_tape(TapeAction(speed="1"))
    assert (status.state, status.speed) == ("PAUSED", "1")
    assert status.played_updates > playing.played_updates
    await desk.close()


@pytest.mark.parametrize("feed", [MADE_UP, PUSHED], ids=["made up", "pushed"])
async def test_connecting_again_begins_from_what_is_durable(feed: dict[str, object]) -> None:
    """After a commit that failed the same broker is closed and connected again: what was not committed, in memory as
    it is, did not happen; the id that it had is given again."""
    desk = await Desk(feed, initial_balance={"USDT": "1000000"}).open()
    if feed is PUSHED:
        await desk.broker.push([quote("100", "101")])
    await desk.clock.advance(1)
    await desk.place(order("BTC/USDT", 1, "0.1"))
    desk.commit()
    lost = await desk.place(order("BTC/USDT", 1, "0.2"))
    await desk.broker.close()
    desk.books = desk.durable.copy()
    await desk.broker.connect(desk.durable.state())
    again = await desk.place(order("BTC/USDT", 1, "0.2"))
    assert again == replace(lost, reports=again.reports)
    assert [report.execution_id for report in again.reports if isinstance(report, FillReport)] == [
        report.execution_id for report in lost.reports if isinstance(report, FillReport)
    ]
    assert complaint(desk) == ""
    await desk.close()


async def test_an_account_of_which_nothing_is_durable_begins_anew() -> None:
    """Asked what to keep, and yet there is no history: not even the first commit came through."""
    desk = await Desk(MADE_UP).open()
    await desk.clock.advance(1)
    await desk.place(order("BTC/USDT", 1, "1"))
    await desk.broker.close()
    await desk.broker.connect(NEW)
    assert await desk.broker.get_positions() == []
    (outcome,) = await desk.broker.place_orders([order("BTC/USDT", 1, "1")])
    assert accepted(outcome).broker_order_id == "P1"
    await desk.broker.close()


async def test_a_made_up_market_stood_still_meanwhile() -> None:
    """After a day away it goes on at once from the prices that it had, and plays no day; a DAY order has expired."""
    desk = await Desk(MADE_UP).open()
    await desk.clock.advance(3)
    await desk.place(order("BTC/USDT", 1, "1", "100", TimeInForce.DAY))
    await desk.close()
    before = desk.broker.quote("BTC/USDT")
    played = desk.broker._venue
    desk.clock._elapsed_ns += 86_400 * 10**9
    await desk.die()
    assert desk.broker._venue is not played
    assert desk.broker.quote("BTC/USDT") == before
    await desk.clock.advance(0.2)
    after = desk.broker.quote("BTC/USDT")
    assert before is not None
    assert after is not None
    assert after.event_time_ns - before.event_time_ns >= 86_400 * 10**9
    assert before.bid_price is not None
    assert after.bid_price is not None
    assert abs(after.bid_price - before.bid_price) < 5
    desk.commit()
    assert [report.event.name for report in desk.books.log if isinstance(report, OrderReport)] == ["EXPIRED"]
    await desk.close()


async def test_a_pushed_price_is_as_old_as_it_is() -> None:
    """It is there after the restart with its client's time, and refused by the age that it had before."""
    desk = await Desk(PUSHED, stale_after_ms=60_000).open()
    await desk.broker.push([quote("100", "101", time_ns=77)])
    await desk.close()
    await desk.clock.advance(30)
    await desk.die()
    view = desk.broker.quote("BTC/USDT")
    assert view is not None
    assert (view.ask_price, view.event_time_ns) == (Decimal(101), 77)
    assert fills(await desk.place(order("BTC/USDT", 1, "1"))) == [("101", "1")]
    await desk.clock.advance(31)
    outcome = await desk.place(order("BTC/USDT", 1, "1"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.STALE_MARKET_DATA
    await desk.close()


async def test_a_market_that_touches_nobody_is_kept_now_and_then() -> None:
    """Not at every commit, which would make every reading a writing, but every few seconds, and the reader of events
    is woken for it; what happens to the account is kept at once."""
    desk = await Desk(MADE_UP).open()
    reader = Reader(desk.broker)
    await desk.clock.advance(1)
    assert desk.broker.unsaved() == ()
    assert reader.batches == []
    await desk.clock.advance(CHECKPOINT_S)
    assert reader.batches
    assert reader.reports == []
    (kept,) = desk.broker.unsaved()
    assert isinstance(kept, VenueStep)
    assert desk.broker.unsaved() == ()
    await desk.broker.place_order(order("BTC/USDT", 1, "1", "10"))
    (kept,) = desk.broker.unsaved()
    assert isinstance(kept, VenueStep)
    await desk.broker.close()
    await reader.task
    assert [type(kept) for kept in desk.broker.unsaved()] == [VenueSnapshot]
    assert desk.broker.unsaved() == ()


async def test_a_start_never_does_much_again() -> None:
    """However many orders there are, a snapshot comes as often as so much was done; and where nobody asks for a long
    time, what waits is bounded and a snapshot takes its place."""
    desk = await Desk(PUSHED, initial_balance={"USDT": "1000000"}).open()
    for _ in range(2 * LEAST_WORK // 8):
        await desk.broker.push([quote("100", "101")])
        await desk.place(order("BTC/USDT", 1, "0.1", "100.5", TimeInForce.IOC))
        desk.commit()
    assert desk.books.snapshots in (2, 3)
    assert len(desk.books.steps) < LEAST_WORK / 4
    for _ in range(LEAST_WORK + 10):
        await desk.broker.push([quote("100", "101")])
    assert len(desk.broker._venue.diary._lines) <= LEAST_WORK  # type: ignore[union-attr]
    await desk.die()
    assert complaint(desk) == ""
    await desk.close()


async def test_a_state_that_does_not_fit_is_not_taken_up(tape: Path, tmp_path: Path) -> None:
    """Another tape, other terms, a later version, damage, a journal that says otherwise: the account opens with its
    orders and holdings from the journal, and says why the rest is gone."""
    desk = await Desk(on_tape(tape)).open()
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS))
    await desk.place(order("BTC/USDT", 1, "1"))
    await desk.place(order("BTC/USDT", 1, "1", "90"))
    desk.commit()
    good = desk.durable
    longer = tmp_path / "longer.txt"
    longer.write_text(text([*LINES, at(60_000, trade("99.00", "1.0", True))]))
    snapshot_of = good.snapshot or b""
    cases: list[tuple[str, dict[str, object], dict[str, object], bytes, list[bytes], int]] = [
        ("the market changed from", on_tape(longer), {}, snapshot_of, good.steps, 1),
        ("the terms changed from", on_tape(tape), {"allow_short": ["spot"]}, snapshot_of, good.steps, 1),
        ("not a brokergate-paper-venue 2", on_tape(tape), {}, snapshot_of.replace(b" 2", b" 9", 1), [], 1),
        ("damaged", on_tape(tape), {}, snapshot_of[:-7], good.steps, 1),
        ("0 executions", on_tape(tape), {}, snapshot_of, [], 1),
        ("and the journal has 2", on_tape(tape), {}, snapshot_of, good.steps, 2),
        ("cannot be done again", on_tape(tape), {}, snapshot_of, [*good.steps, b"Xnone"], 1),
    ]
    await desk.broker.close()
    for problem, feed, settings, kept, steps, executions in cases:
        again = Desk(feed, **settings)
        again.durable = good.copy()
        again.durable.snapshot, again.durable.steps, again.durable.fills = kept, list(steps), executions
        await again.die()
        message = complaint(again)
        assert "the market begins anew" in message
        assert problem in message
        (position,) = await again.broker.get_positions()
        assert (position.quantity, position.cost) == (Decimal(1), Decimal(101))
        (shown,) = await again.broker.list_open_orders()
        assert shown.broker_order_id == "P2"
        outcome = await again.place(order("BTC/USDT", 1, "1", "91"))
        assert accepted(outcome).broker_order_id == "P3"
        again.commit()
        await again.die()
        assert complaint(again) == message
        await again.close()


async def test_new_fees_count_from_the_restart_on(tape: Path) -> None:
    """What was done under the old ones is done again under the old ones: nothing is lost by changing them."""
    desk = await Desk(on_tape(tape), taker_fee_percent="1").open()
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS))
    await desk.place(order("BTC/USDT", 1, "1"))
    desk.commit()
    desk.config = PaperTradingConfig.model_validate({"feed": on_tape(tape), "taker_fee_percent": "2"})
    await desk.die()
    assert complaint(desk) == ""
    await desk.place(order("BTC/USDT", 1, "1"))
    fees = [report.fees[0].amount for report in desk.books.log if isinstance(report, FillReport)]
    assert fees == [Decimal("1.01"), Decimal("2.02")]
    await desk.close()


async def test_a_tape_that_broke_begins_anew_and_the_account_goes_on(tmp_path: Path) -> None:
    """As before it was kept: mended or not, there is no going on behind what could not be read."""
    path = tmp_path / "recording.txt"
    good = [at(0, snapshot(1, [("99.00", "5.0")], [("101.00", "5.0")])), at(1000, depth(2, 2))]
    path.write_text(text([*good, at(2000, depth(3, 3, [("150.00", "1.0")]))]))
    desk = await Desk(on_tape(path)).open()
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS))
    await desk.place(order("BTC/USDT", 1, "1", "90"))
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS + 3000 * MS))
    desk.commit()
    desk.books.log.clear()
    await desk.die()
    assert "the market had broken" in complaint(desk)
    status = await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS + 1000 * MS))
    assert status.played_updates == 2
    assert [shown.client_order_id for shown in await desk.broker.list_open_orders()] == list(desk.books.open)
    await desk.close()


async def test_the_venue_answers_for_its_orders(tape: Path) -> None:
    """Working ones are found as they stand; of one that ended it cannot say; what it never took is absent; and a
    broker that is not connected says so."""
    desk = Desk(on_tape(tape))
    assert isinstance(await desk.broker.find_order(order("BTC/USDT", 1, "1")), Failed)
    await desk.open()
    await desk.broker.control_tape(TapeAction(seek_time_ns=START_NS))
    resting, done = order("BTC/USDT", 1, "9", "102"), order("BTC/USDT", -1, "1")
    for each in (done, resting):
        await desk.place(each)
    found = await desk.broker.find_order(resting)
    assert isinstance(found, Found)
    assert (found.order.quantity, found.order.cum_quantity) == (Decimal(9), Decimal(5))
    assert found.order.state.name == "PARTIALLY_FILLED"
    assert await desk.broker.list_open_orders() == [found.order]
    assert isinstance(await desk.broker.find_order(replace(done, broker_order_id="P1")), Failed)
    assert isinstance(await desk.broker.find_order(order("BTC/USDT", 1, "1")), Absent)
    await desk.close()
