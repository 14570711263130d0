"""300 to 599: changes and cancels, flags, groups, expiry."""

from __future__ import annotations

from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import SelfTradePrevention
from brokergate.ports.broker import Accepted, GroupKind, Outcome, Rejected
from tests.conformance.bench import Bench, Told
from tests.conformance.cases_placing import BUY, DAY, GTC, GTD, LIMIT, SELL, STOP, book
from tests.conformance.registry import REPLACES, case, flag, order, prevents

TAKER, MAKER, BOTH = (
    SelfTradePrevention.CANCEL_TAKER,
    SelfTradePrevention.CANCEL_MAKER,
    SelfTradePrevention.CANCEL_BOTH,
)
RESTS = order(LIMIT, GTC)


def reason(outcome: Outcome) -> ErrorReason:
    """Why the broker refused."""
    assert isinstance(outcome, Rejected), outcome
    return outcome.reason


@case(300, "A changed price is the order's new price", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    assert isinstance(await bench.replace(buy, 2, 97), Accepted)
    await bench.trade(96, 5, SELL)
    assert bench.fills(buy) == [(97, 2, "MAKER")]


@case(301, "A changed price that the market has reached takes at once", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    assert isinstance(await bench.replace(buy, 2, 101), Accepted)
    assert bench.fills(buy) == [(101, 2, "TAKER")]


@case(302, "A new total counts what is filled", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(4, 95)
    await bench.trade(94, 1, SELL)
    assert isinstance(await bench.replace(buy, 3, 95), Accepted)
    await bench.trade(94, 9, SELL)
    assert bench.fills(buy) == [(95, 1, "MAKER"), (95, 2, "MAKER")]
    assert buy.state == "FILLED"


@case(303, "A total that is filled already is refused, and the order stays", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(4, 95)
    await bench.trade(94, 2, SELL)
    assert reason(await bench.replace(buy, 2, 95)) is ErrorReason.REPLACE_BELOW_FILLED
    await bench.trade(94, 9, SELL)
    assert bench.fills(buy) == [(95, 2, "MAKER"), (95, 2, "MAKER")]


@case(304, "A change loses the race to a fill", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    await bench.subject.trade(bench.price(94), bench.quantity(9), SELL)
    assert reason(await bench.replace(buy, 5, 90)) is ErrorReason.ORDER_ENDED
    assert buy.state == "FILLED"


@case(305, "A change that is refused for want of money leaves the order as it was", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    assert reason(await bench.replace(buy, bench.subject.unaffordable, 95)) is ErrorReason.INSUFFICIENT_FUNDS
    await bench.trade(94, 9, SELL)
    assert bench.fills(buy) == [(95, 2, "MAKER")]


@case(306, "A moved order stands behind those that were at its price", RESTS, REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    moved, stayed = await bench.buy(2, 96), await bench.buy(2, 95)
    assert isinstance(await bench.replace(moved, 2, 95), Accepted)
    await bench.trade(94, 3, SELL)
    assert bench.fills(stayed) == [(95, 2, "MAKER")]
    assert bench.fills(moved) == [(95, 1, "MAKER")]


@case(307, "A stop's trigger can be moved", order(STOP, GTC), REPLACES)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP, SELL, 1, stop=95)
    assert isinstance(await bench.replace(stop, 1, stop=98), Accepted)
    await bench.show([(97, 4)], [(99, 6)])
    await bench.trade(98, 1, SELL)
    assert bench.fills(stop) == [(97, 1, "TAKER")]


@case(310, "A cancel loses the race to a fill", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    await bench.subject.trade(bench.price(94), bench.quantity(9), SELL)
    assert reason(await bench.cancel(buy)) is ErrorReason.ORDER_ENDED
    assert buy.state == "FILLED"


@case(311, "A second cancel is refused, and the order ends once", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 95)
    assert isinstance(await bench.cancel(buy), Accepted)
    assert reason(await bench.cancel(buy)) is ErrorReason.ORDER_ENDED
    assert buy.changes == ["CANCELED"]


@case(312, "All orders are cancelled by one command", RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    orders = [await bench.buy(1, 95), await bench.sell(1, 105), await bench.buy(1, 94)]
    outcomes = await bench.ask(bench.broker.cancel_all_orders([told.order for told in orders]))
    for outcome in outcomes:
        assert isinstance(outcome, Accepted)
        bench.take(outcome.reports)
    await bench.told()
    assert [told.state for told in orders] == ["CANCELED"] * 3
    assert await bench.ask(bench.broker.list_open_orders()) == []


# Flags


@case(400, "A post-only order rests and gives", RESTS, flag("post_only"))
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 100, post_only=True)
    await bench.trade(99, 2, SELL)
    assert bench.fills(buy) == [(100, 2, "MAKER")]


@case(401, "A post-only order that would take is refused", RESTS, flag("post_only"))
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 101, post_only=True)
    assert (buy.state, buy.reason, buy.fills) == ("REJECTED", ErrorReason.WOULD_TAKE, [])


@case(402, "A reduce-only order without a position does nothing", RESTS, flag("reduce_only"))
async def _(bench: Bench) -> None:
    await book(bench)
    buy = await bench.buy(2, 101, reduce_only=True)
    assert (buy.state in ("REJECTED", "CANCELED"), buy.fills) == (True, [])


@case(403, "A reduce-only order closes and never flips", RESTS, flag("reduce_only"))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(2, 101)
    sell = await bench.sell(5, 99, reduce_only=True)
    assert sum(size for _, size, _ in bench.fills(sell)) in (0, 2)
    assert sell.state in ("REJECTED", "CANCELED", "FILLED")


@case(404, "A reduce-only order that rests ends with the position", RESTS, flag("reduce_only"))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.buy(2, 101)
    rests = await bench.sell(2, 103, reduce_only=True)
    assert rests.state == "NEW"
    await bench.sell(2, 99)
    await bench.trade(110, 50, BUY)
    assert rests.fills == []
    assert rests.state == "CANCELED"


async def crossing(bench: Bench, policy: SelfTradePrevention) -> tuple[Told, Told]:
    """One's own offer at 100, and one's own bid that meets it."""
    await book(bench)
    maker = await bench.sell(2, 100)
    taker = await bench.buy(2, 100, self_trade_prevention=policy)
    assert (maker.fills, taker.fills) == ([], [])
    return maker, taker


@case(410, "Against an order of one's own the new one ends", RESTS, prevents(TAKER))
async def _(bench: Bench) -> None:
    maker, taker = await crossing(bench, TAKER)
    assert maker.state == "NEW"
    assert taker.state in ("CANCELED", "REJECTED")


@case(411, "Against an order of one's own the old one ends", RESTS, prevents(MAKER))
async def _(bench: Bench) -> None:
    maker, taker = await crossing(bench, MAKER)
    assert (maker.state, taker.state) == ("CANCELED", "NEW")


@case(412, "Against an order of one's own both end", RESTS, prevents(BOTH))
async def _(bench: Bench) -> None:
    maker, taker = await crossing(bench, BOTH)
    assert maker.state == "CANCELED"
    assert taker.state in ("CANCELED", "REJECTED")


@case(420, "An iceberg gives all of itself, its shown part first", RESTS, flag("display_quantity"))
async def _(bench: Bench) -> None:
    await book(bench)
    iceberg = await bench.buy(6, 97, display=2)
    await bench.trade(96, 50, SELL)
    assert sum(size for _, size, _ in bench.fills(iceberg)) == 6
    assert {(price, side) for price, _, side in bench.fills(iceberg)} == {(97, "MAKER")}
    assert iceberg.state == "FILLED"


@case(421, "What an iceberg hides stands behind others at its price", RESTS, flag("display_quantity"))
async def _(bench: Bench) -> None:
    await book(bench)
    iceberg, plain = await bench.buy(6, 100, display=2), await bench.buy(3, 100)
    await bench.trade(100, 4, SELL)
    assert sum(size for _, size, _ in bench.fills(iceberg)) == 2
    assert bench.fills(plain) == [(100, 2, "MAKER")]


# Groups


@case(430, "One order of an OCO that fills ends the other", RESTS, order(STOP, GTC), flag("native_oco"))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    await bench.buy(2, 101)
    profit = bench.order(bench.spec(LIMIT, SELL, 2, 105), group_id="g1")
    loss = bench.order(bench.spec(STOP, SELL, 2, stop=95), group_id="g1")
    await bench.link(GroupKind.OCO, profit, loss)
    assert (profit.state, loss.state) == ("NEW", "NEW")
    await bench.trade(106, 9, BUY)
    assert (profit.state, loss.state) == ("FILLED", "CANCELED")


@case(
    431,
    "One order of an OCO that fills in part takes as much from the other, or all",
    RESTS,
    order(STOP, GTC),
    flag("native_oco"),
)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    await bench.buy(2, 101)
    profit = bench.order(bench.spec(LIMIT, SELL, 2, 105), group_id="g1")
    loss = bench.order(bench.spec(STOP, SELL, 2, stop=95), group_id="g1")
    await bench.link(GroupKind.OCO, profit, loss)
    await bench.trade(106, 1, BUY)
    taken_whole = loss.state == "CANCELED"
    await bench.show([(94, 20)], [(96, 6)])
    await bench.trade(94, 1, SELL)
    assert bench.fills(profit) == [(105, 1, "MAKER")]
    if taken_whole:
        assert (profit.state, loss.fills) == ("PARTIALLY_FILLED", [])
    else:
        assert (profit.state, bench.fills(loss), loss.state) == ("CANCELED", [(94, 1, "TAKER")], "FILLED")


@case(
    432,
    "A cancelled order of an OCO takes the other with it, or leaves it alone",
    RESTS,
    order(STOP, GTC),
    flag("native_oco"),
)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    await bench.buy(2, 101)
    profit = bench.order(bench.spec(LIMIT, SELL, 2, 105), group_id="g1")
    loss = bench.order(bench.spec(STOP, SELL, 2, stop=95), group_id="g1")
    await bench.link(GroupKind.OCO, profit, loss)
    assert isinstance(await bench.cancel(profit), Accepted)
    assert profit.state == "CANCELED"
    assert loss.state in ("NEW", "CANCELED")


@case(
    440,
    "A bracket's legs sleep until its entry fills, then close what it bought",
    RESTS,
    order(STOP, GTC),
    flag("native_bracket"),
)
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    entry = bench.order(bench.spec(LIMIT, BUY, 2, 98), group_id="g1")
    profit = bench.order(bench.spec(LIMIT, SELL, 2, 105, reduce_only=True), group_id="g1")
    loss = bench.order(bench.spec(STOP, SELL, 2, stop=95, reduce_only=True), group_id="g1")
    await bench.link(GroupKind.BRACKET, entry, profit, loss)
    await bench.trade(106, 9, BUY)
    assert (entry.state, profit.fills) == ("NEW", [])
    await bench.trade(97, 30, SELL)
    assert bench.fills(entry) == [(98, 2, "MAKER")]
    await bench.trade(106, 9, BUY)
    assert bench.fills(profit) == [(105, 2, "MAKER")]
    assert loss.state == "CANCELED"


@case(441, "A bracket whose entry is cancelled is gone", RESTS, order(STOP, GTC), flag("native_bracket"))
async def _(bench: Bench) -> None:
    await book(bench)
    entry = bench.order(bench.spec(LIMIT, BUY, 2, 98), group_id="g1")
    profit = bench.order(bench.spec(LIMIT, SELL, 2, 105, reduce_only=True), group_id="g1")
    loss = bench.order(bench.spec(STOP, SELL, 2, stop=95, reduce_only=True), group_id="g1")
    await bench.link(GroupKind.BRACKET, entry, profit, loss)
    await bench.cancel(entry)
    assert [told.state for told in (entry, profit, loss)] == ["CANCELED"] * 3
    assert await bench.ask(bench.broker.list_open_orders()) == []


# Expiry


@case(500, "A DAY order ends with the day, a GTC order does not", order(LIMIT, DAY), RESTS)
async def _(bench: Bench) -> None:
    await book(bench)
    day, gtc = await bench.buy(1, 95, time_in_force=DAY), await bench.buy(1, 95)
    await bench.pass_time(bench.subject.day_s)
    assert (bench.expired(day), gtc.state) == (True, "NEW")
    await bench.trade(94, 9, SELL)
    assert (day.fills, bench.fills(gtc)) == ([], [(95, 1, "MAKER")])


@case(501, "A GTD order ends at its time, not before", order(LIMIT, GTD))
async def _(bench: Bench) -> None:
    await book(bench)
    until_ns = bench.subject.now_ns() + 600 * 10**9
    gtd = await bench.buy(1, 95, time_in_force=GTD, expire_time_ns=until_ns)
    await bench.pass_time(590)
    assert gtd.state == "NEW"
    await bench.pass_time(15)
    assert bench.expired(gtd)
    assert gtd.events[-1].event_time_ns >= until_ns or not bench.subject.tells_expiry


@case(502, "An order that filled in part expires with what it filled", order(LIMIT, DAY))
async def _(bench: Bench) -> None:
    await book(bench)
    day = await bench.buy(3, 95, time_in_force=DAY)
    await bench.trade(94, 1, SELL)
    await bench.pass_time(bench.subject.day_s)
    assert (bench.fills(day), bench.expired(day)) == ([(95, 1, "MAKER")], True)


@case(503, "A stop that was never set off expires", order(STOP, DAY))
async def _(bench: Bench) -> None:
    await book(bench)
    await bench.trade(100, 1, BUY)
    stop = await bench.place(STOP, SELL, 1, stop=90, time_in_force=DAY)
    await bench.pass_time(bench.subject.day_s)
    assert (stop.changes, bench.expired(stop)) == ([stop.state], True)


@case(504, "An order that has expired can no more be cancelled", order(LIMIT, DAY))
async def _(bench: Bench) -> None:
    await book(bench)
    day = await bench.buy(1, 95, time_in_force=DAY)
    await bench.pass_time(bench.subject.day_s)
    assert reason(await bench.cancel(day)) is ErrorReason.ORDER_ENDED
