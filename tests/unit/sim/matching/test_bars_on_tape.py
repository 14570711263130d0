"""Orders on three years of Apple's daily bars, against what the file itself says."""

from __future__ import annotations

import csv
import gzip
from decimal import Decimal
from pathlib import Path

from brokergate.domain.orders import OrderType, TimeInForce, TriggerSource
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.filling import FillTerms
from brokergate.sim.market import BarUpdate
from brokergate.sim.orders import Executed, WorkingOrder
from brokergate.sim.terms import AccountTerms
from tests.unit.sim.matching.desk import Desk

RICH = {"USD": Decimal(10) ** 15}
ORDERS = 100


def rows(path: Path) -> list[dict[str, Decimal]]:
    with gzip.open(path, "rt") as lines:
        return [
            {name: Decimal(row[name]) for name in ("open", "high", "low", "close", "volume")}
            for row in csv.DictReader(lines)
        ]


def test_limits_stops_and_market_orders_on_daily_bars(shared_data: Path) -> None:
    """After each close one order of one kind, large enough to need several days, alone in the market: on the first
    days whose prices allow it, at the price that the rule names, 5 per cent of each day's shares."""
    path = shared_data / "us_stock" / "AAPL_daily_2012_2014.csv.gz"
    tape = open_tape(path)
    (instrument,) = tape.survey().instruments
    bars = [update for *_, update in tape.located() if isinstance(update, BarUpdate)]
    days = rows(path)
    assert len(bars) == len(days) == 754
    tick, lot = instrument.price_increment, instrument.quantity_increment
    terms = AccountTerms(RICH, fills=FillTerms(participation_percent=Decimal(5)))
    told: list[Executed] = []
    filled: dict[str, list[tuple[int, int, bool]]] = {}
    for number in range(ORDERS):
        start, kind = 7 * number, ("limit", "stop", "market")[number % 3]
        desk = Desk(instrument, terms=terms)
        market = desk.venue.listings[instrument.symbol].market
        market.apply(bars[start])
        side = 1 if number % 2 else -1
        close = int(days[start]["close"] / tick)
        away = close * (number % 5) // 200
        limit = close - side * away - side if kind == "limit" else None
        stop = close + side * away + side if kind == "stop" else None
        wanted = int(days[start]["volume"] / lot) // 8
        order = WorkingOrder(
            f"c{number}", f"P{number}", instrument.symbol, side,
            OrderType.LIMIT if limit else OrderType.STOP if stop else OrderType.MARKET,
            TimeInForce.GTC, wanted, limit, stop, TriggerSource.UNSPECIFIED,
        )  # fmt: skip
        assert market.place(order, bars[start].time_ns) is None
        for update in bars[start + 1 : start + 40]:
            market.apply(update)
        told = [h for h in desk.venue._happenings if isinstance(h, Executed)]
        filled[kind] = filled.get(kind, []) + [(h.price, h.lots, h.maker) for h in told]
        assert [(h.price, h.lots, h.maker) for h in told] == expected(
            days[start : start + 40], tick, lot, side, wanted, limit, stop
        )
    assert {kind: len(fills) > 20 for kind, fills in filled.items()} == dict.fromkeys(filled, True)
    assert {maker for _, _, maker in filled["limit"]} == {True, False}


def expected(
    days: list[dict[str, Decimal]],
    tick: Decimal,
    lot: Decimal,
    side: int,
    left: int,
    limit: int | None,
    stop: int | None,
) -> list[tuple[int, int, bool]]:
    """By the table in docs/paper-venue.md."""
    fills: list[tuple[int, int, bool]] = []
    triggered = stop is None
    for index, day in enumerate(days):
        begin, high, low, close = (int(day[name] / tick) for name in ("open", "high", "low", "close"))
        share = min(left, int(day["volume"] / lot) * 5 // 100)
        price, maker = None, False
        if index == 0:
            price = close if limit is None and stop is None else None
        elif stop is not None and not triggered:
            if side * begin >= side * stop:
                price, triggered = begin, True
            elif low <= stop <= high:
                price, triggered = stop, True
        elif limit is None or side * begin < side * limit:
            price = begin
        elif (low if side > 0 else -high) < side * limit:
            price, maker = limit, True
        if price is not None and share:
            fills.append((price, share, maker))
            left -= share
    return fills
