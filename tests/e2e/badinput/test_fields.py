"""Every request field of every RPC, tried wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import grpc
import pytest

from tests.e2e.badinput.answers import faults
from tests.e2e.badinput.caller import Caller
from tests.e2e.badinput.cases import SPEC_AT, Case, contradiction_cases, field_cases, situation_cases
from tests.e2e.badinput.contract import RPCS, leaves
from tests.e2e.badinput.edits import put
from tests.e2e.badinput.house import SEALED, SPARE, STANDING, expect_ok, state_of
from tests.e2e.badinput.rules import OVERRIDES, RULES, form_of
from tests.e2e.badinput.valid import Scene, makers

IN_FLIGHT = 32
SHOWN = 40

REFUSED = {"ClearFreeze": "NOT_FROZEN", "ResolveOrder": "ORDER_NOT_UNCERTAIN"}
"""RPCs that have nothing to do on a paper account, and the reason that says so."""


async def wrong_answers(caller: Caller, cases: Iterable[Case]) -> list[str]:
    """What came back otherwise than the cases say."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def check(case: Case) -> list[str]:
        async with gate:
            answer = await caller.send(RPCS[case.rpc], case.request, refused=True)
        found = faults(RPCS[case.rpc], answer)
        refusals = answer.refusals()
        if len(refusals) != 1:
            found.append(f"{len(refusals)} refusals, {answer.code.name}, for {case.reason}")
        for refusal in refusals:
            if refusal.code is not case.code or refusal.reason != case.reason:
                found.append(
                    f"{refusal.code.name} {refusal.reason} for {case.code.name} {case.reason}: {refusal.message}"
                )
            elif frozenset(refusal.fields) != case.fields:
                found.append(f"names {sorted(refusal.fields)} for {sorted(case.fields)}: {refusal.message}")
        return [f"{case}: {fault}" for fault in found]

    return [fault for faults in await asyncio.gather(*map(check, cases)) for fault in faults]


@pytest.mark.parametrize("rpc", sorted(RPCS))
async def test_every_field_of_a_request_tried_wrong_is_named_and_changes_nothing(
    caller: Caller, rpc: str
) -> None:
    """A wrong field is answered with its documented code and reason and named by its path, and no order, fill,
    position, balance or journal entry comes of it."""
    cases = list(field_cases(Scene(account=SEALED, prefix=rpc), rpc))
    before = await state_of(caller, STANDING)
    wrong = await wrong_answers(caller, cases)
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:SHOWN])
    assert await state_of(caller, STANDING) == before


@pytest.mark.parametrize("rpc", SPEC_AT)
async def test_fields_that_contradict_each_other_are_named_and_change_nothing(
    caller: Caller, rpc: str
) -> None:
    """An order whose fields are right alone and wrong together, or that asks for what the broker lacks, is refused
    and names the field to change, wherever the order stands in the request."""
    cases = list(contradiction_cases(Scene(account=SEALED, prefix=f"c-{rpc}"), rpc))
    before = await state_of(caller, STANDING)
    wrong = await wrong_answers(caller, cases)
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:SHOWN])
    assert await state_of(caller, STANDING) == before


async def test_what_does_not_fit_as_things_stand_is_told_and_changes_nothing(caller: Caller) -> None:
    """Ids that were used, orders that have ended, positions that are not there and feeds of another kind get their
    own reasons, and nothing comes of it."""
    cases = list(situation_cases(Scene(account=SEALED, prefix="s")))
    before = await state_of(caller, STANDING)
    wrong = await wrong_answers(caller, cases)
    assert not wrong, f"{len(wrong)} of {len(cases)}:\n" + "\n".join(wrong[:SHOWN])
    assert await state_of(caller, STANDING) == before


@pytest.mark.parametrize("rpc", sorted(RPCS))
async def test_the_requests_that_wrong_ones_are_made_from_are_right(caller: Caller, rpc: str) -> None:
    """A request is refused for the field that was made wrong: without that it is taken, or there is
    nothing to do."""
    scene = Scene(account=SPARE, prefix=f"r-{rpc}")
    if rpc in ("ClosePosition", "GetPosition"):
        bought = makers(scene)["PlaceOrder"]()
        put(bought, "order.limit_price", "101")
        await expect_ok(caller, "PlaceOrder", bought)
    if rpc in ("CancelOrder", "CancelAllOrders", "BatchCancelOrders", "ReplaceOrder"):
        scene.resting = f"r-{rpc}"
        placed = makers(scene)["PlaceOrder"]()
        put(placed, "client_order_id", scene.resting)
        await expect_ok(caller, "PlaceOrder", placed)
    answer = await caller.send(RPCS[rpc], makers(scene)[rpc]())
    assert not faults(RPCS[rpc], answer)
    if rpc in REFUSED:
        assert answer.reasons() == {REFUSED[rpc]}
    else:
        assert answer.code is grpc.StatusCode.OK, answer.message
        # A sale of an earlier case may have met the order that rests there.
        assert not answer.reasons() - {"SELF_TRADE"}


def test_every_field_has_cases_or_a_reason_for_none() -> None:
    """A field of a request that nobody tries wrong says why; a field that nobody wrote down fails here."""
    untried = [
        f"{rpc.name} {leaf.path}"
        for rpc in RPCS.values()
        for leaf in leaves(rpc.fields)
        if not (form := form_of(rpc.name, leaf)).wrong and not form.why
    ]
    assert not untried


def test_no_rule_is_left_over() -> None:
    """Every rule is about a field that the contract has."""
    found = [(rpc.name, leaf) for rpc in RPCS.values() for leaf in leaves(rpc.fields)]
    assert set(RULES) <= {leaf.key for _, leaf in found}
    assert set(OVERRIDES) <= {f"{rpc}:{leaf.path}" for rpc, leaf in found}
