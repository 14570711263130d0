"""Orders that are held back while a broker is away, and emergency stops."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.domain.accounts import TradingState
from brokergate.domain.commands import (
    CancelOrder,
    EmergencyStop,
    OrderRef,
    PlaceOrder,
    ReplaceOrder,
    ResumeTrading,
)
from brokergate.domain.control import StopPhase
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import ControlEventType
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side
from brokergate.domain.policy import AccountPolicy, StopCause
from brokergate.ports.broker import Outcome, Rejected, Unknown, VenueOrder
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, living, place, position, request

QUEUE = AccountPolicy(queue_max_age_ns=60_000_000_000)


async def away(house: House) -> None:
    """The broker goes away."""
    house.broker.reachable = False
    house.broker.lose()
    await settle()


def phases(house: House) -> list[str]:
    return [
        f"{ControlEventType(event.control.type).name} {StopPhase(event.control.stop.phase).name}"
        for event in house.events()
        if event.HasField("control")
    ]


async def test_a_held_order_is_sent_when_the_broker_is_back() -> None:
    """It is journalled and shown as held, survives a restart, and goes out once, after the gap was filled."""
    async with living(policy=QUEUE) as house:
        await away(house)
        held = await house.gateway.place_order(place("a"))
        assert (held.order.state, held.order.held) == (OrderState.PENDING_NEW, True)
        again = await house.gateway.place_order(place("a"))
        assert again.already_existed
        await house.again(10)
        assert house.order("a").held
        assert house.broker.placed == []
        house.broker.reachable = True
        await house.clock.advance(20)
        assert (house.order("a").state, house.order("a").held) == (OrderState.NEW, False)
        assert len(house.broker.placed) == 1
        assert house.order_events() == ["INTENT", "DISPATCHED", "ACKNOWLEDGED"]


async def test_a_held_order_waits_no_longer_than_it_may() -> None:
    """At `queue_max_age` it ends REJECTED NOT_SENT, and is not sent when the broker is back."""
    async with living(policy=QUEUE) as house:
        await away(house)
        await house.gateway.place_order(place("a"))
        await house.clock.advance(59)
        assert house.order("a").held
        await house.clock.advance(3)
        assert house.order("a").reject_reason is ErrorReason.NOT_SENT
        house.broker.reachable = True
        await house.clock.advance(100)
        assert house.broker.placed == []


async def test_a_held_order_can_be_cancelled_while_the_broker_is_away() -> None:
    """Nothing of it was sent, so nobody need be asked."""
    async with living(policy=QUEUE) as house:
        await away(house)
        await house.gateway.place_order(place("a"))
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="a")), request("r1"))
        assert house.order("a").state is OrderState.CANCELED
        house.broker.reachable = True
        await house.clock.advance(100)
        assert house.broker.placed == []


async def test_a_held_order_is_refused_where_the_account_no_longer_queues() -> None:
    """INTENT without DISPATCHED ends REJECTED NOT_SENT (law 3)."""
    async with living(policy=QUEUE) as house:
        await away(house)
        await house.gateway.place_order(place("a"))
        house.policy = AccountPolicy()
        house.broker.reachable = True
        await house.again(5)
        assert house.order("a").reject_reason is ErrorReason.NOT_SENT
        assert house.broker.placed == []


async def test_a_held_order_is_refused_where_the_account_is_only_read_now() -> None:
    """Trading was switched off in the configuration while it waited: nothing is sent."""
    async with living(policy=QUEUE) as house:
        await away(house)
        await house.gateway.place_order(place("a"))
        house.policy = AccountPolicy(trading_enabled=False, queue_max_age_ns=QUEUE.queue_max_age_ns)
        house.broker.reachable = True
        await house.again(5)
        assert house.order("a").reject_reason is ErrorReason.TRADING_DISABLED
        assert house.broker.placed == []


async def test_a_stop_cancels_what_is_open_and_proves_it() -> None:
    """Orders of the gateway and of others are cancelled at the venue; nothing new goes out, over a restart too, until
    somebody resumes with a reason."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        house.broker.orders["BX"] = VenueOrder(
            "", "BX", "ETH/USDT", Side.SELL, OrderType.LIMIT, Decimal(2), Decimal(0), OrderState.NEW, 1
        )
        await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s1"))
        refused = await house.gateway.place_order(place("b"))
        assert refused.order.reject_reason is ErrorReason.TRADING_STOPPED
        await house.clock.advance(10)
        assert {order.state for order in house.broker.orders.values()} == {OrderState.CANCELED}
        assert phases(house)[0] == "STOPPED CANCELLING"
        assert phases(house)[-1] == "STOP_PROGRESS DONE"
        await house.again(5)
        assert house.gateway.trading_states("main")[0].state is TradingState.STOPPED
        refused = await house.gateway.place_order(place("c"))
        assert refused.order.reject_reason is ErrorReason.TRADING_STOPPED
        await house.gateway.resume_trading(ResumeTrading((), "all is well"), request("r1"))
        assert (await house.gateway.place_order(place("d"))).order.state is OrderState.NEW
        await house.again(5)
        assert house.gateway.trading_states("main")[0].state is TradingState.ACTIVE


