"""Pain 12: positions drift from the broker's, and the mending of it never ends."""

from __future__ import annotations

from decimal import Decimal

from tests.faults.house import House


async def test_what_others_trade_is_taken_over_once_and_then_there_is_rest(house: House) -> None:
    """Somebody else's fill on the account is booked as such: the position is the venue's, no disagreement is left, and
    the journal comes to rest."""
    await house.place(house.order("own", 2, lots=2))
    await house.settled()
    await house.emulator.add_fill(house.venue.symbol, "buy", house.venue.lot * 3, house.venue.price)
    await house.settled()
    await house.read_position()
    (held,) = house.evidence.readings
    assert held is not None
    derived = dict(house.gateway.account("main").open_positions()).get(house.venue.symbol, Decimal(0))
    bought = house.venue.lot * 5
    # Binance takes its fee of what is bought.
    assert bought - bought / 100 <= derived <= bought
    await house.pause(1.5)
    count = len(house.events())
    await house.pause(1.0)
    events = house.events()
    assert len(events) == count, "the journal does not come to rest"
    assert not [event for event in events if event.HasField("discrepancy")]
    assert sum(event.HasField("fill") for event in events) == len(await house.emulator.fills())
