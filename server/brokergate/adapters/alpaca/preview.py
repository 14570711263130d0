"""What an order would do now. Alpaca has no such question, so that it is worked out from what the market shows and what
the account has. Fees are estimated as the lowest turnover's: Alpaca has no question for the account's own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from brokergate.adapters.alpaca.answers import Account, MarketClock
from brokergate.adapters.alpaca.values import write_time
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.instruments import Instrument, InstrumentKind
from brokergate.domain.market import BookView, QuoteView
from brokergate.domain.money import ZERO, add, multiply, quotient, subtract
from brokergate.domain.orders import OrderSpec, OrderType, Side, TimeInForce
from brokergate.ports.broker import Preview

Levels = Sequence[tuple[Decimal, Decimal]]

TAKER_FEE = Decimal("0.0025")
"""Of crypto, for who takes, at the lowest turnover (docs.alpaca.markets, "Crypto Spot Trading Fees")."""
_AT_ONCE = frozenset({TimeInForce.IOC, TimeInForce.FOK})


def preview(
    spec: OrderSpec,
    quantity: Decimal,
    instrument: Instrument,
    quote: QuoteView | None,
    book: BookView | None,
    account: Account,
    refusal: tuple[ErrorReason, str] | None,
    hours: MarketClock | None = None,
) -> Preview:
    """A preview of `spec` for `quantity` units. Without a book the best offer is all that is known of the market: a
    market order is then taken to fill at its price."""
    filled, paid, shown = _taken(spec, quantity, _levels(spec, quote, book))
    if book is None and filled and filled < quantity and spec.type is OrderType.MARKET:
        paid, filled = quotient(multiply(paid, quantity), filled), quantity
    rest = subtract(quantity, filled)
    price = spec.limit_price if spec.limit_price is not None else spec.stop_price
    required = paid
    if price is not None and spec.time_in_force not in _AT_ONCE:
        required = add(paid, multiply(price, rest))
    if spec.side is Side.SELL:
        # What a short sale sets aside is the account's margin, which Alpaca alone works out.
        required = ZERO
    rejection = refusal
    closed = hours is not None and not hours.open and instrument.kind is InstrumentKind.EQUITY
    if rejection is None and hours is not None and closed and spec.time_in_force in _AT_ONCE:
        opens = write_time(hours.next_open_ns)
        rejection = ErrorReason.MARKET_CLOSED, f"the stock market is closed until {opens}; DAY waits for it"
    if rejection is None and spec.type is OrderType.MARKET and not shown:
        rejection = ErrorReason.NO_REFERENCE_PRICE, f"there is no quote of {spec.symbol} yet"
    known = book is not None or spec.type is not OrderType.MARKET
    if rejection is None and spec.time_in_force is TimeInForce.FOK and rest and known:
        rejection = ErrorReason.NOT_FILLABLE, "not all of it can be filled at once"
    if rejection is None and required > account.buying_power:
        problem = f"it takes {required}, and the buying power is {account.buying_power}"
        rejection = ErrorReason.INSUFFICIENT_FUNDS, problem
    currency = instrument.quote_currency
    return Preview(
        estimated_price=quotient(paid, filled) if filled else None,
        estimated_fill_quantity=ZERO if rejection is not None else filled,
        estimated_notional=Money(ZERO if rejection is not None else paid, currency),
        estimated_fees=_fees(spec, ZERO if rejection is not None else filled, paid, instrument),
        required_funds=Money(required, currency),
        rejection=rejection,
    )


def _fees(spec: OrderSpec, filled: Decimal, paid: Decimal, instrument: Instrument) -> tuple[Money, ...]:
    """Stocks cost no commission; crypto a share of what is received."""
    if instrument.kind is not InstrumentKind.SPOT or not filled:
        return ()
    if spec.side is Side.BUY:
        return (Money(multiply(filled, TAKER_FEE), instrument.base_currency),)
    return (Money(multiply(paid, TAKER_FEE), instrument.quote_currency),)


def _levels(spec: OrderSpec, quote: QuoteView | None, book: BookView | None) -> Levels:
    """What the order could take, best first."""
    buys = spec.side is Side.BUY
    if book is not None:
        return book.asks if buys else book.bids
    if quote is None:
        return ()
    price, size = (quote.ask_price, quote.ask_quantity) if buys else (quote.bid_price, quote.bid_quantity)
    return () if price is None or size is None else ((price, size),)


def _taken(spec: OrderSpec, quantity: Decimal, levels: Levels) -> tuple[Decimal, Decimal, bool]:
    """What an order takes at once: units, money; and whether the market shows anything."""
    filled = paid = ZERO
    if spec.type not in (OrderType.MARKET, OrderType.LIMIT):
        return filled, paid, bool(levels)
    for price, size in levels:
        limit = spec.limit_price
        beyond = limit is not None and (price > limit if spec.side is Side.BUY else price < limit)
        if beyond or filled >= quantity:
            break
        part = min(size, subtract(quantity, filled))
        filled, paid = add(filled, part), add(paid, multiply(part, price))
    return filled, paid, bool(levels)
