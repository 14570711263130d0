"""Small recordings of Binance's streams, written by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

START_NS = 1_700_000_000_000_000_000

Level = tuple[str, str]


def depth(first: int, last: int, bids: Iterable[Level] = (), asks: Iterable[Level] = ()) -> dict[str, object]:
    """A depth diff of BTCUSDT."""
    return {
        "stream": "btcusdt@depth@100ms",
        "data": {
            "e": "depthUpdate",
            "E": 1_700_000_000_000 + last,
            "s": "BTCUSDT",
            "U": first,
            "u": last,
            "b": [list(level) for level in bids],
            "a": [list(level) for level in asks],
        },
    }


def snapshot(last_id: int, bids: Iterable[Level], asks: Iterable[Level]) -> dict[str, object]:
    """A REST depth snapshot."""
    return {
        "lastUpdateId": last_id,
        "bids": [list(level) for level in bids],
        "asks": [list(level) for level in asks],
    }


def ticker(book_id: int, bid: Level, ask: Level, symbol: str = "BTCUSDT") -> dict[str, object]:
    """A bookTicker."""
    return {
        "stream": f"{symbol.lower()}@bookTicker",
        "data": {"u": book_id, "s": symbol, "b": bid[0], "B": bid[1], "a": ask[0], "A": ask[1]},
    }


def trade(price: str, size: str, buyer_is_maker: bool, symbol: str = "BTCUSDT") -> dict[str, object]:
    """A trade."""
    return {
        "stream": f"{symbol.lower()}@trade",
        "data": {
            "e": "trade",
            "E": 1_700_000_000_000,
            "s": symbol,
            "t": 1,
            "p": price,
            "q": size,
            "T": 1_700_000_000_000,
            "m": buyer_is_maker,
            "M": True,
        },
    }


def text(frames: Iterable[object], *, stamped: bool = True) -> str:
    """The frames a line each, a millisecond apart when stamped; a string stands as it is."""
    lines = []
    for number, frame in enumerate(frames):
        if isinstance(frame, str):
            lines.append(frame)
        elif stamped:
            lines.append(f"{START_NS + number * 1_000_000} {json.dumps(frame)}")
        else:
            lines.append(json.dumps(frame))
    return "\n".join(lines) + "\n"


def write(folder: Path, frames: Iterable[object], *, stamped: bool = True) -> Path:
    """The frames as a plain recording in `folder`."""
    path = folder / "recording.txt"
    path.write_text(text(frames, stamped=stamped), encoding="ascii")
    return path


GOOD = (
    depth(98, 101, bids=[("100.00", "1.5")], asks=[("100.30", "9")]),
    snapshot(100, bids=[("100.00", "2"), ("99.90", "1")], asks=[("100.10", "3"), ("100.30", "4")]),
    ticker(101, ("100.00", "1.5"), ("100.10", "3")),
    depth(102, 105, bids=[("99.90", "0")], asks=[("100.10", "1")]),
    trade("100.10", "2", buyer_is_maker=False),
    ticker(105, ("100.00", "1.5"), ("100.10", "1")),
)
"""A whole, joined recording: the first diff straddles the snapshot."""
