"""The market that a run plays: a tape, or the synthetic one, as an account's `feed` names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.backtest.times import SECOND_NS
from brokergate.domain.instruments import Instrument
from brokergate.sim.feeds.opening import open_tape, tape_paths
from brokergate.sim.feeds.profiles import PROFILES, SyntheticProfile
from brokergate.sim.feeds.synthetic import SyntheticFeed
from brokergate.sim.feeds.tape import TapeSurvey
from brokergate.sim.market import MarketUpdate

SYNTHETIC_START_NS = 1_767_623_400 * SECOND_NS
"""When a synthetic market begins: Monday, 5 January 2026, 14:30 UTC, as New York opens and FX trades."""
SYNTHETIC_SPAN_NS = 600 * SECOND_NS
"""How long it runs unless it is said otherwise."""


@dataclass(frozen=True, slots=True)
class Market:
    """What is played. `updates` gives them from the first one, as often as it is asked."""

    name: str
    instruments: tuple[Instrument, ...]
    start_ns: int
    end_ns: int
    """Where it ends unless it is said otherwise; its updates at that moment are played."""
    endless: bool
    """Whether it would go on beyond `end_ns`."""
    updates: Callable[[], Iterator[MarketUpdate]]
    survey: TapeSurvey | None = None
    """A tape's."""


def open_market(config: PaperTradingConfig, seed: int = 0) -> Market:
    """The market of `config.feed`; `seed` is the synthetic one's where the configuration names none.
    Reads a tape through once. `TapeError` for one that cannot be read, `ValueError` for a feed that
    has nothing to play."""
    feed = config.feed
    if feed.tape:
        tape = open_tape(feed.tape, feed.overrides())
        survey = tape.survey()
        names = ", ".join(path.name for path in tape_paths(feed.tape))
        return Market(
            f"tape {names}", survey.instruments, survey.start_ns, survey.end_ns, False, tape.updates, survey
        )
    for name in ("push", "account"):
        if getattr(feed, name) is not None:
            raise ValueError(f"feed: {name} has no market of its own to play; use tape or synthetic")
    if feed.synthetic is None:
        return synthetic_market(seed)
    return synthetic_market(feed.synthetic.seed, feed.synthetic.profiles())


def synthetic_market(seed: int, profiles: Mapping[str, SyntheticProfile] = PROFILES) -> Market:
    """The market that makes itself up, for ever; ten minutes of it unless it is said otherwise."""

    def feed() -> SyntheticFeed:
        return SyntheticFeed(seed, SYNTHETIC_START_NS, tuple(profiles), profiles)

    def updates() -> Iterator[MarketUpdate]:
        return feed().updates()

    instruments = feed().instruments
    end_ns = SYNTHETIC_START_NS + SYNTHETIC_SPAN_NS
    return Market(f"synthetic market, seed {seed}", instruments, SYNTHETIC_START_NS, end_ns, True, updates)
