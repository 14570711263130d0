"""900 to 999: what a wire does to a broker that is not in the process: answers that are lost, frames that are lost or
come twice, connections that end, ids and numbers that have to come back as they were sent, races."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

from brokergate.domain import lifecycle
from brokergate.domain.orders import Order, PendingAction, PendingActionKind
from brokergate.ports.broker import Accepted, FillReport, Found, Rejected, Unknown, VenueOrder
from tests.conformance.bench import Bench, Told
from tests.conformance.cases_placing import BUY, DAY, GTC, LIMIT, SELL, book
from tests.conformance.cases_working import RESTS
from tests.conformance.registry import REPLACES, case, flag
from tests.conformance.subject import Mishap

REMOTE = flag("replays_fills")
"""A broker outside the process, which can be asked for what was missed."""


async def found(bench: Bench, order: Order) -> VenueOrder:
    """What the venue shows of an order."""
    result = await bench.ask(bench.broker.find_order(order))
    assert isinstance(result, Found), result
    return result.order


async def all_fills(bench: Bench, told: Told) -> list[FillReport]:
    """Every execution of an order that the venue tells of, each once."""
    page = await bench.ask(bench.broker.list_fills(""))
    assert page.complete
    bench.take(page.fills)
    return told.fills


# Outcomes that nobody knows


@case(900, "An order whose answer is lost is unknown, and is found by its client id", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.subject.befall(Mishap.LOSE_PLACED)
    buy = await bench.buy(2, 95)
    assert isinstance(buy.outcome, Unknown)
    await bench.subject.mend()
    shown = await found(bench, buy.order)
    assert (shown.client_order_id, shown.quantity, shown.state.name) == (
        buy.order.client_order_id,
        bench.quantity(2),
        "NEW",
    )


@case(901, "An order whose answer is lost and that fills is filled once, under its client id", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.subject.befall(Mishap.LOSE_PLACED)
    buy = await bench.buy(3, 102)
    assert isinstance(buy.outcome, Unknown)
    await bench.subject.mend()
    fills = await all_fills(bench, buy)
    assert sum(fill.quantity for fill in fills) == bench.quantity(3)
    assert (await found(bench, buy.order)).state.name == "FILLED"


@case(902, "A cancel whose answer is lost is unknown, and the order is found as it ended", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    await bench.subject.befall(Mishap.LOSE_CANCELLED)
    assert isinstance(await bench.cancel(buy), Unknown)
    await bench.subject.mend()
    assert (await found(bench, buy.order)).state.name == "CANCELED"
    assert isinstance(await bench.cancel(buy), Rejected)


@case(
    903,
    "A replace whose answer is lost is unknown, and the order is found as it became",
    RESTS,
    REMOTE,
    REPLACES,
)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    await bench.subject.befall(Mishap.LOSE_REPLACED)
    assert isinstance(await bench.replace(buy, 3, 97), Unknown)
    await bench.subject.mend()
    wanted = replace(buy.order.spec, quantity=bench.quantity(3), limit_price=bench.price(97))
    action = PendingAction(
        PendingActionKind.REPLACE, "r1", bench.subject.now_ns(), uncertain=True, replacement=wanted
    )
    shown = await found(bench, lifecycle.request(buy.order, action))
    assert (shown.client_order_id, shown.quantity, shown.limit_price) == (
        buy.order.client_order_id,
        bench.quantity(3),
        bench.price(97),
    )
    buy.order = replace(
        buy.order,
        spec=wanted,
        quantity=bench.quantity(3),
        generation=2,
        broker_order_id=shown.broker_order_id,
    )
    await bench.trade(96, 9, SELL)
    assert sum(fill.quantity for fill in await all_fills(bench, buy)) == bench.quantity(3)


# Connections and frames


@case(910, "What fills while the connection is away is listed after the watermark", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(4, 95)
    await bench.trade(94, 1, SELL)
    before = await bench.ask(bench.broker.list_fills(""))
    await bench.disconnect()
    await bench.subject.trade(bench.price(94), bench.quantity(2), SELL)
    await bench.connect()
    after = await bench.ask(bench.broker.list_fills(before.watermark))
    missed = [
        fill for fill in after.fills if fill.execution_id not in {one.execution_id for one in before.fills}
    ]
    assert [(fill.client_order_id, fill.quantity) for fill in missed] == [
        (buy.order.client_order_id, bench.quantity(2))
    ]


@case(911, "What ends while the connection is away is found as it ended", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    stays, fills = await bench.buy(2, 90), await bench.buy(2, 95)
    await bench.disconnect()
    await bench.subject.trade(bench.price(94), bench.quantity(9), SELL)
    await bench.connect()
    assert (await found(bench, fills.order)).state.name == "FILLED"
    shown = await bench.ask(bench.broker.list_open_orders())
    assert [one.client_order_id for one in shown] == [stays.order.client_order_id]


@case(912, "After a connection was lost what happens is told again", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    await bench.disconnect()
    await bench.connect()
    await bench.trade(94, 9, SELL)
    assert bench.fills(buy) == [(95, 2, "MAKER")]


@case(913, "What is told twice has one execution id", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.subject.befall(Mishap.REPEAT_FRAMES)
    buy = await bench.buy(5, 95)
    await bench.trade(94, 2, SELL)
    await bench.trade(94, 9, SELL)
    await bench.subject.mend()
    assert sum(fill.quantity for fill in await all_fills(bench, buy)) == bench.quantity(5)
    assert buy.state == "FILLED"


@case(914, "What a healthy connection keeps back is found by asking", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    filled, cancelled = await bench.buy(2, 95), await bench.buy(2, 90)
    await bench.subject.befall(Mishap.LOSE_FRAMES)
    await bench.trade(94, 9, SELL)
    outcome = await bench.cancel(cancelled)
    await bench.subject.mend()
    assert isinstance(outcome, Accepted | Unknown)
    assert sum(fill.quantity for fill in await all_fills(bench, filled)) == bench.quantity(2)
    assert (await found(bench, cancelled.order)).state.name == "CANCELED"
    assert await bench.ask(bench.broker.list_open_orders()) == []


# Ids and numbers


@case(920, "The smallest steps of price and quantity come back as they were sent", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    (instrument,) = [
        one for one in await bench.ask(bench.broker.list_instruments()) if one.symbol == bench.subject.symbol
    ]
    # Some venues take parts of a share for the day alone.
    force = DAY if DAY in bench.subject.capabilities.order_types[LIMIT] else GTC
    spec = bench.spec(LIMIT, BUY, 1, 95, time_in_force=force)
    assert spec.quantity is not None
    price = bench.price(95) + (bench.subject.price_step or instrument.price_increment)
    quantity = spec.quantity + instrument.quantity_increment
    buy = bench.order(replace(spec, limit_price=price, quantity=quantity))
    await bench.send(buy)
    assert isinstance(buy.outcome, Accepted), buy.outcome
    shown = await found(bench, buy.order)
    assert (shown.limit_price, shown.quantity) == (price, quantity)
    await bench.trade(94, 9, SELL)
    assert {fill.price for fill in buy.fills} == {price}
    assert buy.filled == quantity


@case(
    921,
    "Client ids of 64 characters, and all that an id may hold, come back as they were given",
    RESTS,
    REMOTE,
)
async def _(bench: Bench) -> None:
    await book(bench)
    names = ["x" * 63 + "1", "x" * 63 + "2", "A-_z09"]
    for name in names:
        await bench.send(bench.order(bench.spec(LIMIT, BUY, 1, 95), name))
    shown = await bench.ask(bench.broker.list_open_orders())
    assert sorted(one.client_order_id for one in shown) == sorted(names)
    await bench.trade(94, 9, SELL)
    assert [bench.orders[name].state for name in names] == ["FILLED"] * 3


@case(922, "They still do after a connection was lost", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    name = "y" * 64
    await bench.send(bench.order(bench.spec(LIMIT, BUY, 2, 95), name))
    await bench.disconnect()
    await bench.subject.trade(bench.price(94), bench.quantity(1), SELL)
    await bench.connect()
    (shown,) = await bench.ask(bench.broker.list_open_orders())
    page = await bench.ask(bench.broker.list_fills(""))
    # An account may hold what others bought before.
    names = [fill.client_order_id for fill in page.fills if fill.client_order_id]
    assert [shown.client_order_id, *names] == [name, name]


@case(930, "Each order of a batch has the outcome that is its own", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    orders = [bench.order(bench.spec(LIMIT, BUY, 1 + index % 5, 80 + index)) for index in range(12)]
    await bench.send(*orders)
    assert all(isinstance(told.outcome, Accepted) for told in orders)
    shown = {one.client_order_id: one for one in await bench.ask(bench.broker.list_open_orders())}
    for told in orders:
        one = shown[told.order.client_order_id]
        assert (one.broker_order_id, one.quantity, one.limit_price) == (
            told.order.broker_order_id,
            told.order.quantity,
            told.order.spec.limit_price,
        )
    outcomes = await bench.ask(bench.broker.cancel_all_orders([told.order for told in orders[:5]]))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    left = {one.client_order_id for one in await bench.ask(bench.broker.list_open_orders())}
    assert left == {told.order.client_order_id for told in orders[5:]}


# Races and generations


@case(940, "A cancel that meets a fill: the order ends once, with all that it filled", RESTS, REMOTE)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(4, 95)
    outcome, _ = await asyncio.gather(
        bench.cancel(buy), bench.subject.trade(bench.price(94), bench.quantity(2), SELL)
    )
    await bench.told()
    assert isinstance(outcome, Accepted)
    assert sum(fill.quantity for fill in await all_fills(bench, buy)) in (Decimal(0), bench.quantity(2))
    assert buy.state == "CANCELED"


@case(941, "A replace that meets a fill: no more is bought than was asked for", RESTS, REMOTE, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(6, 95)
    outcome, _ = await asyncio.gather(
        bench.replace(buy, 4, 96), bench.subject.trade(bench.price(94), bench.quantity(3), SELL)
    )
    await bench.trade(94, 20, SELL)
    total = sum(fill.quantity for fill in await all_fills(bench, buy))
    assert total == bench.quantity(4 if isinstance(outcome, Accepted) else 6)


@case(942, "A replaced order is found with its total and all that it filled", RESTS, REMOTE, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(6, 95)
    await bench.trade(94, 2, SELL)
    assert isinstance(await bench.replace(buy, 5, 96), Accepted)
    shown = await found(bench, buy.order)
    assert (shown.client_order_id, shown.quantity, shown.cum_quantity, shown.limit_price) == (
        buy.order.client_order_id,
        bench.quantity(5),
        bench.quantity(2),
        bench.price(96),
    )


@case(
    943, "An order that is changed again and again fills what it was changed to last", RESTS, REMOTE, REPLACES
)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(6, 90)
    for size, limit in ((6, 91), (5, 91), (7, 95)):
        assert isinstance(await bench.replace(buy, size, limit), Accepted)
    await bench.trade(94, 2, SELL)
    assert isinstance(await bench.replace(buy, 5, 96), Accepted)
    await bench.trade(94, 20, SELL)
    assert sum(fill.quantity for fill in await all_fills(bench, buy)) == bench.quantity(5)
    assert buy.order.generation == 5
    assert await bench.ask(bench.broker.list_open_orders()) == []
