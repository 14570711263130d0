"""Tables to make tapes of."""

from __future__ import annotations

from pathlib import Path

from brokergate.sim.feeds.layout import TableLayout
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import Tape, TapeOverrides
from brokergate.sim.market import MarketUpdate

QUOTES = """time,bid,ask,bid_size,ask_size
2024-05-06T10:00:00Z,1.0801,1.0803,5,7
2024-05-06T10:00:00.5Z,1.0802,1.0804,6,8
"""
TRADES = """ts,price,qty,side
1714989600000,61000.1,0.5,buy
1714989600250,61000.2,0.25,sell
"""
BARS = """date,open,high,low,close,volume
2024-05-06,10,12,9,11,1000
2024-05-07,11,13,10,12,2000
"""


def table(folder: Path, content: str | bytes, name: str = "AAPL.csv") -> Path:
    """A file of `content`."""
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def opened(path: Path, symbol: str | None = None, **layout: object) -> Tape:
    """The tape in `path`, with a layout of these settings."""
    return open_tape(path, TapeOverrides(symbol, layout=TableLayout(**layout)))  # type: ignore[arg-type]


def updates(path: Path, symbol: str | None = None, **layout: object) -> list[MarketUpdate]:
    """All that the tape in `path` tells."""
    return list(opened(path, symbol, **layout).updates())
