"""What a paper account opens with: its terms, and its market as the configuration names it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.adapters.paper.feed_config import FeedConfig
from brokergate.adapters.paper.follow import AccountFeed
from brokergate.adapters.paper.instruments_config import SyntheticConfig
from brokergate.adapters.paper.keeping import PaperFeed
from brokergate.adapters.paper.live import PushClock, SyntheticPlayer
from brokergate.adapters.paper.player import TapePlayer
from brokergate.domain.errors import BrokerError, TemporaryConnectionError
from brokergate.domain.instruments import Instrument
from brokergate.ports.clock import Clock
from brokergate.ports.market import MarketOf, MarketSource
from brokergate.sim.feeds.opening import open_tape
from brokergate.sim.feeds.tape import Tape, TapeSurvey
from brokergate.sim.market import MarketUpdate
from brokergate.sim.terms import AccountTerms

DEFAULT_STALE_MS = 60_000
Followed = tuple[MarketSource, tuple[Instrument, ...]]
"""Another account's market, and what of it is traded here."""


@dataclass(frozen=True, slots=True)
class Ears:
    """Where a feed tells what it has."""

    play: Callable[[Sequence[MarketUpdate]], None]
    """Updates that the feed can give again."""
    push: Callable[[MarketUpdate, int], None]
    """One that it cannot, with the time that its source gave it."""
    advance: Callable[[int], None]
    """Nothing but the time."""
    fail: Callable[[str], None]
    """That it broke, and why."""


class Opening:
    """One account's market, looked at once: feeds are made of it. `load` reads what it needs first."""

    def __init__(self, config: PaperTradingConfig, tape: Tape | None, followed: Followed | None) -> None:
        self._config = config
        self._tape = tape
        self._followed = followed

    @classmethod
    async def load(cls, config: PaperTradingConfig, market_of: MarketOf) -> Opening:
        """`TapeError`, `ValueError` and `OSError` for a tape that cannot be read, `BrokerError` for an account that
        cannot be followed, `TemporaryConnectionError` while its broker is away."""
        feed = config.feed
        # Surveying a long recording takes seconds: not on the event loop.
        tape = await asyncio.to_thread(_surveyed, feed.tape, config) if feed.tape else None
        followed = await _followed(feed.account, feed, market_of) if feed.account else None
        return cls(config, tape, followed)

    def terms(self) -> AccountTerms:
        """The conditions of the account on this market."""
        return account_terms(self._config, self._tape.survey() if self._tape else None)

    def repairs(self) -> str:
        """What was repaired of the tape; empty for nothing."""
        repairs = self._tape.survey().repairs if self._tape is not None else {}
        return ", ".join(f"{count} {kind}" for kind, count in repairs.items())

    def new_feed(self, clock: Clock, ears: Ears) -> PaperFeed:
        """A feed that stands at the beginning and was not started."""
        feed = self._config.feed
        if self._tape is not None:
            return TapePlayer(
                self._tape,
                clock,
                ears.play,
                ears.advance,
                ears.fail,
                speed=feed.speed or "1",
                paused=bool(feed.paused),
            )
        if self._followed is not None:
            source = self._followed
            return AccountFeed(feed.account or "", *source, clock, ears.push, ears.advance, ears.fail)
        if feed.push is not None:
            return PushClock(feed.push.listed(), clock, ears.advance, ears.fail)
        synthetic = feed.synthetic or SyntheticConfig()
        return SyntheticPlayer(synthetic.seed, synthetic.profiles(), clock, ears.play, ears.fail)


def _surveyed(source: Sequence[str], config: PaperTradingConfig) -> Tape:
    tape = open_tape(source, config.feed.overrides())
    tape.survey()
    return tape


async def _followed(account: str, feed: FeedConfig, market_of: MarketOf) -> Followed:
    """The other account's market. `TemporaryConnectionError` while its broker is away."""
    source = market_of(account)
    absence = source.absence()
    if absence is not None:
        raise TemporaryConnectionError(f"the market of account {account!r} is away: {absence.reason}")
    instruments = {instrument.symbol: instrument for instrument in await source.broker.list_instruments()}
    wanted = feed.instruments or tuple(instruments)
    missing = [symbol for symbol in wanted if symbol not in instruments]
    if missing:
        raise BrokerError(f"account {account!r} has no instrument {missing[0]!r}")
    return source, tuple(instruments[symbol] for symbol in wanted)


def account_terms(config: PaperTradingConfig, survey: TapeSurvey | None = None) -> AccountTerms:
    """The conditions that an account of this configuration trades under, on the tape of `survey` where it has one."""
    stale_ms = config.stale_after_ms
    if stale_ms is None:
        # Between two bars nobody hears anything.
        stale_ms = 0 if survey is not None and survey.barred else DEFAULT_STALE_MS
    return AccountTerms(
        initial_balances=config.initial_balance,
        fees=config.fees(),
        fills=config.fills(),
        shortable=frozenset(config.allow_short),
        base_currency=config.base_currency or next(iter(config.initial_balance)),
        margin=None if config.margin is None else config.margin.terms(),
        short=config.short.terms(),
        funding=None if config.funding is None else config.funding.terms(),
        stale_after_ns=stale_ms * 1_000_000 or None,
        hours=config.hours.hours(),
    )
