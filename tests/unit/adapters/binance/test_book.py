"""Joining a book of a snapshot and what changes it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from brokergate.adapters.binance.market import Book

D = Decimal


def change(
    first: int, last: int, bids: dict[str, str] | None = None, asks: dict[str, str] | None = None
) -> Any:
    sides = {"b": list((bids or {}).items()), "a": list((asks or {}).items())}
    return {"U": first, "u": last, "E": last, **sides}


def snapshot(book: Book, last_id: int) -> bool:
    return book.snapshot(last_id, [(D(99), D(5)), (D(98), D(9))], [(D(101), D(2))])


def test_what_waited_is_applied_from_the_snapshot_on() -> None:
    book = Book()
    assert not book.change(change(5, 8, {"97": "1"}))
    assert not book.change(change(9, 12, {"99": "0", "98.5": "4"}))
    assert snapshot(book, 10)
    assert book.sides(10) == (((D("98.5"), D(4)), (D(98), D(9))), ((D(101), D(2)),))
    assert book.change(change(13, 13, asks={"101": "7"}))
    assert book.sides(1) == (((D("98.5"), D(4)),), ((D(101), D(7)),))
    assert book.last_id == 13


def test_a_snapshot_older_than_what_waits_does_not_fit() -> None:
    book = Book()
    book.change(change(20, 25))
    assert not snapshot(book, 18)
    assert snapshot(book, 19)


def test_the_first_change_may_begin_before_the_snapshot_and_end_after_it() -> None:
    book = Book()
    book.change(change(8, 15, {"99": "1"}))
    assert snapshot(book, 10)
    assert book.sides(1)[0] == ((D(99), D(1)),)


def test_a_change_of_before_changes_nothing() -> None:
    book = Book()
    book.change(change(1, 2))
    assert snapshot(book, 10)
    assert book.change(change(9, 10, {"99": "0"}))
    assert book.sides(1)[0] == ((D(99), D(5)),)


def test_a_hole_asks_for_another_snapshot_and_keeps_what_came_behind_it() -> None:
    book = Book()
    book.change(change(1, 10))
    assert snapshot(book, 10)
    assert not book.change(change(12, 14, {"97": "3"}))
    assert not book.change(change(15, 15, {"96": "2"}))
    assert not snapshot(book, 10)
    assert snapshot(book, 13)
    assert book.last_id == 15
    assert book.sides(10)[0] == ((D(99), D(5)), (D(98), D(9)), (D(97), D(3)), (D(96), D(2)))


def test_a_hole_in_what_waited_is_one_too() -> None:
    book = Book()
    book.change(change(9, 12))
    book.change(change(14, 15))
    assert not snapshot(book, 10)
    assert book.last_id is None


def test_a_snapshot_of_a_quiet_market_fits_alone() -> None:
    book = Book()
    assert snapshot(book, 10)
    assert book.change(change(11, 11, {"99": "6"}))
