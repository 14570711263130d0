"""The laws of an order at a broker outside the process: durable first, once, and unknown is a state."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import pytest

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.commands import (
    CancelOrder,
    IfUnknown,
    OrderFailure,
    OrderRef,
    PlaceOrder,
    ReplaceOrder,
    Request,
)
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.events import EventKind, OrderEventType
from brokergate.domain.fills import Liquidity
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.ports.broker import Accepted, FillReport, OrderReport, Rejected, Report, Unknown
from brokergate.v1 import event_pb2
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.conftest import House
from tests.unit.engine.scripted import ScriptedBroker


def place(client_order_id: str, quantity: str = "1", fingerprint: bytes = b"body") -> PlaceOrder:
    spec = OrderSpec("BTC/USDT", Side.BUY, OrderType.LIMIT, Decimal(quantity), limit_price=Decimal("100.00"))
    return PlaceOrder("main", client_order_id, spec, fingerprint)


def request(request_id: str, method: str = "CancelOrder", fingerprint: bytes = b"body") -> Request:
    def encode(result: object) -> bytes:
        return b"" if result is None else result.state.name.encode() if isinstance(result, Order) else b"?"

    return Request(request_id, method, fingerprint, encode)


def fill(execution_id: str, quantity: str, client_order_id: str = "a") -> FillReport:
    return FillReport(
        client_order_id, "B1", execution_id, "BTC/USDT", Side.BUY, Decimal(quantity), Decimal("100.00"), (),
        Liquidity.TAKER, 5,
    )  # fmt: skip


def events(house: House) -> list[event_pb2.Event]:
    house.journal.flush()
    return [event_pb2.Event.FromString(stored.body) for stored in house.journal.read("main", 0, 1000)]


def order_events(house: House) -> list[str]:
    return [OrderEventType(event.order.type).name for event in events(house) if event.HasField("order")]


async def accepted(house: House, client_order_id: str) -> Order:
    house.broker.answers.put_nowait(Accepted("B1"))
    return (await house.gateway.place_order(place(client_order_id))).order


async def test_an_order_is_durable_before_it_is_sent(house: House) -> None:
    """When the broker is asked, INTENT and DISPATCHED are committed, and nothing more (law 1)."""
    placing = asyncio.create_task(house.gateway.place_order(place("a")))
    await house.broker.asked.wait()
    committed = [event_pb2.Event.FromString(stored.body) for stored in house.journal.read("main", 0, 1000)]
    kinds = [OrderEventType(event.order.type) for event in committed if event.HasField("order")]
    assert kinds == [OrderEventType.INTENT, OrderEventType.DISPATCHED]
    house.broker.answers.put_nowait(Accepted("B1"))
    placed = await placing
    assert (placed.order.state, placed.order.broker_order_id) == (OrderState.NEW, "B1")
    assert order_events(house) == ["INTENT", "DISPATCHED", "ACKNOWLEDGED"]


async def test_concurrent_duplicates_make_one_order(house: House) -> None:
    """Ten places of one id while the first is under way send one order; each answers with it (law 2)."""
    placing = [asyncio.create_task(house.gateway.place_order(place("a"))) for _ in range(10)]
    await house.broker.asked.wait()
    house.broker.answers.put_nowait(Accepted("B1"))
    results = await asyncio.gather(*placing)
    assert len(house.broker.placed) == 1
    assert {result.order.order_id for result in results} == {results[0].order.order_id}
    assert sorted(result.already_existed for result in results) == [False] + [True] * 9


async def test_a_repeat_with_another_body_is_refused(house: House) -> None:
    """The same id with another body names the first order and sends nothing."""
    first = await accepted(house, "a")
    with pytest.raises(GatewayError) as refused:
        await house.gateway.place_order(place("a", fingerprint=b"other"))
    assert refused.value.reason is ErrorReason.CLIENT_ORDER_ID_REUSED
    assert refused.value.metadata == {"order_id": first.order_id}
    assert len(house.broker.placed) == 1


async def test_twins_in_one_batch_make_one_order(house: House) -> None:
    """A batch that holds an id twice places it once; with another body the second is refused."""
    house.broker.answers.put_nowait(Accepted("B1"))
    one, two, three = await house.gateway.place_orders(
        [place("a"), place("a"), place("a", fingerprint=b"other")]
    )
    assert not isinstance(one, OrderFailure)
    assert not isinstance(two, OrderFailure)
    assert (two.order, one.already_existed, two.already_existed) == (one.order, False, True)
    assert isinstance(three, OrderFailure)
    assert len(house.broker.placed) == 1


async def test_a_client_that_goes_away_stops_nothing(house: House) -> None:
    """A cancelled call leaves its order under way; the answer is journalled when it comes."""
    placing = asyncio.create_task(house.gateway.place_order(place("a")))
    await house.broker.asked.wait()
    placing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await placing
    house.broker.answers.put_nowait(Accepted("B1"))
    again = await house.gateway.place_order(place("a"))
    for _ in range(20):
        await asyncio.sleep(0)
    assert again.already_existed
    assert house.gateway.get_order("main", OrderRef(client_order_id="a")).state is OrderState.NEW
    assert len(house.broker.placed) == 1


async def test_unknown_is_a_state_and_is_not_sent_again(house: House) -> None:
    """An order whose outcome nobody knows stays as it was proven, marked uncertain; repeating sends nothing (law 3)."""
    house.broker.answers.put_nowait(Unknown("timed out"))
    placed = await house.gateway.place_order(place("a"))
    assert placed.order.state is OrderState.PENDING_NEW
    assert [action.uncertain for action in placed.order.pending] == [True]
    again = await house.gateway.place_order(place("a"))
    assert (again.already_existed, again.order) == (True, placed.order)
    assert len(house.broker.placed) == 1
    await house.broker.tell([OrderReport(OrderEventType.ACKNOWLEDGED, "a", "B1", 5)])
    order = house.gateway.get_order("main", OrderRef(client_order_id="a"))
    assert (order.state, order.pending) == (OrderState.NEW, ())


async def test_an_adapter_that_fails_leaves_its_orders_unknown(house: House) -> None:
    """An exception says nothing of the orders: they are uncertain, not lost and not sent again (law 3)."""
    house.broker.fault = RuntimeError("a bug")
    results = await house.gateway.place_orders([place("a"), place("b")])
    orders = [result.order for result in results if not isinstance(result, OrderFailure)]
    assert [(order.state, order.pending[0].uncertain) for order in orders] == [
        (OrderState.PENDING_NEW, True)
    ] * 2
    house.broker.fault = None
    assert (await house.gateway.place_order(place("a"))).order == orders[0]
    assert len(house.broker.placed) == 2
    assert order_events(house)[-2:] == ["UNCERTAIN", "UNCERTAIN"]


async def test_a_fill_is_booked_once_however_often_it_is_told(house: House) -> None:
    """An execution told with the answer, again live, and again after the end counts once (law 7)."""
    house.broker.answers.put_nowait(Accepted("B1", (fill("X1", "0.4"),)))
    placed = await house.gateway.place_order(place("a"))
    assert placed.order.cum_quantity == Decimal("0.4")
    await house.broker.tell([fill("X1", "0.4"), fill("X2", "0.6"), fill("X2", "0.6")], [fill("X1", "0.4")])
    order = house.gateway.get_order("main", OrderRef(client_order_id="a"))
    assert (order.state, order.cum_quantity) == (OrderState.FILLED, Decimal(1))
    fills = house.journal.read("main", 0, 100, frozenset({EventKind.FILL}))
    assert len(fills) == 2


async def test_an_order_that_fills_in_many_parts_at_once_is_told_once(house: House) -> None:
    """Fills of one step are told one by one, with one word after them on how the order stands."""
    parts = [fill(f"X{number}", "0.1") for number in range(7)]
    house.broker.answers.put_nowait(Accepted("B1", parts))
    await house.gateway.place_order(place("a"))
    told = [
        OrderEventType(event.order.type).name if event.HasField("order") else "FILL"
        for event in events(house)
        if event.HasField("order") or event.HasField("fill")
    ]
    assert told == ["INTENT", "DISPATCHED", *["FILL"] * 7, "PARTIALLY_FILLED"]


async def test_a_fill_after_the_cancel_is_booked(house: House) -> None:
    """A fill that comes after the cancel corrects the order and does not reopen it (law 7)."""
    order = await accepted(house, "a")
    house.broker.answers.put_nowait(Accepted(reports=(OrderReport(OrderEventType.CANCELED, "a", "B1", 6),)))
    cancel = CancelOrder("main", OrderRef(order_id=order.order_id))
    assert await house.gateway.cancel_order(cancel, request("r1")) == b"CANCELED"
    await house.broker.tell([fill("X9", "0.25")])
    order = house.gateway.get_order("main", OrderRef(order_id=order.order_id))
    assert (order.state, order.cum_quantity) == (OrderState.CANCELED, Decimal("0.25"))
    assert order_events(house)[-1] == "CORRECTED"


async def test_a_rejection_by_the_venue_is_an_answer(house: House) -> None:
    """A venue's refusal ends the order REJECTED with its reason; it is journalled, not raised."""
    house.broker.answers.put_nowait(Rejected(ErrorReason.INSUFFICIENT_FUNDS, "not enough USDT"))
    placed = await house.gateway.place_order(place("a"))
    assert (placed.order.state, placed.order.reject_reason) == (
        OrderState.REJECTED,
        ErrorReason.INSUFFICIENT_FUNDS,
    )
    assert order_events(house)[-1] == "REJECTED"


