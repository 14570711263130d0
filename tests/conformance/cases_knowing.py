"""600 to 899: what a broker knows and says: identity, queries, holdings, market data, errors."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.market import MarketDatum, QuoteView, TradeView
from brokergate.ports.broker import Absent, Accepted, Failed, FillReport, Found, Rejected
from tests.conformance.bench import Bench
from tests.conformance.cases_placing import BUY, DAY, FOK, GTC, IOC, LIMIT, MARKET, SELL, STOP, book
from tests.conformance.registry import case, flag, order

RESTS = order(LIMIT, GTC)


@case(600, "The same client id twice is one order", RESTS, flag("native_idempotency"))
async def _(bench: Bench) -> None:
    await book(bench)
    first = await bench.buy(2, 95)
    again = bench.order(bench.spec(LIMIT, BUY, 2, 95), first.order.client_order_id)
    await bench.send(again)
    assert isinstance(again.outcome, Rejected)
    assert again.outcome.reason is ErrorReason.CLIENT_ORDER_ID_REUSED
    await bench.trade(94, 9, SELL)
    assert bench.fills(first) == [(95, 2, "MAKER")]


@case(601, "An order that works is found, as it stands", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(4, 95)
    await bench.trade(94, 1, SELL)
    found = await bench.ask(bench.broker.find_order(buy.order))
    assert isinstance(found, Found)
    shown = found.order
    assert (shown.client_order_id, shown.symbol, shown.side) == (
        buy.order.client_order_id,
        bench.subject.symbol,
        BUY,
    )
    assert (shown.quantity, shown.cum_quantity) == (bench.quantity(4), bench.quantity(1))
    assert (shown.limit_price, shown.state.name) == (bench.price(95), "PARTIALLY_FILLED")


@case(602, "An order that was never placed is not found", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(1, 95)
    never = bench.order(bench.spec(LIMIT, BUY, 1, 95))
    assert not isinstance(await bench.ask(bench.broker.find_order(never.order)), Found)


@case(
    603,
    "An order that was never placed is absent where the broker can prove it",
    RESTS,
    flag("native_idempotency"),
)
async def _(bench: Bench) -> None:
    await book(bench)
    never = bench.order(bench.spec(LIMIT, BUY, 1, 95))
    await bench.pass_time((bench.subject.capabilities.absence_after_ms or 0) / 1000)
    assert isinstance(await bench.ask(bench.broker.find_order(never.order)), Absent)


@case(604, "An order that has ended is never said to be absent", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    for told in (await bench.buy(1, 101), await bench.buy(1, 95)):
        if told.state == "NEW":
            await bench.cancel(told)
        found = await bench.ask(bench.broker.find_order(told.order))
        assert isinstance(found, Found | Failed)
        assert isinstance(found, Failed) or found.order.state.name == told.state


@case(610, "The open orders are all that work, and nothing else", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    works = [await bench.buy(3, 95), await bench.sell(2, 105)]
    gone = [await bench.buy(1, 101), await bench.buy(1, 90), await bench.buy(1, 101, time_in_force=GTC)]
    await bench.cancel(gone[1])
    await bench.trade(94, 1, SELL)
    shown = {
        one.client_order_id: (one.side, one.quantity, one.cum_quantity, one.limit_price, one.time_in_force)
        for one in await bench.ask(bench.broker.list_open_orders())
    }
    assert shown == {
        works[0].order.client_order_id: (BUY, bench.quantity(3), bench.quantity(1), bench.price(95), GTC),
        works[1].order.client_order_id: (SELL, bench.quantity(2), Decimal(0), bench.price(105), GTC),
    }


@case(611, "A stop that waits is among the open orders, with its price", order(STOP, GTC))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    await bench.place(STOP, SELL, 1, stop=95)
    (shown,) = await bench.ask(bench.broker.list_open_orders())
    assert (shown.type, shown.stop_price, shown.limit_price) == (STOP, bench.price(95), None)


@case(
    612,
    "The list of fills is what was told, each once, and goes on from its watermark",
    RESTS,
    flag("replays_fills"),
)
async def _(bench: Bench) -> None:
    await book(bench)
    begun = await bench.ask(bench.broker.list_fills(""))
    before = {fill.execution_id for fill in begun.fills}
    await bench.buy(3, 102)
    first = await bench.ask(bench.broker.list_fills(begun.watermark))
    told = list(dict.fromkeys(one.execution_id for one in bench.log if isinstance(one, FillReport)))
    assert [fill.execution_id for fill in first.fills if fill.execution_id not in before] == told
    await bench.sell(1)
    later = await bench.ask(bench.broker.list_fills(first.watermark))
    known = {*told, *before}
    assert [fill.price for fill in later.fills if fill.execution_id not in known] == [bench.price(99)]


@case(613, "Every execution has an id of its own", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    buys = [await bench.buy(3, 102), await bench.buy(5, 98)]
    await bench.trade(97, 30, SELL)
    ids = [fill.execution_id for told in buys for fill in told.fills]
    assert len(ids) == 3
    assert len(set(ids)) == 3


# Holdings


def in_kind(bench: Bench) -> Decimal:
    """Fees that were taken of what was bought."""
    fees = (fee for told in bench.orders.values() for fill in told.fills for fee in fill.fees)
    return sum((fee.amount for fee in fees if fee.currency == bench.subject.base_currency), Decimal(0))


async def holdings(bench: Bench) -> dict[str, Decimal]:
    """What there is of each currency."""
    return {balance.currency: balance.total for balance in await bench.ask(bench.broker.get_balances())}


@case(620, "Positions are the sum of fills", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(3, 102)
    await bench.sell(1, 99)
    taken = in_kind(bench)
    assert await bench.holds() == {bench.subject.symbol: bench.quantity(2) - taken}
    await bench.sell(2, 99)
    assert await bench.holds() == ({bench.subject.symbol: -taken} if taken else {})


@case(621, "Balances move by price times quantity and fees, exactly", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    before = await holdings(bench)
    bought, sold = await bench.buy(3, 102), await bench.sell(1, 99)
    subject, cash, base = bench.subject, Decimal(0), Decimal(0)
    unknown = Decimal(0)  # a fee that the venue tells later: not more than one per cent
    for told, sign in ((bought, 1), (sold, -1)):
        for fill in told.fills:
            cash -= sign * fill.price * fill.quantity
            base += sign * fill.quantity
            unknown += Decimal(0) if fill.fees_final else fill.price * fill.quantity / 100
            for fee in fill.fees:
                cash -= fee.amount if fee.currency == subject.quote_currency else 0
                base -= fee.amount if fee.currency == subject.base_currency else 0
    after = await holdings(bench)
    moved = after[subject.quote_currency] - before[subject.quote_currency]
    assert cash - unknown <= moved <= cash
    assert after.get(subject.base_currency, Decimal(0)) - before.get(subject.base_currency, Decimal(0)) in (
        base,
        0,
    )


@case(622, "What was told of holdings is what a query gives", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(3, 102)
    await bench.buy(2, 95)
    # A broker may leave both to be asked for.
    for balance in await bench.ask(bench.broker.get_balances()):
        told = bench.balances.get(balance.currency, balance)
        assert (told.total, told.held) == (balance.total, balance.held)
    for position in await bench.ask(bench.broker.get_positions()):
        assert bench.positions.get(position.symbol, position).quantity == position.quantity
    assert await bench.holds() == {bench.subject.symbol: bench.quantity(3) - in_kind(bench)}


@case(623, "What an open order sets aside comes back when it ends", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    quote = bench.subject.quote_currency

    async def held() -> Decimal:
        balances = await bench.ask(bench.broker.get_balances())
        return sum((one.held for one in balances if one.currency == quote), Decimal(0))

    before = await held()
    buy = await bench.buy(2, 95)
    if bench.subject.sets_aside:
        assert await held() - before >= bench.price(95) * bench.quantity(2)
    await bench.cancel(buy)
    assert await held() == before


@case(624, "A position flips through zero", RESTS, flag("short_selling"))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(2, 101)
    sell = await bench.sell(5, 99)
    if sell.state == "REJECTED":  # a venue where one order closes and another one opens
        await bench.sell(2, 99)
        await bench.sell(3, 99)
    (position,) = await bench.ask(bench.broker.get_positions())
    assert await bench.holds() == {bench.subject.symbol: bench.quantity(-3)}
    assert position.average_price == bench.price(99)


async def worth(bench: Bench) -> tuple[Decimal, Decimal]:
    """The account's equity, and its cash with its positions at their marks."""
    info = await bench.ask(bench.broker.get_account_info())
    assert info.equity is not None
    value = info.cash
    for position in await bench.ask(bench.broker.get_positions()):
        assert position.mark_price is not None or not position.quantity
        value += position.quantity * (position.mark_price or Decimal(0))
    return info.equity, value


