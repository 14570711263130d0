"""Bringing an account up to date with its broker: after a crash, after a lost connection, and for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.commands import CancelOrder, ClearFreeze, OrderRef, ResolveOrder
from brokergate.domain.control import OrderResolution
from brokergate.domain.errors import ErrorReason, GatewayError, TemporaryConnectionError
from brokergate.domain.fills import FillOrigin
from brokergate.domain.orders import Order, OrderOrigin, OrderState, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.ports.broker import Failed, FindResult, Outcome, Unknown, VenueOrder
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, Street, living, place, position, request


def lost(order: Order) -> Outcome:
    """The request never arrives, and nobody knows."""
    return Unknown("timed out")


async def test_an_order_that_the_venue_shows_is_acknowledged() -> None:
    """The answer was lost, the order was not: the first query that shows it ends the doubt."""
    async with living() as house:

        def unheard(order: Order) -> Outcome:
            house.broker.works(order)
            return Unknown("timed out")

        house.broker.place = unheard
        placed = await house.gateway.place_order(place("a"))
        assert placed.order.uncertain
        await house.clock.advance(0.3)
        assert (house.order("a").state, house.order("a").pending) == (OrderState.NEW, ())
        assert len(house.broker.placed) == 1


async def test_absence_counts_only_after_the_brokers_time() -> None:
    """Queries that begin sooner than `absence_after_ms` after the sending prove nothing, however many say no."""
    async with living(absence_after_ms=1000) as house:
        house.broker.place = lost
        await house.gateway.place_order(place("a"))
        await house.clock.advance(0.99)
        assert len(house.broker.asked_for) >= 2
        assert house.order("a").uncertain
        await house.clock.advance(2)
        order = house.order("a")
        assert (order.state, order.reject_reason) == (OrderState.REJECTED, ErrorReason.NOT_SENT)
        assert len(house.broker.placed) == 1


async def test_a_failed_query_proves_nothing() -> None:
    """While queries fail the order stays uncertain for as long as they do (law 4)."""
    async with living() as house:
        house.broker.place = lost
        await house.gateway.place_order(place("a"))
        house.broker.queries_fail = True
        await house.clock.advance(3600)
        assert house.order("a").uncertain


async def test_a_crash_between_sending_and_answer_is_resolved_before_the_account_is_served() -> None:
    """An order that was dispatched and not answered when the gateway died is asked for; nothing new goes out before."""
    async with living() as house:
        waiting = asyncio.Event()

        async def never(orders: object) -> list[Outcome]:
            waiting.set()
            await asyncio.Event().wait()
            return []

        house.broker.place_orders = never  # type: ignore[method-assign]
        call = asyncio.create_task(house.gateway.place_order(place("a")))
        await waiting.wait()
        crashed = house.gateway
        del house.broker.place_orders
        house.__post_init__()
        await house.open()
        assert not house.connected()
        assert house.order("a").uncertain
        with pytest.raises(GatewayError) as early:
            await house.gateway.place_order(place("b"))
        assert early.value.reason is ErrorReason.RECOVERING
        await house.clock.advance(5)
        assert house.order("a").reject_reason is ErrorReason.NOT_SENT
        assert house.connected()
        assert (await house.gateway.place_order(place("b"))).order.state is OrderState.NEW
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        crashed.tasks.cancel()


async def test_fills_of_an_outage_are_booked_once_as_backfill() -> None:
    """What filled while the gateway was away is booked with its origin, and not again by the polls after it."""
    async with living() as house:
        await house.gateway.place_order(place("a", "5"))
        for part in ("1", "1", "1"):
            house.broker.fill("a", part)
        await house.again(1)
        order = house.order("a")
        assert (order.state, order.cum_quantity) == (OrderState.PARTIALLY_FILLED, Decimal(3))
        await house.clock.advance(200)
        booked = [event.fill.fill for event in house.events() if event.HasField("fill")]
        assert [fill.broker_execution_id for fill in booked] == ["X1", "X2", "X3"]
        assert {FillOrigin(fill.origin) for fill in booked} == {FillOrigin.BACKFILL}
        assert (await house.gateway.list_positions("main", False)).value[0].quantity == 3


async def test_a_frame_that_was_lost_is_found_by_the_polls() -> None:
    """On a connection that says nothing wrong, an order's fills and end are found within a poll."""
    async with living() as house:
        await house.gateway.place_order(place("a", "2"))
        house.broker.fill("a", "2", ends=True)
        await house.clock.advance(31)
        assert house.order("a").state is OrderState.FILLED


