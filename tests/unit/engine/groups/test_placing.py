"""Groups are placed whole or not at all, exactly once, each order under its own id."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    EmergencyStop,
    IfUnknown,
    OrderFailure,
    OrderRef,
    Placed,
    PlaceOrder,
    ReplaceOrder,
)
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order, OrderState, OrderType, PendingActionKind, Side, TimeInForce
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.ports.broker import Accepted, GroupKind, OrderGroup, Outcome, Rejected, Unknown, VenueOrder
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.groups.bench import BRACKET, bracket, ids, linking, links, oco, placed, states
from tests.unit.engine.street import House, place, request

QUEUE = AccountPolicy(queue_max_age_ns=60_000_000_000)


def reason_of(caught: pytest.ExceptionInfo[GatewayError]) -> ErrorReason:
    return caught.value.reason


async def test_a_bracket_is_three_orders_that_the_broker_links() -> None:
    async with linking() as house:
        answer = await placed(house, bracket())
        (group,) = house.broker.groups
        assert (group.kind, ids(group.orders)) == (GroupKind.BRACKET, list(BRACKET))
        assert not house.broker.placed
        entry, profit, loss = (house.order(name) for name in BRACKET)
        assert (answer.order, answer.linked, answer.already_existed) == (entry, (profit, loss), False)
        assert {order.group_id for order in (entry, profit, loss)} == {entry.order_id}
        assert len({order.order_id for order in (entry, profit, loss)}) == 3
        assert states(house) == ["NEW"] * 3


async def test_the_legs_close_what_the_entry_opens() -> None:
    async with linking() as house:
        command = bracket(labels=(("desk", "a"),), extended_hours=False)
        _, profit, loss = (await placed(house, command)).order, *(await placed(house, command)).linked
        for leg in (profit, loss):
            assert (leg.spec.side, leg.quantity, leg.spec.reduce_only) == (Side.SELL, Decimal(4), True)
            assert (leg.spec.time_in_force, leg.spec.labels) == (TimeInForce.GTC, (("desk", "a"),))
        assert (profit.spec.type, profit.spec.limit_price) == (OrderType.LIMIT, Decimal(120))
        assert (loss.spec.type, loss.spec.stop_price) == (OrderType.STOP, Decimal(80))


@pytest.mark.parametrize(
    ("asked", "of_the_legs"),
    [
        (TimeInForce.DAY, TimeInForce.DAY),
        (TimeInForce.IOC, TimeInForce.GTC),
        (TimeInForce.UNSPECIFIED, TimeInForce.GTC),
    ],
)
async def test_legs_work_until_cancelled_unless_the_entry_is_for_the_day(
    asked: TimeInForce, of_the_legs: TimeInForce
) -> None:
    async with linking() as house:
        answer = await placed(house, bracket(time_in_force=asked))
        assert [leg.spec.time_in_force for leg in answer.linked] == [of_the_legs] * 2


async def test_legs_with_both_prices_are_touched_and_limited() -> None:
    async with linking() as house:
        command = bracket()
        assert command.spec.take_profit is not None
        assert command.spec.stop_loss is not None
        command = bracket(
            take_profit=changed(command.spec.take_profit, stop_price=Decimal("119.00")),
            stop_loss=changed(command.spec.stop_loss, limit_price=Decimal("79.00")),
        )
        profit, loss = (await placed(house, command)).linked
        assert profit.spec.type is OrderType.LIMIT_IF_TOUCHED
        assert loss.spec.type is OrderType.STOP_LIMIT


async def test_an_oco_group_is_linked_as_such() -> None:
    async with linking() as house:
        answer = await placed(house, oco())
        (group,) = house.broker.groups
        assert (group.kind, ids(group.orders)) == (GroupKind.OCO, ["high", "low"])
        assert answer.linked[0].group_id == answer.order.order_id == answer.order.group_id


@pytest.mark.parametrize("command", [bracket(), oco()])
async def test_a_repeat_answers_with_the_orders_as_they_stand(command: PlaceOrder) -> None:
    async with linking() as house:
        first = await placed(house, command)
        again = await placed(house, command)
        assert again == Placed(first.order, True, first.linked)
        await house.again(1)
        links(house.broker)
        assert await placed(house, command) == again
        assert len(house.broker.groups) == 1


async def test_an_id_of_a_leg_that_is_known_otherwise_places_nothing() -> None:
    async with linking() as house:
        await house.gateway.place_order(place("sl"))
        with pytest.raises(GatewayError, match="'sl'") as caught:
            await placed(house, bracket())
        assert reason_of(caught) is ErrorReason.CLIENT_ORDER_ID_REUSED
        assert not house.broker.groups
        with pytest.raises(GatewayError) as missing:
            house.order("entry")
        assert reason_of(missing) is ErrorReason.ORDER_NOT_FOUND


@pytest.mark.parametrize("name", ["tp", "sl"])
async def test_a_leg_is_no_order_to_be_asked_for_by_itself(name: str) -> None:
    """Not with the body of its group, nor with another one."""
    async with linking() as house:
        await placed(house, bracket())
        for command in (place(name), bracket(name=name), changed(place(name), fingerprint=b"bracket")):
            with pytest.raises(GatewayError) as caught:
                await placed(house, command)
            assert reason_of(caught) is ErrorReason.CLIENT_ORDER_ID_REUSED


async def test_a_batch_takes_brackets_in_turn() -> None:
    async with linking() as house:
        commands = [
            place("a"),
            bracket(),
            place("tp"),
            bracket(name="e2", profit="sl"),
            bracket(),
            place("b"),
        ]
        results = await house.gateway.place_orders(commands)
        a, whole, leg, other, twin, b = results
        assert isinstance(whole, Placed)
        assert isinstance(a, Placed)
        assert isinstance(b, Placed)
        assert twin == changed(whole, already_existed=True)
        for result in (leg, other):
            assert isinstance(result, OrderFailure)
            assert isinstance(result.error, GatewayError)
            assert result.error.reason is ErrorReason.CLIENT_ORDER_ID_REUSED
        assert (len(house.broker.groups), ids(house.broker.placed)) == (1, ["a", "b"])


async def test_what_the_broker_refuses_is_refused_whole() -> None:
    async with linking() as house:
        house.broker.link = lambda group: [
            Rejected(ErrorReason.INSUFFICIENT_FUNDS, "poor") for _ in group.orders
        ]
        answer = await placed(house, bracket())
        assert states(house) == ["REJECTED"] * 3
        assert {order.reject_reason for order in (answer.order, *answer.linked)} == {
            ErrorReason.INSUFFICIENT_FUNDS
        }


async def test_intent_to_send_all_of_it_is_durable_before_the_first_byte() -> None:
    async with linking() as house:
        seen: list[list[str]] = []

        def link(group: OrderGroup) -> list[Outcome]:
            seen.append(house.order_events())
            return [house.broker.works(order) for order in group.orders]

        house.broker.link = link
        await placed(house, bracket())
        assert seen == [["INTENT", "DISPATCHED"] * 3]


async def test_an_unknown_outcome_is_resolved_order_by_order() -> None:
    """The answer was lost, and the venue has them."""
    async with linking() as house:

        def lost(group: OrderGroup) -> list[Outcome]:
            for order in group.orders:
                house.broker.works(order)
            return [Unknown("no answer") for _ in group.orders]

        house.broker.link = lost
        answer = await placed(house, bracket())
        assert all(order.uncertain for order in (answer.order, *answer.linked))
        await house.clock.advance(5)
        assert states(house) == ["NEW"] * 3
        assert set(BRACKET) <= set(house.broker.asked_for)


async def test_a_group_that_never_arrived_ends_not_sent() -> None:
    async with linking() as house:
        house.broker.link = lambda group: [Unknown("no answer") for _ in group.orders]
        await placed(house, bracket())
        await house.clock.advance(10)
        assert [house.order(name).reject_reason for name in BRACKET] == [ErrorReason.NOT_SENT] * 3


async def test_a_crash_between_the_commit_and_the_answer_sends_nothing_twice() -> None:
    async with linking() as house:
        gate, end = asyncio.Event(), asyncio.Event()

        async def place_group(group: OrderGroup) -> list[Outcome]:
            for order in group.orders:
                house.broker.works(order)
            gate.set()
            await end.wait()
            return [Unknown("the process is gone") for _ in group.orders]

        house.broker.place_group = place_group  # type: ignore[method-assign]
        task = asyncio.ensure_future(placed(house, bracket()))
        await gate.wait()
        # As after `kill -9`: another gateway on the same journal, which has the intent alone.
        other = House(house.broker, journal=house.journal, clock=house.clock)
        await other.open(5)
        assert states(other) == ["NEW"] * 3
        assert (await placed(other, bracket())).already_existed
        await other.gateway.close()
        end.set()
        await task


@pytest.mark.parametrize("name", BRACKET)
async def test_an_id_set_aside_refuses_all_of_it(name: str) -> None:
    async with linking() as house:
        aside = CancelOrder("main", OrderRef(client_order_id=name), IfUnknown.TOMBSTONE)
        await house.gateway.cancel_order(aside, request("r"))
        answer = await placed(house, bracket())
        assert answer.order.reject_reason is ErrorReason.TOMBSTONED
        assert states(house) == ["REJECTED"] * 3
        assert not house.broker.groups


async def test_a_stop_refuses_all_of_it() -> None:
    async with linking() as house:
        await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s"))
        await placed(house, bracket())
        assert {house.order(name).reject_reason for name in BRACKET} == {ErrorReason.TRADING_STOPPED}
        assert (await placed(house, bracket())).already_existed


async def test_a_stop_that_is_latched_while_it_is_committed_keeps_all_of_it_back() -> None:
    """Law 11: what had not been sent goes no more."""
    async with linking() as house:
        gate = asyncio.Event()
        plain = house.broker.place_orders

        async def slow(orders: Sequence[Order]) -> Sequence[Outcome]:
            await gate.wait()
            return await plain(orders)

        house.broker.place_orders = slow  # type: ignore[method-assign]
        batch = asyncio.ensure_future(house.gateway.place_orders([place("a"), bracket()]))
        await settle()
        await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s"))
        gate.set()
        await batch
        assert {house.order(name).reject_reason for name in BRACKET} == {ErrorReason.TRADING_STOPPED}
        assert not house.broker.groups


@pytest.mark.parametrize(
    ("cancelled", "sent"), [("entry", []), ("sl", ["entry", "tp"]), ("tp", ["entry", "sl"])]
)
async def test_what_is_cancelled_before_it_is_sent_is_not_sent(cancelled: str, sent: list[str]) -> None:
    async with linking() as house:
        gate = asyncio.Event()
        plain = house.broker.place_orders

        async def slow(orders: Sequence[Order]) -> Sequence[Outcome]:
            await gate.wait()
            return await plain(orders)

        house.broker.place_orders = slow  # type: ignore[method-assign]
        batch = asyncio.ensure_future(house.gateway.place_orders([place("a"), bracket()]))
        await settle()
        house.broker.orders[cancelled] = changed(
            (await other_works(house)), client_order_id=cancelled, broker_order_id="none"
        )
        house.broker.cancel_all_orders = refuse_cancels  # type: ignore[method-assign]
        await house.gateway.cancel_order(
            CancelOrder("main", OrderRef(client_order_id=cancelled)), request("c")
        )
        gate.set()
        await batch
        assert house.order(cancelled).reject_reason is ErrorReason.NOT_SENT
        assert [ids(group.orders) for group in house.broker.groups] == ([sent] if sent else [])
        assert [name for name in BRACKET if house.order(name).ended] == (
            [cancelled] if sent else list(BRACKET)
        )


async def other_works(house: House) -> VenueOrder:
    house.broker.works(house.order("a"))
    return house.broker.orders.pop("a")


async def refuse_cancels(orders: Sequence[Order]) -> Sequence[Outcome]:
    return [Rejected(ErrorReason.ORDER_NOT_FOUND, "no such order") for _ in orders]


@pytest.mark.parametrize("emulated", [False, True])
@pytest.mark.parametrize(("command", "field"), [(bracket(), "order.take_profit"), (oco(), "oco_orders")])
async def test_a_broker_that_links_nothing_is_asked_nothing(
    command: PlaceOrder, field: str, emulated: bool
) -> None:
    async with linking() as house:
        house.broker.capabilities = replace(house.broker.capabilities, native_oco=False, native_bracket=False)
        with pytest.raises(GatewayError) as caught:
            await placed(house, changed(command, allow_emulated=emulated))
        assert reason_of(caught) is ErrorReason.UNSUPPORTED
        assert [violation.field for violation in caught.value.violations] == [field]
        assert ("allow_emulated does not help" in caught.value.message) is emulated
        assert not house.broker.groups


async def test_a_leg_that_the_broker_has_no_type_for_is_named() -> None:
    async with linking() as house:
        types = dict(house.broker.capabilities.order_types)
        del types[OrderType.STOP]
        house.broker.capabilities = replace(house.broker.capabilities, order_types=types)
        with pytest.raises(GatewayError, match="STOP orders, which this leg is") as caught:
            await placed(house, bracket())
        assert [violation.field for violation in caught.value.violations] == ["order.stop_loss"]


async def test_a_price_of_a_leg_off_the_tick_is_named() -> None:
    async with linking() as house:
        leg = bracket().spec.stop_loss
        assert leg is not None
        with pytest.raises(GatewayError) as caught:
            await placed(house, bracket(stop_loss=changed(leg, stop_price=Decimal("80.005"))))
        assert reason_of(caught) is ErrorReason.PRICE_OFF_TICK
        assert [violation.field for violation in caught.value.violations] == ["order.stop_loss.stop_price"]


async def test_the_quantity_of_a_linked_order_is_its_groups() -> None:
    async with linking() as house:
        await placed(house, bracket())
        change = ReplaceOrder("main", OrderRef(client_order_id="tp"), 1, quantity=Decimal(2))
        with pytest.raises(GatewayError, match="order's group") as caught:
            await house.gateway.replace_order(change, request("r1"))
        assert reason_of(caught) is ErrorReason.INVALID_FIELD
        house.broker.answers.put_nowait(Accepted("B9"))
        change = ReplaceOrder("main", OrderRef(client_order_id="tp"), 1, limit_price=Decimal("130.00"))
        await house.gateway.replace_order(change, request("r2"))
        assert house.broker.replaced[0].spec.limit_price == Decimal(130)


# Held back while the broker is away


async def away(house: House) -> None:
    house.broker.reachable = False
    house.broker.lose()
    await settle()
    assert not house.connected()


async def back(house: House) -> None:
    house.broker.reachable = True
    await house.clock.advance(20)
    assert house.connected()


async def test_a_group_that_was_held_back_is_sent_as_one() -> None:
    async with linking(QUEUE) as house:
        await away(house)
        answer = await placed(house, bracket())
        assert all(order.held for order in (answer.order, *answer.linked))
        await house.gateway.place_order(place("a"))
        await back(house)
        assert [ids(group.orders) for group in house.broker.groups] == [list(BRACKET)]
        assert states(house) == ["NEW"] * 3
        assert (await placed(house, bracket())).already_existed


async def test_a_group_held_over_a_restart_is_sent_as_one() -> None:
    async with linking(QUEUE) as house:
        await away(house)
        await placed(house, oco())
        house.broker.reachable = True
        await house.again(20)
        assert [(group.kind, ids(group.orders)) for group in house.broker.groups] == [
            (GroupKind.OCO, ["high", "low"])
        ]


@pytest.mark.parametrize(
    ("cancelled", "sent"), [("entry", []), ("tp", ["entry", "sl"]), ("sl", ["entry", "tp"])]
)
async def test_a_held_entry_takes_its_legs_with_it(cancelled: str, sent: list[str]) -> None:
    async with linking(QUEUE) as house:
        await away(house)
        await placed(house, bracket())
        await house.gateway.cancel_order(
            CancelOrder("main", OrderRef(client_order_id=cancelled)), request("c")
        )
        await back(house)
        assert [ids(group.orders) for group in house.broker.groups] == ([sent] if sent else [])
        assert house.order(cancelled).reject_reason is ErrorReason.NOT_SENT
        assert states(house).count("CANCELED") == (1 if sent else 3)


async def test_all_that_is_held_can_be_cancelled_at_once() -> None:
    async with linking(QUEUE) as house:
        await away(house)
        await placed(house, bracket())
        await house.gateway.cancel_all_orders(CancelAllOrders("main"), request("c"))
        assert states(house) == ["CANCELED"] * 3
        await back(house)
        assert not house.broker.groups


async def test_a_stop_drops_a_held_group_once() -> None:
    async with linking(QUEUE) as house:
        await away(house)
        await placed(house, bracket())
        await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s"))
        await house.clock.advance(1)
        assert states(house) == ["CANCELED"] * 3
        assert house.order_events().count("CANCELED") == 3


async def test_a_leftover_of_a_held_group_is_sent_alone() -> None:
    async with linking(QUEUE) as house:
        await away(house)
        await placed(house, oco())
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="high")), request("c"))
        await back(house)
        assert ids(house.broker.placed) == ["low"]
        assert house.order("low").state is OrderState.NEW
        assert house.order("low").action(PendingActionKind.NEW) is None
