"""The venue's own book on the recorded market: never crossed, and at its top what bookTicker says."""

from __future__ import annotations

import gzip
import json
from bisect import bisect_right
from decimal import Decimal
from pathlib import Path

from brokergate.sim.book import Book
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.market import BookDelta, BookSnapshot
from brokergate.sim.scale import Scale

Level = tuple[Decimal, Decimal]


def tickers(recording: Path) -> tuple[list[int], list[tuple[Level, Level]]]:
    """Every bookTicker of the raw file: its update ids, and the best bid and ask beside them."""
    ids: list[int] = []
    tops: list[tuple[Level, Level]] = []
    with gzip.open(recording, "rt") as lines:
        for line in lines:
            frame = json.loads(line.partition(" ")[2])
            if frame.get("stream", "").endswith("@bookTicker"):
                data = frame["data"]
                ids.append(data["u"])
                tops.append(
                    ((Decimal(data["b"]), Decimal(data["B"])), (Decimal(data["a"]), Decimal(data["A"])))
                )
    return ids, tops


def test_the_venues_book_agrees_with_book_ticker_wherever_they_can_be_compared(btc_recording: Path) -> None:
    """After the snapshot and each of the 3,449 depth updates the best prices and sizes are bookTicker's; it is never
    crossed.

    Comparable is a book with last update id u for which a bookTicker with an id of at most u was sent: the latest of
    them is the top at u.
    """
    ids, tops = tickers(btc_recording)
    assert ids == sorted(ids)
    tape = open_tape(btc_recording)
    (instrument,) = tape.survey().instruments
    scale = Scale(instrument.price_increment, instrument.quantity_increment)
    book, compared = Book(), 0
    for _, _, update_id, update in tape.located():
        if isinstance(update, BookSnapshot):
            book.snapshot(update)
        elif isinstance(update, BookDelta):
            book.delta(update)
        else:
            continue
        assert not book.distrust
        ((bid, bid_size),), ((ask, ask_size),) = book.bids.levels(1), book.asks.levels(1)
        assert bid < ask
        before = bisect_right(ids, update_id) - 1
        if before < 0:
            continue
        shown = (
            (scale.price(bid), scale.quantity(bid_size)),
            (scale.price(ask), scale.quantity(ask_size)),
        )
        assert shown == tops[before]
        compared += 1
    assert compared == 1 + 3_449
