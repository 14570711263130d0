"""Quotes, trades and books, parsed; previews."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from brokergate.adapters.alpaca import answers, quotes
from brokergate.adapters.alpaca.preview import preview
from brokergate.adapters.alpaca.quotes import Book
from brokergate.adapters.alpaca.values import WireError, load
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.orders import OrderType, Side, TimeInForce
from brokergate.domain.values import changed
from tests.unit.adapters.alpaca.shapes import fixture, spec
from tests.unit.adapters.alpaca.test_abilities import COIN, STOCK

D = Decimal


def message(name: str) -> dict[str, Any]:
    """A documented message of a stream."""
    (shape,) = fixture("stream_market")[name]
    return dict(shape)


def test_a_quote() -> None:
    """Exact, with the market's time and ours; an empty side has no price."""
    quote = quotes.quote("AAPL", message("stock_quote"), 7, D(190))
    assert (quote.bid_price, quote.ask_price, quote.ask_quantity) == (D("190.01"), D("190.04"), D(5))
    assert (quote.event_time_ns, quote.receive_time_ns, quote.last_price) == (1773686282142282368, 7, D(190))
    empty = quotes.quote("AAPL", {**message("stock_quote"), "bp": D(0), "bs": D(0)}, 7, None)
    assert (empty.bid_price, empty.bid_quantity, empty.ask_price) == (None, None, D("190.04"))


def test_a_trade_of_crypto_says_who_took() -> None:
    """One of a stock does not."""
    assert quotes.trade("BTC/USD", message("crypto_trade"), 7).aggressor_side is Side.BUY
    trade = quotes.trade("AAPL", message("stock_trade"), 7)
    assert (trade.aggressor_side, trade.price, trade.quantity) == (Side.UNSPECIFIED, D("190.02"), D(10))


def _levels(text: str) -> Any:
    return load(text)


def test_a_book_begins_whole_and_changes() -> None:
    """What comes before is of no use; a size of zero takes a level away; a whole one begins anew."""
    book, at = Book("BTC/USD"), "2026-03-16T18:38:02Z"
    change = {"t": at, "b": _levels('[{"p": 99, "s": 0}, {"p": 98, "s": 2}]'), "a": []}
    assert not book.take(change, 1, whole=False)
    whole = {
        "t": at,
        "b": _levels('[{"p": 99, "s": 1}]'),
        "a": _levels('[{"p": 102, "s": 1}, {"p": 101, "s": 4}]'),
    }
    assert book.take(whole, 2, whole=True)
    assert book.view(1).asks == ((D(101), D(4)),)
    assert book.take(change, 3, whole=False)
    view = book.view(9)
    assert (view.bids, view.asks) == (((D(98), D(2)),), ((D(101), D(4)), (D(102), D(1))))
    assert book.take({"t": at, "b": [], "a": []}, 4, whole=True)
    assert (book.view(9).bids, book.view(9).asks) == ((), ())


def test_a_message_that_does_not_parse_changes_no_book() -> None:
    """Not even in part."""
    book = Book("BTC/USD")
    whole = {"t": "2026-03-16T18:38:02Z", "b": _levels('[{"p": 99, "s": 1}]'), "a": []}
    book.take(whole, 1, whole=True)
    with pytest.raises(WireError):
        book.take({**whole, "b": _levels('[{"p": 98, "s": 2}, {"p": "x"}]')}, 2, whole=True)
    assert book.view(9).bids == ((D(99), D(1)),)


ACCOUNT = answers.account(fixture("account"))
BOOK = BookView("BTC/USD", ((D(99), D(5)),), ((D(101), D(2)), (D(102), D(6))), 1, 1)
QUOTE = QuoteView("AAPL", D(99), D(5), D(101), D(2), 1, 1)
MARKET = {"type": OrderType.MARKET, "limit_price": None}


def test_a_preview_walks_the_book() -> None:
    """And takes the fee of who takes."""
    found = preview(spec(symbol="BTC/USD", **MARKET), D(3), COIN, None, BOOK, ACCOUNT, None)
    assert (found.estimated_fill_quantity, found.estimated_notional) == (D(3), Money(D(304), "USD"))
    assert found.estimated_fees == (Money(D("0.0075"), "BTC"),)
    assert found.rejection is None


def test_without_a_book_the_best_price_is_all_that_is_known() -> None:
    """A market order is taken to fill at it, a limit order as far as it is shown."""
    found = preview(spec(**MARKET), D(3), STOCK, QUOTE, None, ACCOUNT, None)
    assert (found.estimated_fill_quantity, found.estimated_notional.amount) == (D(3), D(303))
    found = preview(spec(limit_price=D(101)), D(3), STOCK, QUOTE, None, ACCOUNT, None)
    assert (found.estimated_fill_quantity, found.required_funds.amount) == (D(2), D(303))
    assert found.estimated_fees == ()


@pytest.mark.parametrize(
    ("fields", "quote", "reason"),
    [
        ({"limit_price": D(101), "time_in_force": TimeInForce.FOK}, QUOTE, ErrorReason.NOT_FILLABLE),
        (MARKET, None, ErrorReason.NO_REFERENCE_PRICE),
        ({"limit_price": D(10) ** 9}, QUOTE, ErrorReason.INSUFFICIENT_FUNDS),
        ({"side": Side.SELL, "limit_price": D(10) ** 9}, QUOTE, None),
    ],
)
def test_what_a_preview_refuses(
    fields: dict[str, Any], quote: QuoteView | None, reason: ErrorReason | None
) -> None:
    """What the venue would, and nothing is filled then."""
    found = preview(spec(**fields), D(3), STOCK, quote, None, ACCOUNT, None)
    assert (None if found.rejection is None else found.rejection[0]) is reason
    assert not (found.rejection and found.estimated_fill_quantity)


def test_at_night_what_is_filled_at_once_is_not_filled() -> None:
    """A DAY order waits, and crypto trades round the clock."""
    night = changed(answers.market_clock(fixture("clock")), open=False)
    at_once = spec(limit_price=D(101), quantity=D(1), time_in_force=TimeInForce.IOC)
    found = preview(at_once, D(1), STOCK, QUOTE, None, ACCOUNT, None, night)
    assert found.rejection is not None
    assert found.rejection[0] is ErrorReason.MARKET_CLOSED
    for one, listed in ((spec(limit_price=D(101)), STOCK), (at_once, COIN)):
        assert preview(one, D(1), listed, QUOTE, None, ACCOUNT, None, night).rejection is None
