"""A paper account across a line: everything takes its time, in the venue's time."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.domain.commands import PlaceOrder
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import OrderSpec, OrderState, OrderType, PendingActionKind, Side, TimeInForce
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.adapters.paper.lines import LineHouse, quote
from tests.unit.adapters.paper.test_tape import tape

__all__ = ["tape"]

MS = 0.001


async def test_an_order_matches_against_the_book_of_its_arrival(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path, latency_ms="40").open()
    await house.push(quote("99", "100"))
    placing = asyncio.create_task(house.place("a", 1, "1"))
    await house.clock.advance(30 * MS)
    await house.push(quote("104", "105"))
    await house.clock.advance(49 * MS)
    assert not placing.done()
    assert house.order("a").state is OrderState.PENDING_NEW
    assert house.order_events("a") == ["INTENT", "DISPATCHED"]
    await house.clock.advance(1 * MS)
    assert (await placing).order.state is OrderState.FILLED
    assert house.order_events("a") == ["INTENT", "DISPATCHED", "1 at 105", "FILLED"]
    house.check_laws()
    await house.close()


async def test_a_cancel_loses_the_race(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path, latency_ms="40").open()
    await house.push(quote("99", "100"))
    placing = asyncio.create_task(house.place("a", 1, "1", "98"))
    await house.clock.advance(80 * MS)
    await placing
    cancelling = asyncio.create_task(house.cancel("a"))
    await house.clock.advance(39 * MS)
    await house.push(quote("96", "97"))
    await house.clock.advance(41 * MS)
    assert cancelling.done()
    assert house.order("a").state is OrderState.FILLED
    assert house.order_events("a")[-2:] == ["1 at 98", "FILLED"]
    house.check_laws()
    await house.close()


async def test_a_cancel_behind_its_order_never_overtakes_it(tmp_path: Path) -> None:
    latency = {"request": {"mean_ms": "40", "deviation_ms": "30"}, "seed": "9"}
    house = await LineHouse(tmp_path, latency=latency).open()
    await house.push(quote("99", "100"))
    for number in range(20):
        name = f"a{number}"
        placing = asyncio.create_task(house.place(name, 1, "0.1", "98"))
        await settle()
        cancelling = asyncio.create_task(house.cancel(name))
        await house.clock.advance(0.5)
        await asyncio.gather(placing, cancelling)
        assert house.order(name).state is OrderState.CANCELED
    house.check_laws()
    await house.close()


async def test_a_second_replace_waits_for_the_first(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path, latency_ms="40").open()
    await house.push(quote("99", "100"))
    placing = asyncio.create_task(house.place("a", 1, "1", "98"))
    await house.clock.advance(80 * MS)
    await placing
    replacing = asyncio.create_task(house.replace("a", "97"))
    await settle()
    with pytest.raises(GatewayError) as refused:
        await house.replace("a", "96")
    assert refused.value.reason is ErrorReason.REPLACE_PENDING
    await house.clock.advance(80 * MS)
    await replacing
    assert house.order("a").spec.limit_price == 97
    house.check_laws()
    await house.close()


async def test_many_cancels_share_one_way(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path, latency_ms="40").open()
    await house.push(quote("99", "100"))
    for name in "abc":
        placing = asyncio.create_task(house.place(name, 1, "1", "98"))
        await house.clock.advance(80 * MS)
        await placing
    account = house.gateway.account("main")
    cancelling = asyncio.create_task(house.broker.cancel_all_orders(list(account.tracker.open.values())))
    await house.clock.advance(80 * MS)
    assert len(await cancelling) == 3
    await house.clock.advance(1)
    assert [house.order(name).state for name in "abc"] == [OrderState.CANCELED] * 3
    await house.close()


async def test_what_is_on_its_way_when_the_process_dies_never_was(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path, latency_ms="40").open()
    await house.push(quote("99", "100"))
    placing = asyncio.create_task(house.place("a", 1, "1"))
    await house.clock.advance(20 * MS)
    await house.die()
    placing.cancel()
    await house.clock.advance(2)
    assert house.order("a").state is OrderState.REJECTED
    house.check_laws()
    await house.close()


async def test_what_the_venue_did_and_the_gateway_was_not_told_is_found_after_a_death(tmp_path: Path) -> None:
    """The order arrives, fills and ends at the venue; another commit keeps that; the answer is still on its way."""
    latency = {"request": {"constant_ms": "10"}, "response": {"constant_ms": "500"}}
    house = await LineHouse(tmp_path, latency=latency).open()
    await house.clock.advance(3)
    await house.push(quote("99", "100"))
    filling = asyncio.create_task(house.place("a", 1, "1"))
    ending = asyncio.create_task(house.place("b", 1, "1", "50", TimeInForce.IOC))
    resting = asyncio.create_task(house.place("c", 1, "1", "50"))
    await house.clock.advance(100 * MS)
    house.gateway.account("main").tell()
    assert house.order_events("a") == ["INTENT", "DISPATCHED"]
    await house.die()
    for task in (filling, ending, resting):
        task.cancel()
    await house.clock.advance(5)
    assert [house.order(name).state for name in "abc"] == [
        OrderState.FILLED, OrderState.CANCELED, OrderState.NEW,
    ]  # fmt: skip
    assert "1 at 100" in house.order_events("a")
    house.check_laws()
    await house.close()


async def test_an_account_comes_home_with_everything_that_it_was_not_told(tmp_path: Path) -> None:
    """Latency is taken out of the configuration: in process there is no gap fill, and nothing is lost all the same."""
    latency = {"request": {"constant_ms": "10"}, "response": {"constant_ms": "500"}}
    house = await LineHouse(tmp_path, latency=latency).open()
    await house.clock.advance(3)
    await house.push(quote("99", "100"))
    tasks = [
        asyncio.create_task(house.place("a", 1, "1")),
        asyncio.create_task(house.place("b", 1, "1", "50", TimeInForce.IOC)),
        asyncio.create_task(house.place("c", 1, "1", "50")),
    ]
    await house.clock.advance(100 * MS)
    house.gateway.account("main").tell()
    tasks.append(asyncio.create_task(house.place("d", 1, "1", "50")))
    await settle()
    del house.settings["latency"]
    await house.die()
    for task in tasks:
        task.cancel()
    await settle()
    assert house.way == "in process"
    states = [house.order(name).state for name in "abcd"]
    assert states == [OrderState.FILLED, OrderState.CANCELED, OrderState.NEW, OrderState.REJECTED]
    house.check_laws()
    house.settings["latency_ms"] = "40"
    await house.die()
    await house.clock.advance(3)
    assert house.way == "across a line"
    assert house.order("c").state is OrderState.NEW
    house.check_laws()
    await house.close()


async def test_a_cancel_on_its_way_home_is_taken_back(tmp_path: Path) -> None:
    house = await LineHouse(tmp_path, latency_ms="40").open()
    await house.push(quote("99", "100"))
    placing = asyncio.create_task(house.place("a", 1, "1", "98"))
    await house.clock.advance(80 * MS)
    await placing
    cancelling = asyncio.create_task(house.cancel("a"))
    await settle()
    del house.settings["latency_ms"]
    await house.die()
    cancelling.cancel()
    await settle()
    order = house.order("a")
    assert (order.state, order.action(PendingActionKind.CANCEL)) == (OrderState.NEW, None)
    await house.close()


async def test_where_time_does_not_pass_everything_arrives_at_once(tmp_path: Path, tape: Path) -> None:
    feed: dict[str, object] = {"tape": str(tape), "paused": True}
    house = await LineHouse(tmp_path, feed, latency_ms="40").open()
    placed = await house.place("a", 1, "1", "1")
    assert placed.order.state in (OrderState.NEW, OrderState.REJECTED)
    await house.close()


async def test_the_same_seed_gives_the_same_events_twice(tmp_path: Path) -> None:
    latency = {
        "request": {"mean_ms": "40", "deviation_ms": "20"},
        "response": {"mean_ms": "30", "deviation_ms": "20"},
        "seed": "3",
    }
    told = []
    for run in ("first", "second"):
        (tmp_path / run).mkdir()
        house = await LineHouse(tmp_path / run, {"synthetic": {"seed": 4}}, latency=latency).open()
        await house.clock.advance(2)
        tasks = []
        for number in range(10):
            tasks.append(asyncio.create_task(house.place(f"a{number}", 1 if number % 2 else -1, "0.01")))
            await house.clock.advance(0.03)
        await house.clock.advance(5)
        await asyncio.gather(*tasks)
        told.append([event.SerializeToString(deterministic=True) for event in house.events()])
        house.check_laws()
        await house.close()
    assert told[0] == told[1]


async def test_latency_costs_what_the_market_moves_meanwhile(tmp_path: Path) -> None:
    """The price of an order is the one of its arrival, not of its sending: 40 ms later, one tick up."""
    house = await LineHouse(tmp_path, latency={"request": {"constant_ms": "40"}}).open()
    await house.push(quote("99", "100"))
    placing = asyncio.create_task(house.place("a", 1, "1"))
    await settle()
    await house.push(quote("99.5", "100.5"))
    await house.clock.advance(40 * MS)
    assert (await placing).order.average_price == Decimal("100.5")
    await house.close()


@pytest.mark.parametrize(("ask", "quantity"), [("125", "8"), ("100", "10"), ("50", "10")])
@pytest.mark.parametrize("heard", [True, False])
async def test_an_amount_is_counted_again_where_it_arrives(
    tmp_path: Path, ask: str, quantity: str, heard: bool
) -> None:
    """Never more than the amount, and never more than it was sent with; where nothing is heard of that, the polls find
    the total that it came to."""
    faults = [] if heard else [{"kind": "mute_stream"}]
    house = await LineHouse(tmp_path, latency={"request": {"constant_ms": "40"}}, faults=faults).open()
    await house.push(quote("49", "100", "10"))
    spec = OrderSpec("BTC/USDT", Side.BUY, OrderType.MARKET, quote_quantity=Decimal(1000))
    asked = PlaceOrder("main", "a", spec, b"body")
    placing = asyncio.create_task(house.gateway.place_order(asked))
    await settle()
    assert house.order("a").quantity == 10
    await house.push(quote("49", ask, "10"))
    await house.clock.advance(60)
    await placing
    order = house.order("a")
    assert order.state is OrderState.FILLED
    assert order.quantity == order.cum_quantity == Decimal(quantity)
    assert order.cum_notional <= 1000
    assert not house.gateway.account("main").control.discrepancies
    house.check_laws()
    await house.die()
    assert house.order("a").quantity == Decimal(quantity)
    await house.close()