async def test_a_stop_holds_while_the_broker_is_away() -> None:
    """The latch holds at once and empties the queue; the cancels follow when the broker is back."""
    async with living(policy=QUEUE) as house:
        await house.gateway.place_order(place("a"))
        await away(house)
        await house.gateway.place_order(place("held"))
        await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s1"))
        await house.clock.advance(1)
        assert house.order("held").state is OrderState.CANCELED
        assert not house.broker.cancelled
        house.broker.reachable = True
        await house.clock.advance(60)
        assert house.broker.orders["a"].state is OrderState.CANCELED
        assert phases(house)[-1] == "STOP_PROGRESS DONE"
        assert [order.client_order_id for order in house.broker.placed] == ["a"]


async def test_a_stop_flattens_once_over_a_restart() -> None:
    """Positions are closed by market orders whose ids follow from the stop's: a gateway that dies in between closes
    nothing twice. Protective stops are kept until there is nothing to protect."""
    async with living() as house:
        await house.gateway.place_order(place("a", "3"))
        house.broker.fill("a", "3", ends=True)
        stop = OrderSpec("BTC/USDT", Side.SELL, OrderType.STOP, Decimal(3), stop_price=Decimal("90.00"))
        await house.clock.advance(31)
        await house.gateway.place_order(PlaceOrder("main", "guard", stop, b"stop"))
        command = EmergencyStop((), "test", keep_protective_stops=True, flatten=True)
        await house.gateway.emergency_stop(command, request("s1"))
        await house.clock.advance(3)
        closing = [order for order in house.broker.placed if order.client_order_id.startswith("stop-")]
        assert [(order.spec.side, order.quantity) for order in closing] == [(Side.SELL, Decimal(3))]
        assert house.order("guard").state is OrderState.NEW
        await house.again(5)
        assert len([o for o in house.broker.placed if o.client_order_id.startswith("stop-")]) == 1
        house.broker.fill(closing[0].client_order_id, "3", ends=True)
        await house.clock.advance(60)
        assert house.order("guard").state is OrderState.CANCELED
        assert phases(house)[-1] == "STOP_PROGRESS DONE"
        assert [p.quantity for p in house.journal.positions("main")] == [Decimal(0)]


async def test_a_protective_stop_that_is_in_the_way_of_closing_goes_first() -> None:
    """A venue sets aside for a stop order what it would sell, and has nothing left for the order that closes."""
    async with living() as house:
        await house.gateway.place_order(place("a", "3"))
        house.broker.fill("a", "3", ends=True)
        await house.clock.advance(31)
        spec = OrderSpec("BTC/USDT", Side.SELL, OrderType.STOP, Decimal(3), stop_price=Decimal("90.00"))
        await house.gateway.place_order(PlaceOrder("main", "guard", spec, b"stop"))

        def place_or_refuse(order: Order) -> Outcome:
            if house.broker.orders["guard"].state is OrderState.NEW:
                return Rejected(ErrorReason.INSUFFICIENT_FUNDS, "it is set aside for an order")
            return house.broker.works(order)

        house.broker.place = place_or_refuse
        command = EmergencyStop((), "test", keep_protective_stops=True, flatten=True)
        await house.gateway.emergency_stop(command, request("s1"))
        await house.clock.advance(5)
        refused, closing = house.broker.placed[-2:]
        assert (refused.client_order_id[-2:], closing.client_order_id[-2:]) == ("-1", "-2")
        house.broker.fill(closing.client_order_id, "3", ends=True)
        await house.clock.advance(60)
        assert phases(house)[-1] == "STOP_PROGRESS DONE"
        assert [p.quantity for p in house.journal.positions("main")] == [Decimal(0)]


async def test_an_uncertain_order_keeps_its_own_position_open_alone() -> None:
    """Where nobody can prove what became of an order, positions in other instruments are closed all the same."""
    async with living(absence_after_ms=None) as house:
        await house.gateway.place_order(place("a", "3"))
        house.broker.fill("a", "3", ends=True)
        await house.clock.advance(31)
        house.broker.place = lambda _: Unknown("no answer")
        spec = OrderSpec("ETH/USDT", Side.BUY, OrderType.LIMIT, Decimal(3), limit_price=Decimal("90.00"))
        await house.gateway.place_order(PlaceOrder("main", "lost", spec, b"lost"))
        house.broker.place = house.broker.works
        await house.gateway.emergency_stop(EmergencyStop((), "test", flatten=True), request("s1"))
        await house.clock.advance(10)
        assert [o.quantity for o in house.broker.placed if o.client_order_id.startswith("stop-")] == [
            Decimal(3)
        ]
        assert phases(house)[-1] == "STOP_PROGRESS CANCELLING"