async def test_an_order_that_ended_during_an_outage_ends() -> None:
    """The venue cancelled it while nobody listened: the gateway asks for it by itself and learns that."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        await house.broker.cancel_order(house.order("a"))
        house.broker.lose()
        await house.clock.advance(2)
        assert house.order("a").state is OrderState.CANCELED


async def test_silence_that_proves_nothing_freezes_the_instrument_alone() -> None:
    """At a broker whose silence is no proof an unknown order stays, its instrument takes no new orders, others do."""
    async with living(absence_after_ms=None) as house:
        house.broker.place = lost
        await house.gateway.place_order(place("a"))
        house.broker.place = house.broker.works
        await house.clock.advance(3600)
        assert house.order("a").uncertain
        blocked = await house.gateway.place_order(place("b"))
        assert blocked.order.reject_reason is ErrorReason.INSTRUMENT_FROZEN
        other = await house.gateway.place_order(place("c", symbol="ETH/USDT"))
        assert other.order.state is OrderState.NEW
        await house.gateway.resolve_order(
            ResolveOrder(
                "main", OrderRef(client_order_id="a"), OrderResolution.NEVER_PLACED, None, "", "asked"
            ),
            request("r1"),
        )
        assert house.order("a").state is OrderState.REJECTED
        assert (await house.gateway.place_order(place("d"))).order.state is OrderState.NEW


async def test_an_order_of_which_nobody_can_tell_any_more_keeps_its_instrument_and_not_the_account() -> None:
    """A broker that tells of its present day alone, and an order that was under way when the gateway died days ago: the
    account is served, the order's instrument waits for a person."""
    async with living() as house:
        house.broker.place = lost
        await house.gateway.place_order(place("a"))
        house.broker.place = house.broker.works

        async def too_old(order: Order) -> FindResult:
            return Failed("it is of another day", for_good=True)

        house.broker.find_order = too_old  # type: ignore[method-assign]
        await house.again(5)
        assert house.connected()
        assert house.order("a").uncertain
        blocked = await house.gateway.place_order(place("b"))
        assert blocked.order.reject_reason is ErrorReason.INSTRUMENT_FROZEN
        other = await house.gateway.place_order(place("c", symbol="ETH/USDT"))
        assert other.order.state is OrderState.NEW
        never = ResolveOrder(
            "main", OrderRef(client_order_id="a"), OrderResolution.NEVER_PLACED, None, "", "asked"
        )
        await house.gateway.resolve_order(never, request("r1"))
        assert (await house.gateway.place_order(place("d"))).order.state is OrderState.NEW


