"""What of a paper account's venue is kept in the journal, and how it is taken up again.

A snapshot is everything: book, queue, lots, stops, ids, and where the feed stands (`sim/packing.py`). A step is what
was done since (`sim/diary.py`). Both go into the commit of their effects, so that what is not durable never happened.
A step costs what happened; a snapshot costs the size of the venue, and is made when as much was done as the venue is
large, so that a start never does much again and keeping costs a command always the same.

A market that moves and touches no order is kept too, but only now and then: after a crash the last `CHECKPOINT_S` of
it are played once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol

from brokergate.adapters.paper.live import LiveFeed
from brokergate.adapters.paper.player import TapePlayer
from brokergate.domain.instruments import Instrument
from brokergate.ports.broker import RestoredState, VenueHistory, VenueSnapshot, VenueStep
from brokergate.ports.clock import Clock
from brokergate.sim.agreement import disagreement
from brokergate.sim.fees import read_schedule
from brokergate.sim.history import History
from brokergate.sim.packing import Packer, Unpacker, Unreadable
from brokergate.sim.replay import replay
from brokergate.sim.shorting import FREELY
from brokergate.sim.terms import AccountTerms
from brokergate.sim.venue import Venue

KIND, VERSION = "brokergate-paper-venue", 2
CHECKPOINT_S = 5.0
"""How often a market is kept that moves and touches nobody, in seconds."""
LEAST_WORK = 16_384
"""Updates (a command counts as four) that are done again at a start rather than snapshot: some 150 ms."""

_PARTING = "\f"
"""Stands between where the feed stands and where the line does."""

PaperFeed = LiveFeed | TapePlayer


class Standing(Protocol):
    """A line, as far as it is kept: where its dice stand."""

    def standing(self) -> str:
        """Where they stand."""
        ...

    def stand(self, standing: str) -> None:
        """Takes up what `standing` gave."""
        ...


_NOTHING = RestoredState((), (), (), 0, 0)


class Keeper:
    """Says what is to be kept of one venue, from its making on. The first is a snapshot."""

    def __init__(
        self,
        venue: Venue,
        feed: PaperFeed,
        dates: Mapping[str, int],
        clock: Clock,
        line: Standing | None = None,
    ) -> None:
        self._line = line
        self._venue = venue
        self._feed = feed
        self._dates = dates
        self._clock = clock
        self._snapshot_due = True
        self._work_limit = LEAST_WORK
        self._standing = ""
        self._kept_ns = clock.monotonic_ns()
        self.asked = False
        """Whether anybody keeps what it says."""

    @property
    def restless(self) -> bool:
        """Whether it is time to be asked."""
        elapsed_ns = self._clock.monotonic_ns() - self._kept_ns
        return elapsed_ns > CHECKPOINT_S * 1e9 or self._venue.diary.work >= self._work_limit

    def _stands(self) -> str:
        """Where feed and line stand."""
        line = self._line
        return self._feed.standing() + (f"{_PARTING}{line.standing()}" if line is not None else "")

    def close(self) -> bool:
        """The venue stands still: the next that is kept is a snapshot. False where the last one still says it all."""
        diary = self._venue.diary
        if diary or diary.work or self._stands() != self._standing:
            self._snapshot_due = True
        return self._snapshot_due

    def unsaved(self) -> tuple[VenueStep | VenueSnapshot, ...]:
        """What is to be kept with the commit that is about to be made."""
        self.asked = True
        diary = self._venue.diary
        if self._snapshot_due or diary.overflowed or diary.work >= self._work_limit:
            return (VenueSnapshot(self._snapshot()),)
        if not diary.eventful and not self.restless:
            return ()
        standing = self._stands()
        if standing != self._standing:
            diary.fed(standing)
            self._standing = standing
        self._kept_ns = self._clock.monotonic_ns()
        body = diary.take()
        return (VenueStep(body),) if body else ()

    def _snapshot(self) -> bytes:
        venue = self._venue
        pack = Packer(KIND, VERSION)
        pack.put(_market(self._feed), _conditions(venue.terms))
        pack.put(venue.terms.fees.text(), len(self._dates))
        for symbol, time_ns in self._dates.items():
            pack.put(symbol, time_ns)
        self._feed.save(pack)
        venue.save(pack)
        pack.put(self._line.standing() if self._line is not None else "", venue.history is not None)
        if venue.history is not None:
            venue.history.save(pack)
        venue.diary.clear()
        self._snapshot_due = False
        self._standing = self._stands()
        self._kept_ns = self._clock.monotonic_ns()
        size = venue.size + (venue.history.size if venue.history is not None else 0)
        self._work_limit = max(LEAST_WORK, size)
        return pack.document()


def take_up(
    history: VenueHistory,
    state: RestoredState,
    feed: PaperFeed,
    terms: AccountTerms,
    dated: Callable[[str, int], None],
    line: Standing | None = None,
) -> Venue:
    """The venue as `history` has it, with `feed`, which was not started yet, where it stood. `Unreadable` where it
    cannot be had, or the journal says otherwise: then `feed` is used up. It computes, for a tape also reads: not on
    the event loop."""
    if history.snapshot is None:
        raise Unreadable("there is no snapshot of it")
    kept = Unpacker(history.snapshot, KIND, VERSION)
    for now, what in ((_market(feed), "market"), (_conditions(terms), "terms")):
        before = kept.text()
        if before != now:
            raise Unreadable(f"the {what} changed from {before[:200]!r} to {now[:200]!r}")
    # What was done under the fees of then is done again under them.
    fees = read_schedule(kept.text())
    venue = Venue(feed.instruments, replace(terms, fees=fees), _NOTHING, 0)
    for _ in range(kept.integer()):
        dated(kept.text(), kept.integer())
    feed.load(kept)
    venue.load(kept)
    standing = kept.text()
    if kept.flag():
        venue.history = History.kept(kept)
    kept.end()

    def stand(text: str) -> None:
        nonlocal standing
        of_feed, _, standing = text.partition(_PARTING)
        feed.stand(of_feed)

    for step in history.steps:
        replay(venue, step, feed.pull, dated, stand)
    if line is not None and standing:
        line.stand(standing)
    # Across a line the venue may be ahead of the journal: the gateway asks it for what it missed.
    difference = disagreement(venue, state) if venue.history is None else ""
    if difference:
        raise Unreadable(f"it has {difference}")
    venue.take_terms(terms)
    venue.forget()
    return venue


def _market(feed: PaperFeed) -> str:
    return "; ".join([feed.identity, *map(_instrument, feed.instruments)])


def _instrument(instrument: Instrument) -> str:
    return (
        f"{instrument.symbol} {instrument.kind.name} {instrument.base_currency}/{instrument.quote_currency} "
        f"{instrument.price_increment:f} {instrument.quantity_increment:f} {instrument.multiplier:f}"
    )


def _conditions(terms: AccountTerms) -> str:
    said = ["short " + ", ".join(sorted(kind.name for kind in terms.shortable))]
    said.append(f"hours {terms.hours}; {terms.fills}")
    if terms.short != FREELY:
        said.append(f"borrowing {terms.short.text()}")
    if terms.margin is not None:
        said.append(f"margin {terms.margin.text()} in {terms.base_currency}")
    if terms.funding is not None:
        said.append(f"funding {terms.funding.text()}")
    return "; ".join(said)
