"""What a broker's refusal is to a request that comes again."""

from __future__ import annotations

import pytest

from brokergate.domain.commands import CancelOrder, ClosePosition, OrderRef
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.orders import Order, OrderState
from brokergate.ports.broker import Outcome, Rejected
from tests.unit.engine.street import living, place, request

A = CancelOrder("main", OrderRef(client_order_id="a"))


async def test_a_refusal_that_invites_to_repeat_is_not_the_answer_to_every_repeat() -> None:
    """The cancel never left, for want of a connection: the same request goes out when there is one again."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        cancel = house.broker.cancel_order

        async def away(order: Order) -> Outcome:
            return Rejected(ErrorReason.BROKER_UNAVAILABLE, "not connected; nothing was sent")

        house.broker.cancel_order = away  # type: ignore[method-assign]
        with pytest.raises(GatewayError) as refused:
            await house.gateway.cancel_order(A, request("r1"))
        assert refused.value.reason is ErrorReason.BROKER_UNAVAILABLE
        house.broker.cancel_order = cancel  # type: ignore[method-assign]
        await house.gateway.cancel_order(A, request("r1"))
        assert house.order("a").state is OrderState.CANCELED


async def test_a_refusal_that_stands_is_told_again_and_nothing_is_sent_again() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a"))
        asked: list[str] = []

        async def refuse(order: Order) -> Outcome:
            asked.append(order.client_order_id)
            return Rejected(ErrorReason.BROKER_REJECTED, "not now")

        house.broker.cancel_order = refuse  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(GatewayError, match="not now") as refused:
                await house.gateway.cancel_order(A, request("r1"))
            assert refused.value.reason is ErrorReason.BROKER_REJECTED
        assert asked == ["a"]


async def test_what_a_broker_trades_is_unknown_and_not_nothing_before_it_was_there_once() -> None:
    """After a start with the broker away: the symbol may well exist, so the caller is told to try again."""
    async with living() as house:
        house.broker.reachable = False
        await house.again(1)
        gateway = house.gateway
        with pytest.raises(GatewayError) as closing:
            await gateway.close_position(ClosePosition("main", "BTC/USDT", "r1", None, b"body"))
        with pytest.raises(GatewayError) as listing:
            gateway.list_instruments("main")
        assert closing.value.reason is listing.value.reason is ErrorReason.BROKER_UNAVAILABLE
        house.broker.reachable = True
        await house.clock.advance(10)
        assert [instrument.symbol for instrument in gateway.list_instruments("main").value] == [
            "BTC/USDT",
            "ETH/USDT",
        ]