async def test_a_mutation_repeats_by_its_request_id(house: House) -> None:
    """A cancel told twice reaches the broker once and answers the same; another body under its id is refused."""
    order = await accepted(house, "a")
    house.broker.answers.put_nowait(Accepted(reports=(OrderReport(OrderEventType.CANCELED, "a", "B1", 6),)))
    cancel = CancelOrder("main", OrderRef(order_id=order.order_id))
    first = await house.gateway.cancel_order(cancel, request("r1"))
    assert await house.gateway.cancel_order(cancel, request("r1")) == first
    assert len(house.broker.cancelled) == 1
    with pytest.raises(GatewayError) as refused:
        await house.gateway.cancel_order(cancel, request("r1", fingerprint=b"other"))
    assert refused.value.reason is ErrorReason.REQUEST_ID_REUSED
    with pytest.raises(GatewayError) as ended:
        await house.gateway.cancel_order(cancel, request("r2"))
    assert ended.value.reason is ErrorReason.ORDER_ENDED


async def test_concurrent_repeats_of_a_cancel_reach_the_broker_once(house: House) -> None:
    """Five cancels under one request_id while the first is under way ask the broker once and answer alike."""
    order = await accepted(house, "a")
    house.broker.asked.clear()
    cancel = CancelOrder("main", OrderRef(order_id=order.order_id))
    cancelling = [asyncio.create_task(house.gateway.cancel_order(cancel, request("r1"))) for _ in range(5)]
    await house.broker.asked.wait()
    house.broker.answers.put_nowait(Accepted(reports=(OrderReport(OrderEventType.CANCELED, "a", "B1", 6),)))
    assert await asyncio.gather(*cancelling) == [b"CANCELED"] * 5
    assert len(house.broker.cancelled) == 1