@case(625, "The account's equity is its cash and what it holds at the mark", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    before = await worth(bench)
    await bench.buy(1, 101)
    after = await worth(bench)
    assert after[0] - before[0] == after[1] - before[1]


# Market data


@case(700, "The quote and the book are the market's", flag("streams_quotes"))
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    await book(bench)
    quote = bench.broker.quote(bench.subject.symbol)
    assert quote is not None
    assert (quote.bid_price, quote.bid_quantity) == (bench.price(99), bench.quantity(5))
    assert (quote.ask_price, quote.ask_quantity) == (bench.price(101), bench.quantity(2))


@case(701, "The book has its levels, best first, as many as are asked for", flag("streams_book"))
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    await book(bench)
    shown = bench.broker.book(bench.subject.symbol, 1)
    whole = bench.broker.book(bench.subject.symbol, 10)
    assert shown is not None
    assert whole is not None
    assert shown.bids == ((bench.price(99), bench.quantity(5)),)
    assert [price for price, _ in whole.asks] == [bench.price(101), bench.price(102)]


@case(702, "A subscriber hears of quotes and trades until it ends", flag("streams_trades"))
async def _(bench: Bench) -> None:
    heard: list[MarketDatum] = []
    await bench.subject.watch()
    end = bench.broker.subscribe_market_data((bench.subject.symbol,), heard.append)
    await book(bench)
    await bench.trade(100, 3, BUY)
    trades = [datum for datum in heard if isinstance(datum, TradeView)]
    assert [(trade.price, trade.quantity) for trade in trades] == [(bench.price(100), bench.quantity(3))]
    assert any(isinstance(datum, QuoteView) for datum in heard)
    end()
    count = len(heard)
    await bench.trade(100, 1, SELL)
    assert len(heard) == count


@case(703, "The instrument is listed with its increments")
async def _(bench: Bench) -> None:
    listed = {one.symbol: one for one in await bench.ask(bench.broker.list_instruments())}
    instrument = listed[bench.subject.symbol]
    assert instrument.quote_currency == bench.subject.quote_currency
    assert bench.subject.price_unit % instrument.price_increment == 0
    assert bench.subject.quantity_unit % instrument.quantity_increment == 0


# Preview


@case(710, "A preview says what placing then does", order(MARKET, GTC), flag("streams_book"))
async def _(bench: Bench) -> None:
    await book(bench)
    spec = bench.spec(MARKET, BUY, 3)
    preview = await bench.ask(bench.broker.preview_order(spec))
    assert preview.rejection is None
    told = bench.order(spec)
    await bench.send(told)
    notional = sum((fill.price * fill.quantity for fill in told.fills), Decimal(0))
    fees = sum((fee.amount for fill in told.fills for fee in fill.fees), Decimal(0))
    assert preview.estimated_fill_quantity == told.filled
    assert preview.estimated_notional.amount == notional
    assert sum((fee.amount for fee in preview.estimated_fees), Decimal(0)) == fees


@case(711, "A preview changes nothing", order(MARKET, GTC))
async def _(bench: Bench) -> None:
    await book(bench)
    before = await holdings(bench)
    await bench.ask(bench.broker.preview_order(bench.spec(MARKET, BUY, 3)))
    assert await holdings(bench) == before
    assert await bench.ask(bench.broker.list_open_orders()) == []
    assert bench.fills(await bench.buy(2)) == [(101, 2, "TAKER")]


@case(712, "A preview of what would be refused says why", order(LIMIT, FOK))
async def _(bench: Bench) -> None:
    await book(bench)
    if bench.subject.previews_market:
        spec, why = bench.spec(LIMIT, BUY, 5, 101, time_in_force=FOK), ErrorReason.NOT_FILLABLE
    else:
        spec, why = bench.spec(LIMIT, BUY, bench.subject.unaffordable, 95), ErrorReason.INSUFFICIENT_FUNDS
    preview = await bench.ask(bench.broker.preview_order(spec))
    assert preview.rejection is not None
    assert preview.rejection[0] is why


# Errors


@case(800, "A market order without a market is refused, or ends at once", order(MARKET, IOC))
async def _(bench: Bench) -> None:
    buy = await bench.buy(1, time_in_force=IOC)
    assert (buy.state, buy.fills) in (("REJECTED", []), ("CANCELED", []))
    assert buy.state == "CANCELED" or buy.reason is ErrorReason.NO_REFERENCE_PRICE


@case(801, "An order that the account cannot pay is refused, and nothing is set aside", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    before = [(one.currency, one.total, one.held) for one in await bench.ask(bench.broker.get_balances())]
    buy = await bench.buy(bench.subject.unaffordable, 95)
    assert (buy.state, buy.reason) == ("REJECTED", ErrorReason.INSUFFICIENT_FUNDS)
    after = [(one.currency, one.total, one.held) for one in await bench.ask(bench.broker.get_balances())]
    assert after == before


@case(802, "An instrument that the broker has not is refused by that name", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(1, 95, symbol="NOPE/NADA")
    assert (buy.state, buy.reason) == ("REJECTED", ErrorReason.INSTRUMENT_NOT_FOUND)


@case(803, "A price off the tick is refused", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    (instrument,) = [
        one for one in await bench.ask(bench.broker.list_instruments()) if one.symbol == bench.subject.symbol
    ]
    spec = bench.spec(LIMIT, BUY, 1, 95)
    off = replace(spec, limit_price=bench.price(95) + instrument.price_increment / 2)
    told = bench.order(off)
    await bench.send(told)
    assert told.state == "REJECTED"
    assert told.reason in (ErrorReason.INVALID_FIELD, ErrorReason.PRICE_OFF_TICK)


@case(804, "One bad order of a batch does not hold up the others", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    orders = [
        bench.order(bench.spec(LIMIT, BUY, 1, 95)),
        bench.order(bench.spec(LIMIT, BUY, bench.subject.unaffordable, 95)),
        bench.order(bench.spec(LIMIT, BUY, 1, 101)),
    ]
    await bench.send(*orders)
    assert [told.state for told in orders] == ["NEW", "REJECTED", "FILLED"]


@case(805, "Cancelling what was never there is refused", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    never = bench.order(bench.spec(LIMIT, BUY, 1, 95))
    assert isinstance(await bench.cancel(never), Rejected)


@case(806, "A DAY order and a GTC order of the same terms fill alike", order(LIMIT, DAY), RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    day, gtc = await bench.buy(1, 95, time_in_force=DAY), await bench.buy(1, 95)
    assert isinstance(day.outcome, Accepted)
    await bench.trade(94, 2, SELL)
    assert bench.fills(day) == bench.fills(gtc) == [(95, 1, "MAKER")]
