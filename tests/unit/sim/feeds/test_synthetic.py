"""The synthetic market: deterministic, sane, endless."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokergate.domain.instruments import InstrumentKind
from brokergate.sim.feeds.crossing import uncrossed
from brokergate.sim.feeds.profiles import AAPL, BTC_USDT, EUR_USD, PROFILES
from brokergate.sim.feeds.synthetic import SyntheticFeed, SyntheticMarket
from brokergate.sim.market import BookDelta, BookSnapshot, TradeUpdate

START_NS = 1_700_000_000_000_000_000
MINUTE_NS = 60_000_000_000

DIGEST = """
import hashlib
from brokergate.sim.feeds.synthetic import SyntheticFeed
feed = SyntheticFeed(7, 1_700_000_000_000_000_000)
updates = feed.advance(1_700_000_000_000_000_000 + 120_000_000_000)
print(len(updates), hashlib.sha256(repr(updates).encode()).hexdigest())
"""


def test_the_same_seed_gives_the_same_bytes_in_two_processes(project_root: Path) -> None:
    """Whatever the seed of Python's own hashing is."""

    def digest(hash_seed: str) -> str:
        environment = {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(project_root / "server")}
        command = [sys.executable, "-c", DIGEST]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert digest("1") == digest("2")


def test_another_seed_gives_another_market() -> None:
    """The dice count."""
    one, other = (SyntheticFeed(seed, START_NS).advance(START_NS + MINUTE_NS) for seed in (1, 2))
    assert one != other


def test_it_does_not_matter_how_it_is_pulled() -> None:
    """In one piece, in small ones, or one by one."""
    whole = SyntheticFeed(3, START_NS).advance(START_NS + MINUTE_NS)
    feed = SyntheticFeed(3, START_NS)
    parts = [update for part in range(61) for update in feed.advance(START_NS + part * 1_000_000_000)]
    assert parts == whole
    assert list(islice(SyntheticFeed(3, START_NS).updates(), len(whole))) == whole


def test_an_instrument_more_changes_nothing_in_the_others() -> None:
    """Each has dice of its own."""
    alone = SyntheticFeed(5, START_NS, ["EUR/USD"]).advance(START_NS + MINUTE_NS)
    together = SyntheticFeed(5, START_NS).advance(START_NS + MINUTE_NS)
    assert [update for update in together if update.symbol == "EUR/USD"] == alone


@settings(max_examples=25)
@given(seed=st.integers(0, 2**64), symbol=st.sampled_from(sorted(PROFILES)))
def test_the_book_is_whole_at_every_update(seed: int, symbol: str) -> None:
    """Never crossed, twenty positive levels a side, spreads in range, trades within the best level."""
    market = SyntheticMarket(symbol, Random(seed), START_NS)
    updates = market.advance(START_NS + MINUTE_NS)
    assert isinstance(updates[0], BookSnapshot)
    assert list(uncrossed(("", 0, 0, update) for update in updates)) == updates
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for update in updates:
        if isinstance(update, TradeUpdate):
            side, best = (asks, min(asks)) if update.aggressor > 0 else (bids, max(bids))
            assert update.price == best
            assert 0 < update.size <= side[best]
            side[best] -= update.size
            if not side[best]:
                del side[best]
            continue
        assert isinstance(update, (BookSnapshot, BookDelta))
        for side, levels in ((bids, update.bids), (asks, update.asks)):
            for price, size in levels:
                assert price > 0
                assert size >= 0
                if size:
                    side[price] = size
                else:
                    side.pop(price, None)
        assert len(bids) == len(asks) == market.profile.levels
        assert 1 <= min(asks) - max(bids) <= market.profile.max_spread


@pytest.mark.parametrize("symbol", sorted(PROFILES))
def test_it_speaks_ten_to_fifty_times_a_second(symbol: str) -> None:
    """In tape time, with trades among it."""
    updates = SyntheticMarket(symbol, Random(1), START_NS).advance(START_NS + 10 * MINUTE_NS)
    assert 10 <= len(updates) / 600 <= 50
    assert any(isinstance(update, TradeUpdate) for update in updates)
    times = [update.time_ns for update in updates]
    assert times == sorted(times)
    assert times[0] == START_NS


def test_prices_never_reach_zero_however_wild_it_is() -> None:
    """At a thousand per cent of volatility and with little room below."""
    wild = replace(BTC_USDT, start_price=30_000, annual_volatility=10.0, updates_per_second=1)
    market = SyntheticMarket("BTC/USDT", Random(2), START_NS, wild)
    for update in market.advance(START_NS + 20_000 * 1_000_000_000):
        if isinstance(update, (BookSnapshot, BookDelta)):
            assert all(price > 0 for price, _ in (*update.bids, *update.asks))


def test_the_default_feed_has_crypto_currencies_and_shares() -> None:
    """Three instruments for the embedded account."""
    feed = SyntheticFeed(0, START_NS)
    assert [instrument.symbol for instrument in feed.instruments] == ["BTC/USDT", "EUR/USD", "AAPL"]
    kinds = [profile.instrument.kind for profile in (BTC_USDT, EUR_USD, AAPL)]
    assert kinds == [InstrumentKind.SPOT, InstrumentKind.FOREX, InstrumentKind.EQUITY]


def test_an_unknown_symbol_is_refused_with_the_known_ones() -> None:
    """The message names them."""
    with pytest.raises(ValueError, match="BTC/USDT, EUR/USD, AAPL"):
        SyntheticMarket("DOGE/USDT", Random(0), START_NS)


def test_a_profile_without_room_is_refused() -> None:
    """Twenty levels must fit above zero."""
    with pytest.raises(ValueError, match="finer tick"):
        replace(BTC_USDT, start_price=1_000)
