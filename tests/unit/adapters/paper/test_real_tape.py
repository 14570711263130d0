"""Recorded markets: what orders get is what an independent reading of the raw lines gives."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.ports.broker import TapeAction
from tests.unit.adapters.paper.hand_clock import (
    HandClock,
    Reader,
    accepted,
    fills,
    order,
    settle,
    stop,
    tape_broker,
)
from tests.unit.sim.conftest import btc_recording, fx_folder

__all__ = ["btc_recording", "fx_folder"]

INSTANTS_S = (12.345, 77.0, 203.5)


def frames(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    with gzip.open(path, "rt") as lines:
        for line in lines:
            time_text, _, frame = line.partition(" ")
            yield int(time_text), json.loads(frame)


def book_at(path: Path, time_ns: int, side: str) -> list[tuple[Decimal, Decimal]]:
    """One side of the book at a time, unsorted: the snapshot and every later diff that had come, and no more."""
    diffs: list[tuple[int, int, list[list[str]]]] = []
    levels: dict[Decimal, Decimal] = {}
    base = 0
    for received_ns, frame in frames(path):
        if "lastUpdateId" in frame:
            base = int(str(frame["lastUpdateId"]))
            key = "asks" if side == "a" else "bids"
            levels = {Decimal(price): Decimal(size) for price, size in frame[key]}  # type: ignore[attr-defined]
        elif str(frame["stream"]).endswith("@depth@100ms"):
            data = frame["data"]
            diffs.append((received_ns, data["u"], data[side]))  # type: ignore[index]
    for received_ns, last_id, changed in diffs:
        if received_ns <= time_ns and last_id > base:
            levels |= {Decimal(price): Decimal(size) for price, size in changed}
    return [(price, size) for price, size in levels.items() if size]


def walk(levels: list[tuple[Decimal, Decimal]], quantity: Decimal) -> list[tuple[str, str]]:
    taken = []
    for price, size in levels:
        lots = min(size, quantity)
        taken.append((f"{price.normalize():f}", f"{lots.normalize():f}"))
        quantity -= lots
        if not quantity:
            break
    return taken


@pytest.mark.parametrize("seconds", INSTANTS_S)
async def test_twenty_bitcoin_are_bought_and_sold_as_the_raw_frames_say(
    btc_recording: Path, seconds: float
) -> None:
    """Level by level, price and size, at an instant of the tape; and the money adds up to the last digit."""
    first_ns = next(frames(btc_recording))[0]
    instant = first_ns + int(seconds * 1000) * 1_000_000
    paper = await tape_broker(HandClock(), btc_recording, initial_balance={"USDT": "10000000", "BTC": "20"})
    await paper.control_tape(TapeAction(seek_time_ns=instant))
    asks, bids = (
        sorted(book_at(btc_recording, instant, "a")),
        sorted(book_at(btc_recording, instant, "b"))[::-1],
    )
    bought, sold = walk(asks, Decimal(20)), walk(bids, Decimal(20))
    outcomes = await paper.place_orders([order("BTC/USDT", 1, "20"), order("BTC/USDT", -1, "20")])
    assert [fills(accepted(outcome)) for outcome in outcomes] == [bought, sold]
    assert len(bought) > 3
    spent = sum(Decimal(price) * Decimal(size) for price, size in bought)
    raised = sum(Decimal(price) * Decimal(size) for price, size in sold)
    totals = {balance.currency: balance.total for balance in await paper.get_balances()}
    assert totals == {"USDT": Decimal(10_000_000) - spent + raised, "BTC": Decimal(20)}
    await paper.close()


async def test_a_stop_in_the_payrolls_gap_fills_at_the_market(fx_folder: Path) -> None:
    """2 May 2014, 12:30:01.5 UTC: the stop fills at the first bid below it, not at its trigger."""
    recording = fx_folder / "oanda_eurusd_20140502_quote.zip"
    with zipfile.ZipFile(recording) as archive:
        lines = archive.read(archive.namelist()[0]).decode().splitlines()
    quotes = [(int(ms), Decimal(bid)) for ms, bid, _ in (line.split(",") for line in lines)]
    print_ms = (12 * 3600 + 30 * 60) * 1000
    stop_price = min(bid for ms, bid in quotes if print_ms - 60_000 <= ms < print_ms) - Decimal("0.0005")
    first_below = next(bid for ms, bid in quotes if ms >= print_ms and bid <= stop_price)
    assert first_below < stop_price
    midnight_ns = int(datetime(2014, 5, 2, tzinfo=UTC).timestamp()) * 10**9
    paper = await tape_broker(HandClock(), recording, initial_balance={"USD": "1000000"})
    reader = Reader(paper)
    await paper.control_tape(TapeAction(seek_time_ns=midnight_ns + print_ms * 1_000_000))
    accepted(await paper.place_order(stop("EUR/USD", -1, "1000", f"{stop_price}")))
    await paper.control_tape(TapeAction(seek_time_ns=midnight_ns + (print_ms + 60_000) * 1_000_000))
    await settle()
    assert fills(reader.reports) == [(f"{first_below.normalize():f}", "1000")]
    await paper.close()
    await reader.task
