from __future__ import annotations

from decimal import Decimal

from brokergate.codec.decode.stream import MarketDataKind
from brokergate.domain.market import BookChanged, BookView, QuoteView, TradeView
from brokergate.domain.orders import Side
from brokergate.transport.conflation import Conflation

ALL = frozenset(MarketDataKind)


def quote(symbol: str, bid: int) -> QuoteView:
    return QuoteView(symbol, Decimal(bid), Decimal(1), None, None, bid, bid)


def trade(symbol: str, number: int) -> TradeView:
    return TradeView(symbol, Decimal(number), Decimal(1), Side.BUY, number, number)


def book(symbol: str) -> BookView:
    return BookView(symbol, ((Decimal(1), Decimal(2)),), (), 5, 5)


def test_the_latest_quote_stays_and_the_others_are_counted() -> None:
    """Of three quotes of a symbol the last is told and two were skipped; another symbol's is its own."""
    conflation = Conflation(ALL, 10, book)
    for bid in (1, 2, 3):
        conflation.add(quote("A", bid))
    conflation.add(quote("B", 7))
    assert conflation.take() == ([quote("A", 3), quote("B", 7)], 2)
    assert conflation.take() == ([], 0)


def test_trades_keep_their_order_and_the_oldest_go_first() -> None:
    """Beyond the limit the oldest trades are skipped and counted; those that stay are in order."""
    conflation = Conflation(ALL, 3, book)
    for number in range(1, 6):
        conflation.add(trade("A", number))
    assert conflation.take() == ([trade("A", 3), trade("A", 4), trade("A", 5)], 2)


def test_a_book_is_looked_up_when_it_is_told() -> None:
    """However often a book changes, it is asked for once, as it stands then; a book that is gone is left out."""
    asked: list[str] = []

    def look_up(symbol: str) -> BookView | None:
        asked.append(symbol)
        return book(symbol) if symbol == "A" else None

    conflation = Conflation(ALL, 3, look_up)
    for _ in range(4):
        conflation.add(BookChanged("A", 1))
    conflation.add(BookChanged("B", 1))
    assert asked == []
    assert conflation.take() == ([book("A")], 3)
    assert asked == ["A", "B"]


def test_kinds_that_were_not_asked_for_are_neither_kept_nor_counted() -> None:
    """A subscriber to quotes hears nothing of trades and books, not even that they were skipped."""
    conflation = Conflation(frozenset({MarketDataKind.QUOTE}), 3, book)
    assert not conflation.add(trade("A", 1))
    assert not conflation.add(BookChanged("A", 1))
    assert not conflation.add(book("A"))
    assert conflation.add(quote("A", 1))
    assert conflation.take() == ([quote("A", 1)], 0)
