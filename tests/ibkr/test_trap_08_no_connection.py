"""Trap 8: whatever keeps a client out, the library says TimeoutError, after all of the time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from brokergate.domain.accounts import ConnectionState
from tests.emulators.client import Emulator
from tests.faults.house import ACCOUNT, House
from tests.faults.venues import Venue
from tests.ibkr.library import SHORT_S, library

WORDS = {
    "client_id_taken": ("client id", "326"),
    "accept_then_close": ("closes", "enable its API"),
    "silent_accept": ("says nothing",),
}
"""What keeps it out, and what the gateway's message has to say of it."""


@pytest.mark.parametrize("fault", WORDS)
async def test_the_library_says_timeout(tws: Emulator, fault: str) -> None:
    await tws.fault(fault)
    ib = library().IB()
    told: list[int] = []
    ib.errorEvent += lambda _id, code, *_: told.append(code)
    started = time.monotonic()
    with pytest.raises((TimeoutError, ConnectionError, OSError)) as caught:
        await ib.connectAsync("127.0.0.1", tws.port, clientId=7, timeout=SHORT_S)
    assert "326" not in str(caught.value)
    if isinstance(caught.value, TimeoutError):
        assert time.monotonic() - started >= SHORT_S
    ib.disconnect()


@pytest.mark.parametrize("fault", WORDS)
async def test_the_gateway_says_what_it_is(house: House, fault: str) -> None:
    """By its cause and the way out; when it is over, it connects."""
    await house.emulator.fault(fault)
    await house.emulator.drop_streams()

    def told() -> bool:
        message = house.gateway.account(ACCOUNT).connection.message
        return all(word in message for word in WORDS[fault])

    await house.until(f"the message says {WORDS[fault]}", told)
    assert house.gateway.account(ACCOUNT).connection.state in (
        ConnectionState.ERROR,
        ConnectionState.RECONNECTING,
    )
    await house.emulator.clear_faults()
    await house.until("connected", house.connected)


async def test_a_client_id_that_is_stuck_after_a_restart_is_waited_for(house: House) -> None:
    """A TWS that has just come back holds on to it for a while: no reason to give up, nor to take another id."""
    before = len(await house.asked("logon"))
    await house.emulator.fault("restart", seconds=0.2, stuck=3)
    await house.until("the loss is seen", lambda: not house.connected())
    await house.until("connected", house.connected)
    ids = {entry["parameters"]["client_id"] for entry in await house.asked("logon")}
    assert (len(ids), len(await house.asked("logon")) - before >= 3) == (1, True)


async def test_nothing_there_at_all(venue: Venue, emulator: Emulator, tmp_path: Path) -> None:
    """The port is closed: it says so, with host and port."""
    async with House(venue, emulator, tmp_path).living() as house:
        await emulator.fault("restart", seconds=3)
        await house.until(
            "the message names the place",
            lambda: (
                f"no TWS or IB Gateway at 127.0.0.1:{emulator.port}"
                in house.gateway.account(ACCOUNT).connection.message
            ),
        )
        await house.until("connected", house.connected)
