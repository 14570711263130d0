"""The paper venue alone, in process: no engine, no journal, no gRPC.

`python -m tests.benchmarks.venue` prints tables; `--json` one JSON object, `--orders N` how many market orders (default
200,000), `--profile` where the time goes. Three figures:

- `apply`: updates of the recorded BTCUSDT market (a synthetic one where the recording is absent), decoded beforehand,
  applied to a venue with 0 and with 100 resting orders. An order that fills is placed anew at the same distance from
  the market, so that there are always as many.
- `replay`: the same with 100 resting orders from the compressed recording on: unpacked, parsed, joined, checked and
  applied.
- `orders`: market orders that fill, 100 at a time, without pause, each with its execution told and the diary taken.
  The last tenth over the first is the cost curve: 1 is flat.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import io
import json
import os
import pstats
import time
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from brokergate.domain import lifecycle
from brokergate.domain.instruments import Instrument
from brokergate.domain.orders import Order, OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import Accepted, RestoredState
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.synthetic import SyntheticFeed
from brokergate.sim.market import MarketUpdate
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue
from tests.benchmarks.servers import resident_mib

RECORDING = Path(__file__).parents[2] / "../shared/data/crypto_l2/binance_spot_btcusdt_20240808.gz"
SYMBOL = "BTC/USDT"
RESTING = 100
SLICE = 200
"""Updates that are applied at a time, as a player at full speed would."""
BATCH = 100
PIECE = 2_000
"""Orders that are made at a time."""
SYNTHETIC_UPDATES = 40_000
PLENTY = Decimal(10) ** 12
WARM_UP = 2_000
"""Updates after which both books of the recording stand."""
TARGETS = {"updates_per_s": 200_000, "orders_per_s": 30_000}
"""What is asked of one process."""


class Tape:
    """The market: its instruments and its updates, anew each time."""

    def __init__(self) -> None:
        self.recorded = RECORDING.exists()
        self._tape = open_tape([RECORDING]) if self.recorded else None
        survey = self._tape.survey() if self._tape else None
        self.instruments: tuple[Instrument, ...] = (
            survey.instruments if survey else SyntheticFeed(7, 0, (SYMBOL,)).instruments
        )

    def updates(self) -> Iterable[MarketUpdate]:
        """From the beginning."""
        if self._tape is not None:
            return self._tape.updates()
        return SyntheticFeed(7, 0, (SYMBOL,)).pull(SYNTHETIC_UPDATES)


class Quoter:
    """Keeps as many limit orders resting: half on each side, each at its own distance from the market."""

    def __init__(self, venue: Venue, count: int) -> None:
        self.venue = venue
        self.count = count
        self.placed = 0

    def refill(self) -> None:
        """Places what is missing."""
        missing = self.count - len(self.venue.open_orders())
        if missing > 0:
            book = self.venue.listings[SYMBOL].market.book
            bid, ask = book.bids.best(), book.asks.best()
            if bid is not None and ask is not None:
                self.venue.place([self._order(bid, ask) for _ in range(missing)], self.venue.now_ns)

    def _order(self, bid: int, ask: int) -> Order:
        self.placed += 1
        side = Side.BUY if self.placed % 2 else Side.SELL
        away = 20 * (1 + self.placed % self.count)
        ticks = bid - away if side is Side.BUY else ask + away
        return order(f"q{self.placed}", side, self.venue.now_ns, self.venue.listings[SYMBOL].price(ticks))


def order(client_order_id: str, side: Side, now_ns: int, limit: Decimal | None = None) -> Order:
    """A small order: a limit order at `limit`, else a market order."""
    kind = OrderType.MARKET if limit is None else OrderType.LIMIT
    spec = OrderSpec(
        SYMBOL,
        side,
        kind,
        quantity=Decimal("0.0001"),
        limit_price=limit,
        time_in_force=TimeInForce.GTC,
    )
    return lifecycle.intend(
        order_id=client_order_id,
        client_order_id=client_order_id,
        account_id="bench",
        spec=spec,
        quantity=Decimal("0.0001"),
        multiplier=Decimal(1),
        now_ns=now_ns,
    )


def new_venue(tape: Tape) -> Venue:
    """An account with plenty of both."""
    terms = AccountTerms({"USDT": PLENTY, "BTC": PLENTY})
    return Venue(tape.instruments, terms, RestoredState((), (), (), 0, 0), 0)


def apply(tape: Tape, updates: Iterable[MarketUpdate], resting: int) -> dict[str, float]:
    """Plays `updates`; those of the warm-up are not counted. The venue's diary is taken with each slice."""
    venue, moving = new_venue(tape), iter(updates)
    venue.apply(islice(moving, WARM_UP), 0)
    quoter = Quoter(venue, resting)
    quoter.refill()
    count = reports = 0
    gc.collect()
    began_s = time.perf_counter()
    while batch := list(islice(moving, SLICE)):
        reports += len(venue.apply(batch, 0))
        count += len(batch)
        venue.diary.take()
        if resting:
            quoter.refill()
    return {
        "updates": count,
        "updates_per_s": count / (time.perf_counter() - began_s),
        "reports": reports,
        "orders": quoter.placed,
    }


