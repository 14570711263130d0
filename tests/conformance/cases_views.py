"""640 to 659, 730 to 739 and 820 to 839: what real brokers differ in: account views, instruments, market data,
precision, batches."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.instruments import InstrumentTradingState
from brokergate.domain.market import BookChanged, MarketDatum, QuoteView, TradeView
from brokergate.ports.broker import Accepted, Rejected
from tests.conformance.bench import Bench
from tests.conformance.cases_placing import BUY, GTC, LIMIT, SELL, book
from tests.conformance.registry import Need, case, flag, order

RESTS = order(LIMIT, GTC)
TAPE = flag("streams_trades")
AWAY = Need("replays_fills", lambda capabilities: capabilities.replays_fills)

# Account views


@case(640, "The account says what it is worth, and in which currency", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    info = await bench.ask(bench.broker.get_account_info())
    balances = {one.currency: one for one in await bench.ask(bench.broker.get_balances())}
    assert info.base_currency
    assert info.equity is not None
    assert info.equity > 0
    assert info.buying_power >= 0
    assert balances[bench.subject.quote_currency].total > 0


@case(641, "No balance has more set aside than there is, and none comes twice", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(3, 95)
    balances = await bench.ask(bench.broker.get_balances())
    assert len({one.currency for one in balances}) == len(balances)
    assert all(0 <= one.held <= one.total for one in balances)


@case(642, "What is set aside shrinks as an order fills", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    quote = bench.subject.quote_currency

    async def held() -> Decimal:
        balances = await bench.ask(bench.broker.get_balances())
        return sum((one.held for one in balances if one.currency == quote), Decimal(0))

    before = await held()
    buy = await bench.buy(4, 95)
    whole = await held() - before
    await bench.trade(94, 3, SELL)
    if bench.subject.sets_aside:
        assert 0 < await held() - before < whole
    await bench.cancel(buy)
    assert await held() == before


@case(643, "A position has its cost, its average price and its mark", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    begun = {one.symbol: one for one in await bench.ask(bench.broker.get_positions()) if one.quantity}
    await bench.buy(2, 101)
    positions = {one.symbol: one for one in await bench.ask(bench.broker.get_positions())}
    position = positions[bench.subject.symbol]
    assert position.quote_currency == bench.subject.quote_currency
    assert position.quantity * position.cost > 0
    if bench.subject.symbol not in begun:
        average = position.average_price
        assert average is not None
        # A fee that was taken of what was bought leaves the cost where it is.
        assert bench.price(101) <= average <= bench.price(102)


@case(644, "Two readings of what stands still agree", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(3, 102)
    await bench.buy(2, 95)
    readings = []
    for _ in range(2):
        balances = await bench.ask(bench.broker.get_balances())
        positions = await bench.ask(bench.broker.get_positions())
        working = await bench.ask(bench.broker.list_open_orders())
        readings.append(
            (
                [(one.currency, one.total, one.held) for one in balances],
                [(one.symbol, one.quantity) for one in positions],
                [(one.broker_order_id, one.quantity, one.cum_quantity) for one in working],
            )
        )
    assert readings[0] == readings[1]


# Instruments


@case(650, "Instruments are listed once each, and can be traded by what they say")
async def _(bench: Bench) -> None:
    listed = await bench.ask(bench.broker.list_instruments())
    assert len({one.symbol for one in listed}) == len(listed)
    assert [one.symbol for one in listed] == sorted(one.symbol for one in listed)
    for one in listed:
        assert one.price_increment > 0
        assert one.quantity_increment > 0
        assert one.min_quantity >= 0
        assert one.min_notional >= 0
        assert one.max_quantity is None or one.max_quantity >= one.min_quantity
        assert one.broker_symbol
        assert one.quote_currency
    (ours,) = [one for one in listed if one.symbol == bench.subject.symbol]
    assert ours.trading_state is InstrumentTradingState.TRADING
    assert ours.base_currency == bench.subject.base_currency


# Market data


@case(730, "A quote has the market's time and the gateway's", flag("streams_quotes"))
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    await book(bench)
    first = bench.broker.quote(bench.subject.symbol)
    await bench.show([(98, 5)], [(100, 2)])
    second = bench.broker.quote(bench.subject.symbol)
    assert first is not None
    assert second is not None
    assert first.event_time_ns <= second.event_time_ns
    assert first.receive_time_ns <= second.receive_time_ns
    assert (second.bid_price, second.ask_price) == (bench.price(98), bench.price(100))


@case(731, "A symbol that the broker has not has neither quote nor book")
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    await book(bench)
    assert bench.broker.quote("NOPE/NADA") is None
    assert bench.broker.book("NOPE/NADA", 5) is None


@case(732, "Two subscribers hear the same, and the end of one is not the other's", TAPE)
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    heard: list[list[MarketDatum]] = [[], []]
    ends = [bench.broker.subscribe_market_data((bench.subject.symbol,), each.append) for each in heard]
    await book(bench)
    await bench.trade(100, 3, BUY)
    prices = [[datum.price for datum in each if isinstance(datum, TradeView)] for each in heard]
    assert prices[0] == prices[1] == [bench.price(100)]
    ends[0]()
    before = len(heard[0])
    await bench.trade(100, 2, SELL)
    assert len(heard[0]) == before
    assert [datum.quantity for datum in heard[1] if isinstance(datum, TradeView)] == [
        bench.quantity(3),
        bench.quantity(2),
    ]
    ends[1]()


@case(733, "Market data is told in the order of its times", TAPE)
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    heard: list[MarketDatum] = []
    end = bench.broker.subscribe_market_data((bench.subject.symbol,), heard.append)
    await book(bench)
    for price in (100, 101, 100):
        await bench.trade(price, 1, BUY)
    end()
    trades = [datum for datum in heard if isinstance(datum, TradeView)]
    assert [trade.price for trade in trades] == [bench.price(price) for price in (100, 101, 100)]
    assert [trade.event_time_ns for trade in trades] == sorted(trade.event_time_ns for trade in trades)
    assert all(datum.symbol == bench.subject.symbol for datum in heard)


@case(734, "A subscriber hears that the book changed, and finds it changed", flag("streams_book"))
async def _(bench: Bench) -> None:
    await bench.subject.watch()
    await book(bench)
    heard: list[MarketDatum] = []
    end = bench.broker.subscribe_market_data((bench.subject.symbol,), heard.append)
    await bench.show([(97, 3)], [(103, 4), (104, 1)])
    end()
    assert any(isinstance(datum, BookChanged | QuoteView) for datum in heard)
    shown = bench.broker.book(bench.subject.symbol, 9)
    assert shown is not None
    assert shown.bids == ((bench.price(97), bench.quantity(3)),)
    assert shown.asks == ((bench.price(103), bench.quantity(4)), (bench.price(104), bench.quantity(1)))


# Precision


@case(820, "A quantity below the lot is refused", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    listed = {one.symbol: one for one in await bench.ask(bench.broker.list_instruments())}
    instrument = listed[bench.subject.symbol]
    spec = bench.spec(LIMIT, BUY, 1, 95)
    assert spec.quantity is not None
    told = bench.order(replace(spec, quantity=spec.quantity + instrument.quantity_increment / 2))
    await bench.send(told)
    assert told.state == "REJECTED"
    assert told.reason in (ErrorReason.QUANTITY_OFF_LOT, ErrorReason.INVALID_FIELD)
    assert await bench.ask(bench.broker.list_open_orders()) == []


@case(821, "Numbers come back as they were sent, whatever zeros they end in", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    spec = bench.spec(LIMIT, BUY, 2, 95)
    assert spec.quantity is not None
    assert spec.limit_price is not None
    told = bench.order(replace(spec, quantity=spec.quantity * Decimal("1.00"), limit_price=spec.limit_price))
    await bench.send(told)
    (shown,) = await bench.ask(bench.broker.list_open_orders())
    assert (shown.quantity, shown.limit_price) == (bench.quantity(2), bench.price(95))
    assert all(
        isinstance(number, Decimal) for number in (shown.quantity, shown.limit_price, shown.cum_quantity)
    )


# Batches


@case(830, "A batch has as many outcomes as orders, in their order", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    orders = [bench.order(bench.spec(LIMIT, BUY, 1, 95 - number)) for number in range(12)]
    await bench.send(*orders)
    assert all(isinstance(told.outcome, Accepted) for told in orders)
    shown = {one.client_order_id: one.limit_price for one in await bench.ask(bench.broker.list_open_orders())}
    assert shown == {told.order.client_order_id: told.order.spec.limit_price for told in orders}
    ids = {told.order.broker_order_id for told in orders}
    assert len(ids) == len(orders)


@case(831, "Many orders are cancelled by one command, and each answers for itself", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    orders = [bench.order(bench.spec(LIMIT, BUY, 1, 95 - number)) for number in range(12)]
    await bench.send(*orders)
    await bench.cancel(orders[3])
    outcomes = await bench.ask(bench.broker.cancel_all_orders([told.order for told in orders]))
    for outcome in outcomes:
        bench.take(outcome.reports)
    await bench.told()
    assert len(outcomes) == len(orders)
    assert isinstance(outcomes[3], Rejected)
    assert all(isinstance(outcome, Accepted) for outcome in (*outcomes[:3], *outcomes[4:]))
    assert {told.state for told in orders} == {"CANCELED"}
    assert await bench.ask(bench.broker.list_open_orders()) == []


@case(832, "A batch with the same client id twice places it once", RESTS, flag("native_idempotency"), AWAY)
async def _(bench: Bench) -> None:
    await book(bench)
    first = bench.order(bench.spec(LIMIT, BUY, 1, 95))
    twin = bench.order(bench.spec(LIMIT, BUY, 1, 95), first.order.client_order_id)
    await bench.send(first)
    await bench.send(bench.order(bench.spec(LIMIT, BUY, 1, 94)), twin)
    assert isinstance(twin.outcome, Rejected)
    assert len(await bench.ask(bench.broker.list_open_orders())) == 2
