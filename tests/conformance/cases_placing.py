"""100 to 299: every type of order with every time in force reaches each of its outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderType, Side, TimeInForce, TriggerSource
from tests.conformance.bench import Bench
from tests.conformance.registry import Need, case, flag, order, triggered_by

BUY, SELL = Side.BUY, Side.SELL
DAY, GTC, GTD, IOC, FOK = (
    TimeInForce.DAY,
    TimeInForce.GTC,
    TimeInForce.GTD,
    TimeInForce.IOC,
    TimeInForce.FOK,
)
RESTING = (DAY, GTC, GTD)
ALL = (*RESTING, IOC, FOK)
MARKET, LIMIT, STOP, STOP_LIMIT = (
    OrderType.MARKET,
    OrderType.LIMIT,
    OrderType.STOP,
    OrderType.STOP_LIMIT,
)
TRAILING, IF_TOUCHED, LIMIT_IF_TOUCHED = (
    OrderType.TRAILING_STOP,
    OrderType.MARKET_IF_TOUCHED,
    OrderType.LIMIT_IF_TOUCHED,
)
ForForce = Callable[[Bench, TimeInForce], Awaitable[None]]


def for_each(
    number: int, title: str, kind: OrderType, forces: tuple[TimeInForce, ...], *needs: Need
) -> Callable[[ForForce], ForForce]:
    """A case for each time in force, numbered by it."""

    def keep(body: ForForce) -> ForForce:
        for force in forces:

            async def run(bench: Bench, force: TimeInForce = force) -> None:
                await body(bench, force)

            case(number + force, f"{kind.name} {force.name}: {title}", order(kind, force), *needs)(run)
        return body

    return keep


async def book(bench: Bench) -> None:
    """Bids 99 and 98, asks 101 and 102."""
    await bench.show([(99, 5), (98, 9)], [(101, 2), (102, 6)])


@for_each(100, "takes level by level, best first, as taker", MARKET, ALL)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    sell = await bench.sell(6, time_in_force=force)
    assert bench.fills(sell) == [(99, 5, "TAKER"), (98, 1, "TAKER")]
    buy = await bench.buy(3, time_in_force=force)
    assert bench.fills(buy) == [(101, 2, "TAKER"), (102, 1, "TAKER")]
    assert buy.state == "FILLED"


@for_each(110, "takes what there is, and the rest ends, or waits where it may", MARKET, (DAY, GTC, GTD, IOC))
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    buy = await bench.buy(10, time_in_force=force)
    assert bench.fills(buy) == [(101, 2, "TAKER"), (102, 6, "TAKER")]
    assert buy.state == "CANCELED" or (buy.state == "PARTIALLY_FILLED" and force is not IOC)


@for_each(110, "is refused whole where the book has less", MARKET, (FOK,))
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    buy = await bench.buy(10, time_in_force=force)
    assert (buy.state, buy.fills) in (("REJECTED", []), ("CANCELED", []))
    assert buy.reason is ErrorReason.NOT_FILLABLE
    assert bench.fills(await bench.buy(8, time_in_force=force)) == [(101, 2, "TAKER"), (102, 6, "TAKER")]


@for_each(120, "takes up to its limit and never worse", LIMIT, ALL)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    sell = await bench.sell(4, 99, time_in_force=force)
    assert bench.fills(sell) == [(99, 4, "TAKER")]
    assert sell.state == "FILLED"
    buy = await bench.buy(3, 102, time_in_force=force)
    assert bench.fills(buy) == [(101, 2, "TAKER"), (102, 1, "TAKER")]
    assert buy.state == "FILLED"


@for_each(130, "takes what it can; its rest gives at its limit, as maker", LIMIT, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    buy = await bench.buy(5, 101, time_in_force=force)
    assert bench.fills(buy) == [(101, 2, "TAKER")]
    assert buy.state == "PARTIALLY_FILLED"
    await bench.show([(99, 5)], [(102, 6)])
    await bench.trade(100, 2, SELL)
    assert bench.fills(buy)[1:] == [(101, 2, "MAKER")]
    await bench.trade(99, 5, SELL)
    assert bench.fills(buy)[2:] == [(101, 1, "MAKER")]
    assert buy.state == "FILLED"


@for_each(130, "takes what it can and ends", LIMIT, (IOC,))
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    buy = await bench.buy(5, 101, time_in_force=force)
    assert bench.fills(buy) == [(101, 2, "TAKER")]
    assert buy.state == "CANCELED"
    none = await bench.buy(1, 100, time_in_force=force)
    assert (none.state, none.fills) in (("CANCELED", []), ("REJECTED", []))
    assert await bench.ask(bench.broker.list_open_orders()) == []


@for_each(130, "is refused whole where its limit does not reach", LIMIT, (FOK,))
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    buy = await bench.buy(5, 101, time_in_force=force)
    assert (buy.state, buy.fills) in (("REJECTED", []), ("CANCELED", []))
    assert buy.reason is ErrorReason.NOT_FILLABLE


@for_each(140, "rests and is cancelled, with nothing filled", LIMIT, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    buy = await bench.buy(5, 95, time_in_force=force)
    assert buy.state == "NEW"
    await bench.cancel(buy)
    await bench.trade(90, 50, SELL)
    assert (buy.state, buy.fills) == ("CANCELED", [])


@for_each(150, "fills in part and is cancelled: what was filled stays", LIMIT, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    sell = await bench.sell(5, 103, time_in_force=force)
    await bench.trade(104, 2, BUY)
    assert sell.state == "PARTIALLY_FILLED"
    await bench.cancel(sell)
    assert bench.fills(sell) == [(103, 2, "MAKER")]
    assert sell.state == "CANCELED"


@for_each(
    160, "waits, is set off once, and fills at the market though that is beyond its price", STOP, RESTING
)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP, SELL, 3, stop=97, time_in_force=force)
    assert (stop.state, stop.changes) == ("NEW", [])
    await bench.show([(95, 4)], [(96, 6)])
    await bench.trade(95, 1, SELL)
    assert bench.went_off(stop)
    assert bench.fills(stop) == [(95, 3, "TAKER")]
    assert stop.state == "FILLED"


@for_each(170, "set off beyond its limit, it rests there", STOP_LIMIT, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP_LIMIT, SELL, 3, 96, stop=97, time_in_force=force)
    await bench.show([(94, 4)], [(95, 6)])
    await bench.trade(94, 1, SELL)
    assert (bench.went_off(stop), stop.fills, stop.state) == (True, [], "NEW")
    await bench.trade(98, 9, BUY)
    assert bench.fills(stop) == [(96, 3, "MAKER")]


@for_each(180, "set off within its limit, it takes", STOP_LIMIT, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP_LIMIT, BUY, 3, 104, stop=103, time_in_force=force)
    await bench.show([(102, 4)], [(103, 2), (104, 7)])
    await bench.trade(103, 1, BUY)
    assert bench.went_off(stop)
    assert bench.fills(stop) == [(103, 2, "TAKER"), (104, 1, "TAKER")]


@for_each(190, "is cancelled before it is set off, and never is", STOP, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP, BUY, 3, stop=105, time_in_force=force)
    await bench.cancel(stop)
    await bench.show([(105, 4)], [(106, 6)])
    await bench.trade(106, 1, BUY)
    assert (stop.state, stop.changes) == ("CANCELED", ["CANCELED"])


@for_each(
    200,
    "follows the market one way and goes off when it turns",
    TRAILING,
    RESTING,
    flag("trails_by_amount"),
)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(TRAILING, SELL, 2, time_in_force=force, trail_amount=bench.price(5))
    await bench.show([(109, 4)], [(111, 6)])
    await bench.trade(110, 1, BUY)
    await bench.trade(106, 1, SELL)
    assert (stop.state, stop.changes) == ("NEW", [])
    await bench.show([(104, 4)], [(106, 6)])
    await bench.trade(105, 1, SELL)
    assert bench.went_off(stop)
    assert bench.fills(stop) == [(104, 2, "TAKER")]


@for_each(210, "follows the market by its share of the price", TRAILING, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(
        TRAILING, BUY, 2, time_in_force=force, trail_percent=bench.price(10) / bench.price(1)
    )
    await bench.show([(79, 4)], [(81, 6)])
    await bench.trade(80, 1, SELL)
    await bench.trade(87, 1, BUY)
    assert (stop.state, stop.changes) == ("NEW", [])
    await bench.show([(87, 4)], [(89, 6)])
    await bench.trade(89, 1, BUY)
    assert bench.went_off(stop)
    assert bench.fills(stop) == [(89, 2, "TAKER")]


@for_each(220, "waits for a better price, then takes the market", IF_TOUCHED, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    touched = await bench.place(IF_TOUCHED, SELL, 2, stop=105, time_in_force=force)
    assert (touched.state, touched.changes) == ("NEW", [])
    await bench.show([(105, 4)], [(107, 6)])
    await bench.trade(106, 1, BUY)
    assert bench.went_off(touched)
    assert bench.fills(touched) == [(105, 2, "TAKER")]


@for_each(230, "waits for a better price, then is a limit order", LIMIT_IF_TOUCHED, RESTING)
async def _(bench: Bench, force: TimeInForce) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    touched = await bench.place(LIMIT_IF_TOUCHED, BUY, 2, 94, stop=95, time_in_force=force)
    await bench.show([(93, 4)], [(96, 6)])
    await bench.trade(95, 1, SELL)
    assert (bench.went_off(touched), touched.fills) == (True, [])
    await bench.trade(92, 50, SELL)
    assert bench.fills(touched) == [(94, 2, "MAKER")]


@case(260, "A stop whose price is reached already goes off at once", order(STOP, GTC))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP, BUY, 1, stop=100)
    assert stop.state in ("FILLED", "REJECTED")
    assert stop.state == "REJECTED" or bench.fills(stop) == [(101, 1, "TAKER")]


@case(261, "A stop by bid and ask ignores trades", order(STOP, GTC), triggered_by(TriggerSource.BID_ASK))
async def _(bench: Bench) -> None:
    await book(bench)
    stop = await bench.place(STOP, SELL, 1, stop=97, trigger_source=TriggerSource.BID_ASK)
    await bench.trade(96, 1, SELL)
    assert stop.changes == []
    await bench.show([(96, 4)], [(98, 6)])
    assert bench.fills(stop) == [(96, 1, "TAKER")]


@case(262, "A stop by trades ignores bid and ask", order(STOP, GTC), triggered_by(TriggerSource.LAST))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP, SELL, 1, stop=97, trigger_source=TriggerSource.LAST)
    await bench.show([(96, 4)], [(98, 6)])
    assert stop.changes == []
    await bench.trade(97, 1, SELL)
    assert bench.fills(stop) == [(96, 1, "TAKER")]


@case(270, "What one order took is gone for the next one", order(LIMIT, IOC))
async def _(bench: Bench) -> None:
    await book(bench)
    assert bench.fills(await bench.buy(2, 101, time_in_force=IOC)) == [(101, 2, "TAKER")]
    second = await bench.buy(2, 101, time_in_force=IOC)
    assert (second.state, second.fills) in (("CANCELED", []), ("REJECTED", []))


@case(271, "Of two orders at different prices the better one fills first", order(LIMIT, GTC))
async def _(bench: Bench) -> None:
    await book(bench)
    worse, better = await bench.buy(2, 95), await bench.buy(2, 96)
    await bench.trade(94, 3, SELL)
    assert bench.fills(better) == [(96, 2, "MAKER")]
    assert bench.fills(worse) == [(95, 1, "MAKER")]


@case(272, "Of two orders at one price the earlier one fills first", order(LIMIT, GTC))
async def _(bench: Bench) -> None:
    await book(bench)
    first, second = await bench.buy(2, 95), await bench.buy(2, 95)
    await bench.trade(94, 3, SELL)
    assert bench.fills(first) == [(95, 2, "MAKER")]
    assert bench.fills(second) == [(95, 1, "MAKER")]


@case(273, "An order behind others at its price waits until they are served", order(LIMIT, GTC))
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 99)
    await bench.trade(99, 5, SELL)
    assert buy.fills == []
    await bench.trade(99, 1, SELL)
    assert bench.fills(buy) == [(99, 1, "MAKER")]
