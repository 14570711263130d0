"""Thousands of made-up requests against a real gateway.

BADINPUT_SEED=n takes another seed, BADINPUT_REQUESTS=n sends that many, BADINPUT_REPORT=FILE keeps the figures, and
BADINPUT_ONLY=play:12,sealed:7 sends these shots alone, one after another, and prints what came back.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from brokergate.v1.account_pb2 import ListAccountsRequest
from brokergate.v1.order_pb2 import BatchOrder, BatchPlaceOrdersRequest, ListOrdersRequest
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.contract import REASONS, ROOT, RPCS
from tests.e2e.badinput.generator import EVERYTHING, REFUSED_ONLY, Generator
from tests.e2e.badinput.house import (
    PLAY,
    READ_ONLY,
    SEALED,
    STALE,
    STANDING,
    SYNTHETIC,
    TAPE,
    House,
    expect_ok,
    state_of,
)
from tests.e2e.badinput.reasons import GENERATED, REACHED, ByTest, Impossible
from tests.e2e.badinput.report import Report
from tests.e2e.badinput.valid import Scene
from tests.e2e.badinput.volley import Volley, fire
from tests.e2e.process import tracebacks

SEED = int(os.environ.get("BADINPUT_SEED", "20261121"))
REQUESTS = int(os.environ.get("BADINPUT_REQUESTS", "20000"))
ONLY = os.environ.get("BADINPUT_ONLY", "")

REFUSED_SHARE = 3
"""One of so many requests is sent while nothing may change."""
ROUND = 1000
MOST = 4
"""The run ends after so many times REQUESTS, whatever has not been met by then."""

POOL = [f"pool-{number}" for number in range(300)]
"""Orders that wait to be replaced and cancelled."""


async def _stock(caller: Caller) -> None:
    scene = Scene(account=PLAY)
    orders = [BatchOrder(client_order_id=name, order=scene.spec(quantity="0.01")) for name in POOL]
    await expect_ok(caller, "BatchPlaceOrders", BatchPlaceOrdersRequest(account_id=PLAY, orders=orders))


async def _known(caller: Caller, account: str) -> Mapping[str, Sequence[Any]]:
    """What a client finds in answers: cursors, page tokens, order ids."""
    answer = await expect_ok(caller, "ListOrders", ListOrdersRequest(account_id=account, page_size=2))
    page: Any = answer.messages[0]
    version, journal, epoch, _ = page.cursor.split(".")
    return {
        "after_cursor": (page.cursor, f"{version}.{journal}.{epoch}.{account}:999999999"),
        "page_token": (page.next_page_token, page.next_page_token[:-1]),
        "order_id": [order.order_id for order in answer.orders()],
        "client_order_id": ("aside", "resting", "filled", "partly"),
        "account_id": (STALE, READ_ONLY, SYNTHETIC, TAPE),
    }


async def _accounts(caller: Caller) -> Sequence[str]:
    answer = await expect_ok(caller, "ListAccounts", ListAccountsRequest())
    listed: Any = answer.messages[0]
    return [account.account_id for account in listed.accounts]


async def _generators(caller: Caller, seed: int) -> dict[str, Generator]:
    return {
        SEALED: Generator(seed, REFUSED_ONLY, SEALED, ["resting"], await _known(caller, SEALED)),
        PLAY: Generator(seed, EVERYTHING, PLAY, ["resting", "filled", *POOL], await _known(caller, PLAY)),
    }


async def _every_order(caller: Caller, account: str) -> dict[str, str]:
    """By order id, whose answer speaks of it: its own, or that of the first of its group."""
    found: dict[str, str] = {}
    token = ""
    while True:
        request = ListOrdersRequest(account_id=account, page_size=1000, page_token=token)
        answer = await expect_ok(caller, "ListOrders", request)
        found |= {order.order_id: order.group_id or order.order_id for order in answer.orders()}
        page: Any = answer.messages[0]
        if not (token := page.next_page_token):
            return found


async def _volley(house: House, caller: Caller, seed: int, requests: int) -> None:
    await _stock(caller)
    generators = await _generators(caller, seed)
    if ONLY:
        await _replay(house, generators)
        return
    print(f"BADINPUT_SEED={seed}")
    volley = Volley(Report(seed))
    memory = {"before": house.memory_mib()}

    before = await state_of(caller, STANDING)
    accounts = await _accounts(caller)
    await fire(house, (generators[SEALED].shot(n) for n in range(requests // REFUSED_SHARE)), volley)
    assert not volley.taken, f"taken: {volley.taken[0]}"
    assert await state_of(caller, STANDING) == before
    assert await _accounts(caller) == accounts

    placed_before = await _every_order(caller, PLAY)
    wanted = {reason for reason, how in REACHED.items() if how == GENERATED}
    numbers = itertools.count()
    while volley.report.sent < requests or (wanted - volley.reasons and volley.report.sent < MOST * requests):
        await fire(house, (generators[PLAY].shot(n) for n in itertools.islice(numbers, ROUND)), volley)
    memory["after"] = house.memory_mib()
    volley.report.memory_mib = memory
    volley.report.publish()

    assert not volley.faults, f"{len(volley.faults)} faults:\n" + "\n".join(volley.faults[:40])
    assert house.server.running, house.server.log
    assert tracebacks(house.server.log) == []
    assert not wanted - volley.reasons
    impossible = {reason for reason, how in REACHED.items() if isinstance(how, Impossible)}
    assert not impossible & volley.reasons, "what cannot occur did: say how it is reached"
    told = volley.order_ids | placed_before.keys()
    unasked = {name for name, first in (await _every_order(caller, PLAY)).items() if first not in told}
    assert not unasked, f"orders that no answer spoke of: {sorted(unasked)[:10]}"
    assert await state_of(caller, (SEALED,)) == {SEALED: before[SEALED]}


@pytest.mark.timeout(600)
async def test_made_up_requests_meet_every_reason_and_break_nothing(house: House, caller: Caller) -> None:
    """Whatever is sent, an answer keeps the contract's promises about errors; what is refused changes nothing; every
    reason that made-up requests can meet is met."""
    await _volley(house, caller, SEED, REQUESTS)


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_many_more_requests_of_another_seed_break_nothing_either(house: House, caller: Caller) -> None:
    """The same with another seed, and ten times as many. A fixed one: what a change is held against does not depend on
    dice. Who goes looking for more takes BADINPUT_SEED."""
    await _volley(house, caller, SEED + 1, 10 * REQUESTS)


async def _replay(house: House, generators: Mapping[str, Generator]) -> None:
    async with house.caller() as caller:
        for item in ONLY.split(","):
            account, _, number = item.partition(":")
            shot = generators[account].shot(int(number))
            metadata = house.metadata(shot.token) if shot.token else ()
            answer = await caller.call(shot.rpc, shot.bodies, metadata=metadata)
            print(f"{shot}\n  {shot.bodies[0].hex()}\n  {answer.code} {answer.message} {answer.refusals()}")


def test_the_table_of_reasons_covers_the_contract() -> None:
    """Every reason of the contract stands in the table, and nothing else does."""
    assert set(REACHED) == set(REASONS)


def test_the_tests_that_the_table_names_are_there() -> None:
    """A reason that has a test of its own names one that exists."""
    for reason, how in REACHED.items():
        if isinstance(how, ByTest):
            assert f"def {how.name}(" in (ROOT / "tests" / how.file).read_text("utf-8"), reason


def test_shots_are_the_same_for_the_same_seed() -> None:
    """A shot depends on its seed and its number alone."""
    first, second = (Generator(SEED, EVERYTHING, PLAY, POOL, {}) for _ in range(2))
    assert [first.shot(n) for n in range(200)] == [second.shot(n) for n in reversed(range(200))][::-1]
    other = Generator(SEED + 1, EVERYTHING, PLAY, POOL, {})
    assert [first.shot(n).bodies for n in range(200)] != [other.shot(n).bodies for n in range(200)]


def test_shots_reach_every_rpc_and_every_kind() -> None:
    """Every RPC is shot at, in every way that requests are made in."""
    generator = Generator(SEED, EVERYTHING, PLAY, POOL, {})
    shots = [generator.shot(number) for number in range(2000)]
    assert {shot.rpc.name for shot in shots} == set(RPCS)
    assert {shot.kind for shot in shots} == set(EVERYTHING)
