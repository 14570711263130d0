"""Pain 5: a stream that is connected and tells nothing, and storms of new connections."""

from __future__ import annotations

from pathlib import Path

from brokergate.domain.orders import OrderState
from brokergate.domain.policy import AccountPolicy
from tests.emulators.client import Emulator
from tests.faults.house import MS, House
from tests.faults.venues import Venue


async def test_a_mute_stream_is_given_up_and_says_so(house: House) -> None:
    """What happened meanwhile is known all the same, and a Gap tells that the stream kept it back."""
    await house.place(house.order("mute", -3, lots=3))
    await house.becomes("mute", OrderState.NEW)
    await house.emulator.fault("mute_stream", on="orders")
    await house.others_sell()
    await house.becomes("mute", OrderState.FILLED)
    await house.until("a gap is told", lambda: any(event.HasField("gap") for event in house.events()))
    await house.emulator.clear_faults()
    await house.until("connected", house.connected)


async def test_a_venue_that_is_away_is_not_stormed(venue: Venue, emulator: Emulator, tmp_path: Path) -> None:
    """While the venue turns every connection away it is tried a few times, further and further apart."""
    policy = AccountPolicy(poll_interval_ns=300 * MS)
    async with House(venue, emulator, tmp_path, policy=policy).living() as house:
        await house.emulator.fault("maintenance")
        await house.emulator.drop_streams()
        await house.until("the connection is lost", lambda: not house.connected())
        begun = len(await emulator.log())
        await house.pause(3.5)
        # Each attempt ends with the first request that is refused; 1, 2, 4 s apart, less up to a half.
        assert len(await emulator.log()) - begun <= 5
        await house.emulator.clear_faults()
