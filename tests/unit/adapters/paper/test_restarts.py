"""A paper account that is killed and started again: nobody who trades on it can tell."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from brokergate.domain.money import add, multiply
from brokergate.domain.orders import Order, TimeInForce
from brokergate.ports.broker import FillReport, PushedUpdate, TapeAction
from tests.unit.adapters.paper.durable import Desk
from tests.unit.adapters.paper.hand_clock import order, stop
from tests.unit.adapters.paper.test_live import PUSHED, book, quote, trade
from tests.unit.sim.conftest import btc_recording
from tests.unit.sim.portrait import IGNORED, difference

__all__ = ["btc_recording"]

MS = 1_000_000
DEATHS = 12
UNSEEN = IGNORED | {"received_ns", "mark"}
"""When the gateway learned of an update is as of the step that it came in; a mark is worked out at every look."""


class Twins:
    """Two accounts that are given the same; one of them dies now and then."""

    def __init__(self, feed: dict[str, object], seed: int, **settings: object) -> None:
        self.unbroken, self.mortal = (Desk(feed, **settings) for _ in range(2))
        self.random = Random(seed)
        self.seen: Counter[str] = Counter()
        self._names = 0

    @property
    def both(self) -> tuple[Desk, Desk]:
        return self.unbroken, self.mortal

    async def open(self) -> None:
        for desk in self.both:
            await desk.open()

    async def advance(self, seconds: float) -> None:
        for desk in self.both:
            await desk.clock.advance(seconds)

    async def steer(self, action: TapeAction) -> None:
        first, second = [await desk.broker.control_tape(action) for desk in self.both]
        assert first == second

    def some_order(self, symbols: tuple[str, ...]) -> Order | None:
        """An order near the market: to be taken at once, to rest, or to wait."""
        random, symbol = self.random, self.random.choice(symbols)
        view = self.unbroken.broker.quote(symbol)
        if view is None or view.bid_price is None or view.ask_price is None:
            return None
        tick, lot = INCREMENTS[symbol]
        side = random.choice((1, -1))
        self._names += 1
        name, lots = f"t{self._names}", str(multiply(lot, Decimal(random.choice((1, 700, 40_000)))))
        near = view.bid_price if side > 0 else view.ask_price
        price = str(add(near, multiply(tick, Decimal(random.randint(-40, 40)))))
        if random.random() < 0.2:
            return stop(symbol, side, lots, price, name)
        force = random.choice((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.DAY, TimeInForce.IOC))
        return order(symbol, side, lots, price if random.random() < 0.8 else None, force, name)

    async def trade(self, symbols: tuple[str, ...], *, lost: bool = False) -> None:
        """One command; a lost one only to the account that is about to die."""
        desks = (self.mortal,) if lost else self.both
        roll = self.random.random()
        working = sorted(self.mortal.books.open)
        if roll < 0.2 and working:
            name = self.random.choice(working)
            outcomes = [await desk.cancel(name) for desk in desks]
        elif roll < 0.4 and working:
            known = self.mortal.books.open[self.random.choice(working)]
            tick, lot = INCREMENTS[known.spec.symbol]
            quantity = add(known.cum_quantity, multiply(lot, Decimal(self.random.randint(1, 900))))
            limit = known.spec.limit_price
            moved = None if limit is None else add(limit, multiply(tick, Decimal(self.random.randint(-2, 2))))
            outcomes = [await desk.replace(known.client_order_id, quantity, moved) for desk in desks]
        else:
            made = self.some_order(symbols)
            if made is None:
                return
            outcomes = [await desk.place(made) for desk in desks]
        assert outcomes[0] == outcomes[-1]
        self.seen.update([type(outcomes[0]).__name__])

    async def stir(self) -> None:
        """Something happens: a market that touches nobody is kept only now and then."""
        made = order("BTC/USDT", 1, "1", "1", TimeInForce.IOC)
        for desk in self.both:
            await desk.place(made)

    def commit(self) -> None:
        for desk in self.both:
            desk.commit()

    def compare(self) -> None:
        first, second = self.both
        assert len(first.books.log) == len(second.books.log)
        pairs = zip(first.books.log, second.books.log, strict=True)
        assert [pair for pair in pairs if pair[0] != pair[1]][:1] == []
        assert difference(first.broker._venue, second.broker._venue, UNSEEN) == ""
        assert first.broker._feed is not None
        assert second.broker._feed is not None
        assert first.broker._feed.standing() == second.broker._feed.standing()

    async def close(self) -> None:
        filled = [fill for fill in self.mortal.books.log if isinstance(fill, FillReport)]
        assert len({fill.execution_id for fill in filled}) == len(filled) > 5
        for desk in self.both:
            await desk.close()


INCREMENTS = {
    "BTC/USDT": (Decimal("0.01"), Decimal("0.00001")),
    "EUR/USD": (Decimal("0.00001"), Decimal(1)),
    "AAPL": (Decimal("0.01"), Decimal(1)),
}


@pytest.mark.parametrize("seed", range(3))
async def test_on_a_made_up_market_a_death_changes_nothing(seed: int) -> None:
    """Fills, queue, lots, stops, random numbers: at every commit both accounts are the same, and go on the same."""
    twins = Twins({"synthetic": {"seed": seed}}, seed, taker_fee_percent="0.1", maker_fee_percent="0.05")
    await twins.open()
    for _ in range(60):
        await twins.advance(twins.random.random() * 0.5)
        for _ in range(twins.random.randint(0, 4)):
            await twins.trade(("BTC/USDT", "EUR/USD", "AAPL"))
        dies = twins.random.random() < 0.3
        if dies:
            await twins.stir()
        twins.commit()
        if dies:
            for _ in range(twins.random.randint(0, 3)):
                await twins.trade(("BTC/USDT", "EUR/USD", "AAPL"), lost=True)
            await twins.mortal.die()
        twins.compare()
    assert twins.seen["Accepted"] > 50
    await twins.close()


@pytest.mark.parametrize("seed", range(2))
async def test_on_a_recorded_market_a_death_changes_nothing(btc_recording: Path, seed: int) -> None:
    """A real tape, sought through, played and paused: the account that dies goes on where it stood, and ends with the
    fills of the one that never did. What it did and did not commit, seeking ahead among it, never happened."""
    twins = Twins(
        {"tape": str(btc_recording), "speed": "1", "paused": True},
        seed,
        initial_balance={"USDT": "10000000", "BTC": "50"},
        taker_fee_percent="0.1",
    )
    await twins.open()
    start = await twins.unbroken.broker.control_tape(TapeAction(pause=True))
    time_ns = start.start_time_ns + 10_000 * MS
    for number in range(40):
        await twins.steer(TapeAction(seek_time_ns=time_ns))
        for _ in range(twins.random.randint(0, 4)):
            await twins.trade(("BTC/USDT",))
        if number % 3 == 0:
            await twins.steer(TapeAction(resume=True))
            await twins.advance(2.5)
            if number % 2:
                await twins.steer(TapeAction(pause=True))
        twins.commit()
        if twins.random.random() < 0.25:
            ahead = await twins.mortal.broker.control_tape(TapeAction(pause=True))
            for _ in range(twins.random.randint(0, 3)):
                await twins.trade(("BTC/USDT",), lost=True)
            await twins.mortal.broker.control_tape(TapeAction(seek_time_ns=ahead.tape_time_ns + 5_000 * MS))
            await twins.mortal.die()
        twins.compare()
        time_ns += 8_000 * MS
    await twins.close()


@pytest.mark.parametrize("seed", range(3))
async def test_on_a_pushed_market_a_death_changes_nothing(seed: int) -> None:
    """Quotes, trades and books that were pushed before a commit are there after it, with the times that their client
    gave them; those after it are not."""
    twins = Twins(PUSHED, seed, initial_balance={"USDT": "100000", "BTC": "500"}, taker_fee_percent="0.1")
    await twins.open()
    random = twins.random

    def pushed() -> PushedUpdate:
        middle = random.randint(90, 110)
        return random.choice(
            (
                quote(f"{middle}", f"{middle}.5", str(random.randint(1, 9))),
                trade(f"{middle}", str(random.randint(1, 20))),
                book([(f"{middle}", "3"), (f"{middle - 1}", "2")], [(f"{middle + 1}", "1")]),
            )
        )

    for _ in range(80):
        await twins.advance(random.randint(0, 2))
        for _ in range(random.randint(0, 5)):
            update = pushed()
            side, lots, limit = (
                random.choice((1, -1)),
                str(random.randint(1, 30)),
                str(random.randint(92, 108)),
            )
            made = order("BTC/USDT", side, lots, random.choice((limit, limit, None)))
            for desk in twins.both:
                await desk.broker.push([update])
                await desk.place(made)
        dies = random.random() < 0.3
        if dies:
            await twins.stir()
        twins.commit()
        if dies:
            await twins.mortal.broker.push([pushed(), pushed()])
            await twins.mortal.place(order("BTC/USDT", 1, "3", "99"))
            await twins.mortal.die()
        twins.compare()
        assert twins.unbroken.broker.quote("BTC/USDT") == twins.mortal.broker.quote("BTC/USDT")
    await twins.close()
