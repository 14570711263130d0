"""The book: what the feed told, less what was taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.sim.book import UNKNOWN, Book, BookSide
from brokergate.sim.market import BookDelta, BookSnapshot, FeedGap, QuoteUpdate

levels = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9)), max_size=12).map(tuple)
sides = st.sampled_from([1, -1])


def plain(told: list[tuple[tuple[int, int], ...]]) -> dict[int, int]:
    """What a side holds after these updates, by the definition of a delta."""
    book: dict[int, int] = {}
    for update in told:
        for price, size in update:
            book.pop(price, None)
            if size:
                book[price] = size
    return book


def in_order(book: dict[int, int], sign: int) -> list[tuple[int, int]]:
    return sorted(book.items(), key=lambda level: -sign * level[0])


@given(sides, st.lists(levels, max_size=8))
def test_a_side_is_what_the_deltas_say(sign: int, told: list[tuple[tuple[int, int], ...]]) -> None:
    """After any deltas a side shows their levels, best first, and knows its best price."""
    side = BookSide(sign)
    for update in told:
        side.update(update)
    expected = in_order(plain(told), sign)
    assert side.levels(100) == expected
    assert side.levels(3) == expected[:3]
    assert side.best() == (expected[0][0] if expected else None)


@given(sides, levels, st.integers(1, 60), st.none() | st.integers(1, 30))
def test_a_walk_takes_the_best_first_and_no_more_than_is_there(
    sign: int, told: tuple[tuple[int, int], ...], lots: int, limit: int | None
) -> None:
    """What a walk gives is the sorted levels cut at the limit and the size, and exactly that is gone afterwards."""
    side = BookSide(sign)
    side.update(told)
    expected, wanted = [], lots
    for price, size in in_order(plain([told]), sign):
        if wanted and (limit is None or sign * price >= sign * limit):
            expected.append((price, min(size, wanted)))
            wanted -= expected[-1][1]
    before = dict(side.levels(100))
    walk = side.walk(lots, limit)
    assert walk == expected
    side.take(walk)
    left = {price: size - dict(walk).get(price, 0) for price, size in before.items()}
    assert dict(side.levels(100)) == {price: size for price, size in left.items() if size}


def test_what_was_taken_comes_back_only_by_what_the_level_grows() -> None:
    """A delta elsewhere renews nothing, nor does the same size told again; a larger one brings the difference."""
    book = Book()
    book.snapshot(BookSnapshot(1, "X", ((10, 5),), ((11, 5), (12, 5))))
    book.asks.take(book.asks.walk(7, None))
    assert book.asks.levels(9) == [(12, 3)]
    book.delta(BookDelta(2, "X", ((10, 6),), ((13, 1),)))
    assert book.asks.levels(9) == [(12, 3), (13, 1)]
    book.delta(BookDelta(3, "X", (), ((11, 4), (12, 5))))
    assert book.asks.levels(9) == [(12, 3), (13, 1)]
    book.delta(BookDelta(4, "X", (), ((11, 9), (12, 2))))
    assert book.asks.levels(9) == [(11, 5), (12, 2), (13, 1)]
    book.delta(BookDelta(5, "X", (), ((11, 0),)))
    book.delta(BookDelta(6, "X", (), ((11, 9),)))
    assert book.asks.levels(9) == [(11, 9), (12, 2), (13, 1)]


def test_a_snapshot_that_repeats_a_level_sells_it_once() -> None:
    """Nor does a gap renew it; a level that a snapshot leaves out is new when it comes back."""
    book = Book()
    told = BookSnapshot(1, "X", ((10, 5),), ((11, 5), (12, 5)))
    book.snapshot(told)
    book.asks.take(book.asks.walk(7, None))
    book.snapshot(told)
    assert book.asks.levels(9) == [(12, 3)]
    book.gap(FeedGap(2, "X", "lost"))
    book.snapshot(told)
    assert book.asks.levels(9) == [(12, 3)]
    book.snapshot(BookSnapshot(3, "X", ((10, 5),), ((12, 6),)))
    assert book.asks.levels(9) == [(12, 4)]
    book.snapshot(told)
    assert book.asks.levels(9) == [(11, 5), (12, 4)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["snapshot", "delta", "take"]),
            st.lists(st.integers(0, 9), min_size=3, max_size=3),
        ),
        max_size=40,
    )
)
def test_no_more_is_taken_of_a_level_than_it_ever_grew_by(steps: list[tuple[str, list[int]]]) -> None:
    """Whatever the feed tells and however often: the sum taken at a price is at most the sum of its increases."""
    book = Book()
    told = {11: 0, 12: 0, 13: 0}
    grown, taken = dict(told), dict(told)
    for what, sizes in [("snapshot", [1, 1, 1]), *steps]:
        if what == "take":
            walk = book.asks.walk(sum(sizes), None)
            book.asks.take(walk)
            for price, lots in walk:
                taken[price] += lots
            assert all(lots <= told[price] for price, lots in walk)
            continue
        now = dict(zip(told, sizes, strict=True))
        levels = tuple(now.items())
        if what == "snapshot":
            book.snapshot(BookSnapshot(1, "X", ((10, 5),), tuple(level for level in levels if level[1])))
        else:
            book.delta(BookDelta(1, "X", (), levels))
        for price, size in now.items():
            grown[price] += max(0, size - told[price])
        told = now
        assert all(taken[price] <= grown[price] for price in told)
        assert all(
            lots <= min(told[price], grown[price] - taken[price]) for price, lots in book.asks.levels(9)
        )


def test_a_quote_is_the_whole_book_of_a_feed_that_tells_no_more() -> None:
    """A quote replaces both sides; an advisory one beside a book changes nothing in it."""
    book = Book()
    book.top(QuoteUpdate(1, "X", (10, 5), (12, 6)))
    book.top(QuoteUpdate(2, "X", (9, 4), None))
    assert (book.bids.levels(9), book.asks.levels(9)) == ([(9, 4)], [])
    book.top(QuoteUpdate(3, "X", (1, 1), (2, 2), advisory=True))
    assert (book.bids.levels(9), book.asks.levels(9), book.distrust) == ([(9, 4)], [], "")


def test_a_book_is_not_trusted_before_its_first_snapshot_nor_in_a_gap() -> None:
    """A delta without a snapshot counts for nothing; after a gap only the whole book brings trust back."""
    book = Book()
    book.delta(BookDelta(1, "X", ((10, 5),), ()))
    assert book.distrust
    assert book.bids.levels(9) == []
    book.snapshot(BookSnapshot(2, "X", ((10, 5),), ()))
    assert not book.distrust
    book.gap(FeedGap(3, "X", "ids 4 to 7 are missing"))
    book.delta(BookDelta(4, "X", ((9, 5),), ()))
    assert "ids 4 to 7" in book.distrust
    book.snapshot(BookSnapshot(5, "X", ((8, 1),), ()))
    assert not book.distrust


def test_a_crossed_book_is_not_trusted() -> None:
    """Bid at or above ask: nothing may match until the feed tells the whole book again."""
    book = Book()
    book.snapshot(BookSnapshot(1, "X", ((10, 5),), ((11, 5),)))
    book.delta(BookDelta(2, "X", ((11, 1),), ()))
    assert "crossed" in book.distrust
    book.delta(BookDelta(3, "X", ((11, 0),), ()))
    assert "crossed" in book.distrust
    book.snapshot(BookSnapshot(4, "X", ((10, 5),), ((11, 5),)))
    assert not book.distrust


def test_a_quote_may_be_locked_but_not_crossed() -> None:
    """Bid and ask at one price are two people's quotes; a bid above the ask is a mistake."""
    book = Book()
    book.top(QuoteUpdate(1, "X", (10, 5), (10, 6)))
    assert not book.distrust
    book.top(QuoteUpdate(2, "X", (11, 5), (10, 6)))
    assert "crossed" in book.distrust
    book.top(QuoteUpdate(3, "X", (9, 5), (10, 6)))
    assert not book.distrust


@pytest.mark.parametrize("level", [(0, 5), (-1, 5), (10, -5)])
def test_a_level_that_cannot_be_is_refused_and_trusts_nothing(level: tuple[int, int]) -> None:
    """A price or size below what can be raises, and the half-applied update leaves a book that nothing matches on."""
    book = Book()
    book.snapshot(BookSnapshot(1, "X", ((10, 5),), ((11, 5),)))
    with pytest.raises(ValueError, match="ticks"):
        book.delta(BookDelta(2, "X", (level,), ()))
    assert book.distrust
    with pytest.raises(ValueError, match="ticks"):
        book.snapshot(BookSnapshot(3, "X", (level,), ()))
    assert book.distrust


def test_a_price_beyond_what_is_shown_is_unknown() -> None:
    """Between the levels there is nothing; past the worst one nobody knows."""
    side = BookSide(1)
    side.update(((10, 5), (7, 2)))
    assert [side.shown(price) for price in (11, 10, 9, 7, 6)] == [0, 5, 0, 2, UNKNOWN]
    assert BookSide(-1).shown(5) == 0