async def test_a_tombstone_ends_the_order_that_comes_after_it(house: House) -> None:
    """A cancel that overtakes its order sets the id aside: the order ends REJECTED and is never sent."""
    cancel = CancelOrder("main", OrderRef(client_order_id="late"))
    with pytest.raises(GatewayError) as unknown:
        await house.gateway.cancel_order(cancel, request("r0"))
    assert unknown.value.reason is ErrorReason.ORDER_NOT_FOUND
    aside = CancelOrder("main", OrderRef(client_order_id="late"), IfUnknown.TOMBSTONE)
    assert await house.gateway.cancel_order(aside, request("r1")) == b""
    placed = await house.gateway.place_order(place("late"))
    assert (placed.order.state, placed.order.reject_reason) == (OrderState.REJECTED, ErrorReason.TOMBSTONED)
    assert house.broker.placed == []


async def test_a_replace_makes_a_generation(house: House) -> None:
    """A replace carries the generation that was seen; a second one with the old generation is refused."""
    order = await accepted(house, "a")
    house.broker.answers.put_nowait(Accepted(reports=(OrderReport(OrderEventType.REPLACED, "a", "B2", 6),)))
    command = ReplaceOrder("main", OrderRef(order_id=order.order_id), 1, quantity=Decimal(2))
    await house.gateway.replace_order(command, request("r1", "ReplaceOrder"))
    order = house.gateway.get_order("main", OrderRef(order_id=order.order_id))
    assert (order.generation, order.quantity, order.leaves_quantity) == (2, Decimal(2), Decimal(2))
    assert (order.broker_order_id, order.spec.quantity) == ("B2", Decimal(2))
    with pytest.raises(GatewayError) as refused:
        await house.gateway.replace_order(command, request("r2", "ReplaceOrder"))
    assert refused.value.reason is ErrorReason.GENERATION_MISMATCH
    assert len(house.broker.replaced) == 1


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"symbol": "ETH/USDT"}, ErrorReason.INSTRUMENT_NOT_FOUND, "order.symbol"),
        ({"limit_price": Decimal("100.001")}, ErrorReason.PRICE_OFF_TICK, "order.limit_price"),
        ({"quantity": Decimal("0.100001")}, ErrorReason.QUANTITY_OFF_LOT, "order.quantity"),
        ({"quantity": Decimal("0.00005")}, ErrorReason.QUANTITY_OUT_OF_RANGE, "order.quantity"),
        ({"quantity": Decimal(1001)}, ErrorReason.QUANTITY_OUT_OF_RANGE, "order.quantity"),
        ({"limit_price": Decimal("0.01")}, ErrorReason.BELOW_MIN_NOTIONAL, "order.quantity"),
        ({"limit_price": Decimal(10**19)}, ErrorReason.INVALID_FIELD, "order.quantity"),
        ({"type": OrderType.STOP, "limit_price": None}, ErrorReason.UNSUPPORTED, "order.type"),
        ({"post_only": True}, ErrorReason.UNSUPPORTED, "order.post_only"),
        ({"reduce_only": True}, ErrorReason.UNSUPPORTED, "order.reduce_only"),
        ({"expire_time_ns": 1}, ErrorReason.INVALID_FIELD, "order.expire_time"),
    ],
)
async def test_what_the_rules_refuse_is_not_journalled(
    house: House, change: dict[str, object], reason: ErrorReason, field: str
) -> None:
    """Each refusal has its reason and names its field, and neither the journal nor the broker hears of the order."""
    before = len(events(house))
    command = place("a", quantity="10")
    with pytest.raises(GatewayError) as refused:
        await house.gateway.place_order(changed(command, spec=changed(command.spec, **change)))
    assert (refused.value.reason, refused.value.violations[0].field) == (reason, field)
    assert (events(house)[before:], house.broker.placed) == ([], [])


async def test_a_reconnect_whose_caller_goes_away_is_carried_through(house: House) -> None:
    """Half a reconnect would leave an account that says it is connected and hears nothing."""
    await accepted(house, "a")
    call = asyncio.create_task(house.gateway.reconnect("main", request("again", "ReconnectBroker")))
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    house.broker.told.put_nowait((fill("X1", "1"),))
    await settle()

    assert house.gateway.get_order("main", OrderRef(client_order_id="a")).state is OrderState.FILLED


async def test_a_broker_that_tells_nonsense_before_a_commit_holds_up_nobody(house: House) -> None:
    """Its account is in ERROR; what was staged is committed and answered, on the other accounts too."""

    class Nonsense(ScriptedBroker):
        in_process = True
        keeps_venue = True

        def untold(self) -> Sequence[Report]:
            raise ValueError("minus one lots")

    await house.gateway.add_account("odd", Nonsense(), AccountPolicy())
    placed = await asyncio.wait_for(accepted(house, "a"), 5)

    assert placed.state is OrderState.NEW
    connection = house.gateway.account("odd").connection
    assert (connection.state, connection.message) == (ConnectionState.ERROR, "minus one lots")