async def test_a_second_stop_joins_the_first_and_adds_to_it() -> None:
    """In the middle of a stop another one keeps its operation, and asks for what it wants beyond it."""
    async with living() as house:
        await house.gateway.place_order(place("a", "3"))
        house.broker.fill("a", "1")
        first = await house.gateway.emergency_stop(EmergencyStop((), "one"), request("s1"))
        again = await house.gateway.emergency_stop(EmergencyStop((), "one"), request("s1"))
        assert first == again
        await house.gateway.emergency_stop(EmergencyStop((), "two", flatten=True), request("s2"))
        stop = house.gateway.account("main").control.stop
        assert stop is not None
        assert (stop.request_id, stop.flatten) == ("s1", True)
        await house.clock.advance(5)
        assert [o.quantity for o in house.broker.placed if o.client_order_id.startswith("stop-")] == [
            Decimal(1)
        ]


async def test_a_second_stop_is_proven_when_the_first_was_done() -> None:
    """It finds nothing to do, and says so: whoever waits for its proof does not wait for ever."""
    async with living() as house:
        await house.gateway.emergency_stop(EmergencyStop((), "one"), request("s1"))
        await house.clock.advance(5)
        assert phases(house) == ["STOPPED CANCELLING", "STOP_PROGRESS DONE"]
        await house.gateway.emergency_stop(EmergencyStop((), "two"), request("s2"))
        await house.clock.advance(5)
        assert phases(house)[2:] == ["STOPPED CANCELLING", "STOP_PROGRESS DONE"]


async def test_a_stop_that_comes_while_an_order_is_announced_holds_it_back() -> None:
    """Between the commit of DISPATCHED and the sending the latch is looked at again (law 11)."""
    async with living() as house:
        account = house.gateway.account("main")
        commit = house.journal.commit_now

        async def stopped_meanwhile(account_id: str | None = None) -> None:
            await commit(account_id)
            house.journal.commit_now = commit  # type: ignore[method-assign]
            await house.gateway.emergency_stop(EmergencyStop((), "now"), request("s1"))

        house.journal.commit_now = stopped_meanwhile  # type: ignore[method-assign]
        placed = await house.gateway.place_order(place("a"))
        assert placed.order.reject_reason is ErrorReason.TRADING_STOPPED
        assert house.broker.placed == []
        assert account.control.stop is not None


async def test_a_disagreement_stops_an_account_that_says_so() -> None:
    """`stop_on: [discrepancy]` latches by itself, with the reason in the state."""
    async with living(policy=AccountPolicy(stop_on=frozenset({StopCause.DISCREPANCY}))) as house:
        house.broker.positions["BTC/USDT"] = position("BTC/USDT", "7")
        await house.clock.advance(70)
        (state,) = house.gateway.trading_states("main")
        assert state.state is TradingState.STOPPED
        assert state.reason.startswith("discrepancy: ")


async def test_a_replace_is_refused_during_a_stop() -> None:
    """It is refused with the reason and journals nothing; cancels pass."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        account = house.gateway.account("main")
        house.broker.queries_fail = True
        await house.gateway.emergency_stop(EmergencyStop((), "now"), request("s1"))
        before = len(house.order_events())
        command = ReplaceOrder("main", OrderRef(client_order_id="a"), 1, quantity=Decimal(2))
        with pytest.raises(GatewayError) as refused:
            await house.gateway.replace_order(command, request("r1"))
        assert refused.value.reason is ErrorReason.TRADING_STOPPED
        assert len(house.order_events()) == before
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="a")), request("r2"))
        assert not account.tracker.open


async def test_a_stop_is_told_before_the_broker_is_missed() -> None:
    """While the broker is away a new order during a stop ends REJECTED: trying again would not help."""
    async with living() as house:
        await away(house)
        await house.gateway.emergency_stop(EmergencyStop((), "now"), request("s1"))
        placed = await house.gateway.place_order(place("a"))
        assert placed.order.reject_reason is ErrorReason.TRADING_STOPPED


async def test_a_stop_of_an_account_that_is_only_read_ends_with_its_positions_named() -> None:
    """It cancels what is open and places nothing, also where it was asked to flatten."""
    async with living(policy=AccountPolicy(trading_enabled=False)) as house:
        house.broker.orders["BX"] = VenueOrder(
            "", "BX", "ETH/USDT", Side.SELL, OrderType.LIMIT, Decimal(2), Decimal(0), OrderState.NEW, 1
        )
        house.broker.positions["BTC/USDT"] = position("BTC/USDT", "7")
        await house.again(1)
        await house.gateway.emergency_stop(EmergencyStop((), "test", flatten=True), request("s1"))
        await house.clock.advance(10)
        assert phases(house)[-1] == "STOP_PROGRESS DONE"
        assert house.broker.placed == []
        assert house.broker.orders["BX"].state is OrderState.CANCELED


async def test_a_position_that_cannot_be_closed_is_tried_more_slowly() -> None:
    """A venue that refuses every closing order gets some an hour, and not one every few seconds."""
    async with living() as house:
        await house.gateway.place_order(place("a", "3"))
        house.broker.fill("a", "3", ends=True)
        await house.clock.advance(31)
        house.broker.place = lambda order: Rejected(ErrorReason.MARKET_CLOSED, "closed")
        await house.gateway.emergency_stop(EmergencyStop((), "test", flatten=True), request("s1"))
        await house.clock.advance(3600)
        tried = [order for order in house.broker.placed if order.client_order_id.startswith("stop-")]
        assert 10 <= len(tried) <= 30