def orders(tape: Tape, count: int) -> dict[str, float]:
    """Market orders in turn, against the book of one moment; it is told anew with every batch."""
    venue = new_venue(tape)
    updates = list(islice(tape.updates(), WARM_UP))
    venue.apply(updates, 0)
    market = venue.listings[SYMBOL].market
    levels = [tuple(side.levels(50)) for side in (market.book.bids, market.book.asks)]
    pieces: list[float] = []
    memory: list[float] = []
    gc.collect()
    for start in range(0, count, PIECE):
        # What the engine would hand over: made outside of what is timed.
        batches = [
            [order(f"m{i + j}", Side.BUY if j % 2 else Side.SELL, venue.now_ns) for j in range(BATCH)]
            for i in range(start, min(start + PIECE, count), BATCH)
        ]
        began_s = time.perf_counter()
        for batch in batches:
            for side, told in zip((market.book.bids, market.book.asks), levels, strict=True):
                # Gone and back: what is told again as it was renews nothing.
                side.replace(())
                side.replace(told)
            for outcome in venue.place(batch, venue.now_ns):
                if not isinstance(outcome, Accepted) or len(outcome.reports) != 1:
                    raise RuntimeError(f"an order of the benchmark was not filled at once: {outcome}")
            venue.changed_holdings()
            venue.diary.take()
        pieces.append((time.perf_counter() - began_s) / sum(map(len, batches)))
        del batches
        memory.append(resident_mib(os.getpid()))
    tenth = max(1, len(pieces) // 10)
    first, last = median(pieces[:tenth]), median(pieces[-tenth:])
    return {
        "orders": count,
        "orders_per_s": len(pieces) / sum(pieces),
        "us_per_order_first": first * 1e6,
        "us_per_order_last": last * 1e6,
        "last_over_first": last / first,
        "resident_mib_first": memory[0],
        "resident_mib_last": memory[-1],
    }


def measure(count: int) -> dict[str, Any]:
    """All figures."""
    tape = Tape()
    decoded = list(tape.updates())
    return {
        "market": "recorded BTCUSDT" if tape.recorded else "synthetic BTC/USDT",
        "apply.0": apply(tape, decoded, 0),
        f"apply.{RESTING}": apply(tape, decoded, RESTING),
        "replay": apply(tape, tape.updates(), RESTING),
        "orders": orders(tape, count),
        "targets": TARGETS,
    }


def profile(work: Callable[[], object], title: str) -> str:
    """The functions that take the most time by themselves. Profiled code is slower, small functions most."""
    profiler = cProfile.Profile()
    profiler.runcall(work)
    out = io.StringIO()
    pstats.Stats(profiler, stream=out).strip_dirs().sort_stats("tottime").print_stats(18)
    return f"{title}\n" + "\n".join(out.getvalue().splitlines()[4:])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.venue", description=__doc__)
    parser.add_argument("--orders", type=int, default=200_000, help="default: %(default)s")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args(arguments)
    if options.profile:
        tape = Tape()
        decoded = list(tape.updates())
        print(profile(lambda: apply(tape, decoded, RESTING), f"apply with {RESTING} resting orders"))
        print(profile(lambda: apply(tape, tape.updates(), RESTING), "replay from the recording"))
        print(profile(lambda: orders(tape, 20_000), "market orders"))
        return
    found = measure(options.orders)
    if options.json:
        print(json.dumps(found))
        return
    for name, figures in found.items():
        shown = (
            ", ".join(f"{key} {value:,.2f}" for key, value in figures.items())
            if isinstance(figures, dict)
            else figures
        )
        print(f"{name:10}  {shown}")


if __name__ == "__main__":
    main()
