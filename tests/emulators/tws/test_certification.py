"""The emulator is what clients of TWS expect: IB's own, of 2019 and of today, ib_insync and ib_async."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.emulators.client import Emulator
from tools.ib_clients import python_of

CLIENTS = Path(__file__).parent / "clients"
PATIENCE_S = 90.0
EVERY_ANSWER = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15, 46, 49, 52, 53, 54, 55, 57, 58, 59, 61, 62, 63, 64, 73, 74, 79, 81, 93, 94,
    95, 101, 102,
}  # fmt: skip
"""The ids of all messages that the emulator has."""


async def certify(
    client: str, script: str, version: int, *arguments: object, ends_with: int = 0
) -> dict[str, Any]:
    """What a script of `clients` finds at an emulator of its own, in the environment of a client; the orders that the
    emulator has received are checked besides: it must have read each to its last field."""
    python = await asyncio.to_thread(python_of, client)
    async with Emulator.start("tws", "--server-version", str(version)) as venue:
        more = [str(argument) for argument in arguments]
        if script == "library.py":
            more.insert(0, client)
            ports = [str(venue.port), str(venue.control_port)]
            command = [more[0], *ports]
        else:
            command = [str(venue.port), str(venue.control_port), *more]
        process = await asyncio.create_subprocess_exec(
            python, str(CLIENTS / script), *command,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, errors = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == ends_with, errors.decode()
        log = await venue.log()
    orders = [entry["parameters"] for entry in log if entry["name"] == "placeOrder"]
    assert orders
    assert all(order["unread"] == 0 for order in orders), orders
    assert not [entry for entry in log if entry["kind"] == "unknown"]
    return dict(json.loads(out.decode().splitlines()[-1]))


@pytest.mark.parametrize(
    ("client", "version"),
    [("ibapi-9.81", 157), ("ibapi-10.46", 157), ("ibapi-10.46", 176), ("ibapi-10.46", 178)],
)
async def test_ibs_own_decoder_reads_every_field_of_every_message(client: str, version: int) -> None:
    found = await certify(client, "official.py", version)
    assert found["version"] == version
    assert found["left"] == []
    assert {int(number) for number in found["read"]} == EVERY_ANSWER
    seen = found["seen"]
    assert seen["filled"] == 10
    assert seen["commission"] == 1
    assert seen["changed"]
    assert float(seen["margin"]) == pytest.approx(4750.28, abs=1)
    assert seen["completed"][:2] == [["filled", "Filled"], ["rests", "Cancelled"]]
    assert {code for _, code, _ in seen["errors"]} == {110, 200, 201, 202, 387}


@pytest.mark.slow
@pytest.mark.parametrize("version", [version for version in range(158, 178) if version not in (163, 176)])
async def test_so_it_does_at_every_version_between(version: int) -> None:
    found = await certify("ibapi-10.46", "official.py", version)
    assert found["version"] == version
    assert found["left"] == []


async def test_a_field_that_does_not_belong_is_found() -> None:
    """The same audit of a server that says 176 and is taken for one of 178."""
    found = await certify("ibapi-10.46", "official.py", 176, 178, ends_with=1)
    assert any(left.startswith("5:") for left in found["left"])


@pytest.mark.parametrize(("client", "version", "spoken"), [
    ("ib_insync", 157, 157), ("ib_insync", 178, 176), ("ib_async", 176, 176), ("ib_async", 178, 178),
])  # fmt: skip
async def test_a_strategy_trades_on_it(client: str, version: int, spoken: int) -> None:
    seen = await certify(client, "library.py", version)
    assert seen["version"] == spoken
    assert seen["contracts"] == [265598, 12087792, 495512563, 780001, 479624278]
    assert (seen["magnifier"], seen["ambiguous"], seen["unknown"]) == (100, 2, 200)
    assert seen["rule"] == [0.01, 0.05]
    assert seen["partly"] == ["Submitted", 6]
    assert seen["prices"] == [190.01, 190.02]
    assert seen["commissions"] == [1, 0]
    assert seen["utc"]
    assert 201 in seen["refused"]
    assert float(seen["what_if"]) > 0
    assert seen["paper"] == ["DU1234567"]
    assert seen["net"]
    assert seen["positions"] == [["AAPL", 11]] == seen["portfolio"]
    assert seen["executions"] == 5
    assert {"Cancelled", "Filled"} <= set(seen["completed"])
    assert seen["open"] == 0
    assert seen["realized"] == pytest.approx(23.2467, abs=1e-3)
    assert seen["quote"] == [195, 195.02, 195.01]
    assert seen["away"] == [2]
    assert 326 in seen["taken"]
