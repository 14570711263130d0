"""Pain 15, its second half: a kill switch that misses orders, or whose orders come back after "flat"."""

from __future__ import annotations

from brokergate.domain.commands import EmergencyStop, Request
from brokergate.domain.errors import ErrorReason
from brokergate.domain.orders import OrderState
from tests.faults.house import ACCOUNT, House


async def test_a_stop_cancels_every_order_flattens_and_holds(house: House) -> None:
    """Orders of others and of a lost answer go too; nothing is held in the end, and nothing new is taken."""
    await house.place(house.order("held", 2, lots=2))
    await house.place(house.order("rests", -3))
    await house.emulator.add_order(house.venue.symbol, "buy", house.venue.lot, house.at(-5))
    await house.settled()
    await house.emulator.fault("answer_lost_after_accept", on="place")
    await house.emulator.fault("lose_frame", on="orders", count=2)
    await house.place(house.order("lost", -4))
    request = Request("stop", "EmergencyStop", b"body", lambda result: repr(result).encode())
    await house.gateway.emergency_stop(EmergencyStop((ACCOUNT,), "a test", flatten=True), request)
    await house.until("no order works", lambda: not house.working())
    await house.settled()
    await house.until("nothing is held", lambda: not _holds_a_lot(house))
    refused = await house.place(house.order("after", -3))
    assert refused is not None
    assert (refused.order.state, refused.order.reject_reason) == (
        OrderState.REJECTED,
        ErrorReason.TRADING_STOPPED,
    )
    assert {order["state"] for order in await house.emulator.orders()} <= {"FILLED", "CANCELED"}
    assert not await house.emulator.doubled()


def _holds_a_lot(house: House) -> bool:
    """Whether a lot or more is held: a fee in coins leaves what no order can sell."""
    lot = house.gateway.get_instrument(ACCOUNT, house.venue.symbol).quantity_increment
    return any(quantity >= lot for _, quantity in house.gateway.account(ACCOUNT).open_positions())
