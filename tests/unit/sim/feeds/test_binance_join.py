"""The join of Binance's diffs to a snapshot, by the rules of "How to manage a local order book correctly"."""

from __future__ import annotations

import pytest

from brokergate.sim.feeds.binance_join import Diff, DiffJoin, Verdict


def diff(first: int, last: int) -> Diff:
    return Diff(first, last, (), ())


def held(join: DiffJoin, snapshot_id: int) -> list[tuple[int, Verdict]] | None:
    result = join.rejoin(snapshot_id)
    return None if result is None else [(each.first, verdict) for each, verdict in result]


def test_diffs_are_held_until_a_snapshot_comes() -> None:
    """Those at or below lastUpdateId go, the straddling one and its successors are applied."""
    join = DiffJoin()
    assert {join.offer(diff(first, first + 9)) for first in (1, 11, 21, 31)} == {Verdict.HOLD}
    assert held(join, 25) == [(21, Verdict.APPLY), (31, Verdict.APPLY)]
    assert join.last_id == 40


@pytest.mark.parametrize(("first", "last"), [(26, 30), (20, 26), (26, 26)])
def test_the_first_diff_applied_straddles_the_snapshot(first: int, last: int) -> None:
    """U <= lastUpdateId + 1 <= u is applied, at both ends of the range."""
    join = DiffJoin()
    assert held(join, 25) == []
    assert join.offer(diff(first, last)) is Verdict.APPLY


def test_a_diff_that_ends_at_the_snapshot_is_dropped() -> None:
    """u <= lastUpdateId is old, and no repair."""
    join = DiffJoin()
    join.rejoin(25)
    assert join.offer(diff(20, 25)) is Verdict.DROP
    assert not join.counts


def test_a_first_diff_that_starts_after_the_snapshot_is_a_gap() -> None:
    """U > lastUpdateId + 1 says that diffs between are lost."""
    join = DiffJoin()
    join.rejoin(25)
    assert join.offer(diff(27, 30)) is Verdict.GAP
    assert join.last_id is None


def test_a_snapshot_older_than_the_held_diffs_is_not_used() -> None:
    """It cannot be joined; a later one can."""
    join = DiffJoin()
    join.offer(diff(50, 60))
    assert held(join, 40) is None
    assert join.counts == {"snapshots_too_old": 1}
    assert held(join, 55) == [(50, Verdict.APPLY)]


def test_a_missing_diff_loses_the_book_until_the_next_snapshot() -> None:
    """The diff after the gap is held, and joins the next snapshot."""
    join = DiffJoin()
    join.rejoin(10)
    assert join.offer(diff(11, 20)) is Verdict.APPLY
    assert join.offer(diff(31, 40)) is Verdict.GAP
    assert join.offer(diff(41, 50)) is Verdict.HOLD
    assert held(join, 35) == [(31, Verdict.APPLY), (41, Verdict.APPLY)]


def test_a_gap_among_the_held_diffs_is_found_when_they_are_joined() -> None:
    """What comes after the gap is held again."""
    join = DiffJoin()
    for first in (11, 31, 41):
        join.offer(diff(first, first + 9))
    assert held(join, 10) == [(11, Verdict.APPLY), (31, Verdict.GAP), (41, Verdict.HOLD)]
    assert held(join, 30) == [(31, Verdict.APPLY), (41, Verdict.APPLY)]


def test_two_streams_of_one_symbol_overlap_without_harm() -> None:
    """Sizes are absolute: an overlap is applied, one that is covered is dropped, both are counted."""
    join = DiffJoin()
    join.rejoin(10)
    assert join.offer(diff(11, 20)) is Verdict.APPLY
    assert join.offer(diff(11, 30)) is Verdict.APPLY
    assert join.offer(diff(21, 30)) is Verdict.DROP
    assert join.counts == {"diffs_overlapping": 1, "diffs_repeated": 1}


def test_a_snapshot_for_a_whole_book_is_not_needed() -> None:
    """Recorders take snapshots now and then; a book without a gap goes on."""
    join = DiffJoin()
    join.rejoin(10)
    join.offer(diff(11, 20))
    assert held(join, 15) is None
    assert join.last_id == 20