async def test_an_order_that_is_certain_is_not_resolved() -> None:
    """ResolveOrder is for what nobody knows: anything else is refused, and nothing changes."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        command = ResolveOrder(
            "main", OrderRef(client_order_id="a"), OrderResolution.NEVER_PLACED, None, "", "because"
        )
        with pytest.raises(GatewayError) as refused:
            await house.gateway.resolve_order(command, request("r1"))
        assert refused.value.reason is ErrorReason.ORDER_NOT_UNCERTAIN
        assert house.order("a").state is OrderState.NEW


async def test_a_position_that_nothing_explains_freezes_its_instrument() -> None:
    """Two readings a quiet period apart make a disagreement; ClearFreeze takes the broker's word."""
    async with living() as house:
        house.broker.positions["BTC/USDT"] = position("BTC/USDT", "7")
        await house.clock.advance(31)
        assert not house.gateway.list_discrepancies("main", False, None, 10)
        await house.clock.advance(31)
        ((_, found),) = house.gateway.list_discrepancies("main", False, None, 10)
        assert (found.symbol, found.expected, found.actual) == ("BTC/USDT", "0", "7")
        frozen = await house.gateway.place_order(place("a"))
        assert frozen.order.reject_reason is ErrorReason.INSTRUMENT_FROZEN
        await house.again(1)
        assert house.gateway.trading_states("main")[0].frozen_symbols == ["BTC/USDT"]
        await house.gateway.clear_freeze(ClearFreeze("main", "BTC/USDT", "bought elsewhere"), request("r1"))
        assert house.gateway.trading_states("main")[0].frozen_symbols == []
        assert (await house.gateway.place_order(place("b"))).order.state is OrderState.NEW
        assert [p.quantity for p in house.journal.positions("main")] == [Decimal(7)]
        await house.clock.advance(200)
        assert not house.gateway.list_discrepancies("main", False, None, 10)


class Busy(Street):
    """A street that fills one more of order `a` whenever its positions are asked for, `fills_left` times: before it
    answers, or right after."""

    fills_left = 0
    before = True

    async def get_positions(self) -> Sequence[BrokerPosition]:
        told = await super().get_positions()
        if self.fills_left:
            self.fills_left -= 1
            self.fill("a", "1")
        return await super().get_positions() if self.before else told


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("during", [0, 1, 3])
async def test_a_position_is_believed_with_all_that_it_was_made_of(*, during: int, before: bool) -> None:
    """Fills that nobody heard of are in the position that ClearFreeze takes: each counts once, also one that comes
    while the position is asked for."""
    street = Busy()
    street.before = before
    house = House(street)
    await house.open()
    await house.gateway.place_order(place("a", "9"))
    street.positions["BTC/USDT"] = position("BTC/USDT", "7")
    await house.clock.advance(62)
    assert house.gateway.trading_states("main")[0].frozen_symbols == ["BTC/USDT"]
    street.fill("a", "1")
    street.fills_left = during
    await house.gateway.clear_freeze(ClearFreeze("main", "BTC/USDT", "bought elsewhere"), request("r1"))
    assert [p.quantity for p in house.journal.positions("main")] == [Decimal(8 + during)]
    assert house.order("a").cum_quantity == 1 + during
    await house.clock.advance(200)
    assert [p.quantity for p in house.journal.positions("main")] == [Decimal(8 + during)]
    assert not house.gateway.list_discrepancies("main", False, None, 10)
    await house.gateway.close()
    house.journal.close()


async def test_a_freeze_holds_while_fills_cannot_be_read() -> None:
    """Nothing is believed of a broker that cannot say what its position was made of."""
    async with living() as house:
        house.broker.positions["BTC/USDT"] = position("BTC/USDT", "7")
        await house.clock.advance(62)
        house.broker.queries_fail = True
        with pytest.raises(TemporaryConnectionError):
            await house.gateway.clear_freeze(ClearFreeze("main", "BTC/USDT", "mine"), request("r1"))
        assert house.gateway.trading_states("main")[0].frozen_symbols == ["BTC/USDT"]
        house.broker.queries_fail = False
        await house.gateway.clear_freeze(ClearFreeze("main", "BTC/USDT", "mine"), request("r1"))
        assert house.gateway.trading_states("main")[0].frozen_symbols == []


async def test_what_an_account_holds_at_first_is_its_beginning() -> None:
    """Positions and fills of before the gateway are no disagreement, and old fills are not booked."""
    street = Street()
    street.positions["BTC/USDT"] = position("BTC/USDT", "3")
    street.orders["old"] = VenueOrder(
        "old", "B0", "BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(9), Decimal(0), OrderState.NEW, 1
    )
    street.fill("old", "2")
    house = House(street)
    await house.open()
    await house.clock.advance(100)
    assert [p.quantity for p in house.journal.positions("main")] == [Decimal(5)]
    assert not [event for event in house.events() if event.HasField("fill")]
    assert not house.gateway.list_discrepancies("main", True, None, 10)
    (other,) = house.gateway.account("main").tracker.open.values()
    assert (other.origin, other.leaves_quantity, other.client_order_id) == (
        OrderOrigin.EXTERNAL,
        Decimal(7),
        "",
    )
    street.fill("old", "7", ends=True)
    await house.clock.advance(31)
    assert not house.gateway.account("main").tracker.open
    assert [p.quantity for p in house.journal.positions("main")] == [Decimal(12)]
    await house.gateway.close()
    house.journal.close()


async def test_a_connection_that_fails_is_tried_again() -> None:
    """After 1, 2, 4 seconds, less by chance; meanwhile orders are refused with how to go on."""
    async with living() as house:
        house.broker.reachable = False
        house.broker.lose()
        await settle()
        await house.clock.advance(5)
        with pytest.raises(GatewayError) as away:
            await house.gateway.place_order(place("a"))
        assert away.value.reason is ErrorReason.BROKER_UNAVAILABLE
        assert away.value.retry_after_ms
        house.broker.reachable = True
        await house.clock.advance(10)
        assert (await house.gateway.place_order(place("a"))).order.state is OrderState.NEW


async def test_a_lost_cancel_is_sent_again_until_it_is_proven() -> None:
    """Nobody knows whether the cancel came through; the venue works the order: a cancel may be repeated, and is."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        cancel = house.broker.cancel_order
        house.broker.cancel_order = lambda order: _unknown()  # type: ignore[method-assign]
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="a")), request("r1"))
        assert house.order("a").uncertain
        house.broker.cancel_order = cancel  # type: ignore[method-assign]
        await house.clock.advance(1)
        assert house.order("a").state is OrderState.CANCELED


async def _unknown() -> Outcome:
    return Unknown("timed out")


async def test_an_exclusive_account_disputes_an_order_of_others() -> None:
    """`ownership: exclusive`: somebody else's order is a disagreement, and frozen; it is there to be cancelled."""
    async with living(policy=AccountPolicy(exclusive=True)) as house:
        house.broker.orders["x"] = VenueOrder(
            "", "BX", "ETH/USDT", Side.SELL, OrderType.LIMIT, Decimal(2), Decimal(0), OrderState.NEW, 1
        )
        await house.clock.advance(31)
        ((_, found),) = house.gateway.list_discrepancies("main", False, None, 10)
        assert found.symbol == "ETH/USDT"
        assert len(house.gateway.account("main").tracker.open) == 1


async def test_a_hole_that_the_broker_made_is_told() -> None:
    """A broker that does not tell executions again: after an outage a Gap says so."""
    async with living() as house:
        house.broker.capabilities = replace(house.broker.capabilities, replays_fills=False)
        await house.clock.advance(31)
        before_ns = house.clock.now_ns()
        house.broker.lose()
        await house.clock.advance(10)
        (gap,) = [event.gap for event in house.events() if event.HasField("gap")]
        assert gap.start_time.ToNanoseconds() <= before_ns <= gap.end_time.ToNanoseconds()
        house.broker.capabilities = replace(house.broker.capabilities, replays_fills=True)


async def test_an_order_that_is_cancelled_before_its_turn_is_not_sent() -> None:
    """Orders of a batch go out one after another: a cancel of a later one is in time."""
    async with living() as house:
        turn = asyncio.Event()
        send = house.broker.place_orders

        async def slow(orders: Sequence[Order]) -> Sequence[Outcome]:
            if orders[0].client_order_id == "a":
                await turn.wait()
            return await send(orders)

        house.broker.place_orders = slow  # type: ignore[method-assign]
        batch = asyncio.create_task(house.gateway.place_orders([place("a"), place("b")]))
        await settle()
        house.broker.cancel_order = lambda order: _unknown()  # type: ignore[method-assign]
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="b")), request("r1"))
        turn.set()
        await batch
        assert house.order("b").reject_reason is ErrorReason.NOT_SENT
        assert [order.client_order_id for order in house.broker.placed] == ["a"]
