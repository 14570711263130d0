"""The day's executions: what was told of each, what they cost, and from where on to go on."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brokergate.adapters.ibkr.contracts import Contracts
from brokergate.adapters.ibkr.executions import Executions, corrected
from brokergate.adapters.ibkr.frames import CommissionShown, ExecutionShown
from brokergate.adapters.ibkr.times import midnight_ns, time_ns, wire_time
from brokergate.domain.errors import BrokerError
from brokergate.domain.fills import FillKind, Money
from brokergate.ports.broker import FillPage
from tests.unit.adapters.ibkr.shapes import AAPL

D = Decimal
NEW_YORK = ZoneInfo("America/New_York")


def execution(number: int, **changes: Any) -> ExecutionShown:
    """Ten bought at a hundred, in the second of its number."""
    usual: dict[str, Any] = {
        "request_id": 5,
        "order_id": 3,
        "client_id": 1,
        "perm_id": 700,
        "account": "DU1",
        "contract": AAPL,
        "execution_id": f"0000e0d5.{number:08x}.01.01",
        "time_ns": number * 10**9,
        "side": "BOT",
        "quantity": D(10),
        "price": D(100),
        "cumulative": D(10),
        "order_ref": "",
        "liquidity": 2,
    }
    return ExecutionShown(**{**usual, **changes})


def cost(number: int) -> CommissionShown:
    """A dollar."""
    return CommissionShown(f"0000e0d5.{number:08x}.01.01", D(1), "USD")


def desk(seed: int = 1) -> Executions:
    """An account's, of one process."""
    return Executions(Contracts(), lambda _reference, _number: "", random.Random(seed))


def ids(page: FillPage) -> list[int]:
    """The numbers of what is told."""
    return [int(fill.execution_id.split(".")[1], 16) for fill in page.fills]


def test_what_was_told_is_not_told_again_and_what_comes_late_is() -> None:
    """A connection that was away brings late what happened early."""
    executions = desk()
    first = executions.page("", [execution(5)], [cost(5)])
    assert ids(first) == [5]
    assert first.fills[0].fees == (Money(D(1), "USD"),)
    second = executions.page(first.watermark, [execution(2), execution(5)], [cost(2), cost(5)])
    assert ids(second) == [2]
    assert ids(executions.page(second.watermark, [execution(2), execution(5)], [])) == []


def test_a_page_that_was_not_booked_is_told_again() -> None:
    executions = desk()
    mark = executions.page("", [], []).watermark
    assert ids(executions.page(mark, [execution(1)], [])) == [1]
    assert ids(executions.page(mark, [execution(1)], [])) == [1]


def test_another_process_tells_all_but_what_was_there_before_the_account() -> None:
    mark = desk(1).page("", [execution(1)], []).watermark
    anew = desk(2)
    page = anew.page(mark, [execution(1), execution(2)], [])
    assert ids(page) == [2]
    # Of another day, the first is told no more, and its mark goes.
    assert desk(3).page(page.watermark, [execution(9)], []).watermark.endswith("|")


def test_one_whose_fees_come_late_is_told_again_with_them() -> None:
    executions = desk()
    live = executions.told(execution(1, request_id=-1))
    assert live is not None
    assert not live.fees_final
    paid = executions.paid(cost(1))
    assert paid is not None
    assert paid.fees_final
    assert paid.fees == (Money(D(1), "USD"),)
    assert executions.paid(cost(1)) is None


def test_fees_that_were_heard_first_come_with_it() -> None:
    executions = desk()
    executions.paid(cost(1))
    live = executions.told(execution(1))
    assert live is not None
    assert live.fees_final


def test_fees_that_the_list_brings_are_told_for_what_was_told_without() -> None:
    executions = desk()
    mark = executions.page("", [], []).watermark
    executions.told(execution(1, request_id=-1))
    unpaid = executions.page(mark, [execution(1)], [])
    assert [fill.fees_final for fill in unpaid.fills] == [False]
    late = executions.page(unpaid.watermark, [execution(1)], [cost(1)])
    assert [fill.fees_final for fill in late.fills] == [True]


def test_a_fee_that_is_not_known_is_not_nothing() -> None:
    executions = desk()
    executions.told(execution(1))
    assert executions.paid(CommissionShown(execution(1).execution_id, None, "")) is None


def test_a_correction_names_what_it_was_told_as_before() -> None:
    third = execution(1, execution_id="0000e0d5.00000001.01.03")
    fill = desk().told(third)
    assert fill is not None
    assert fill.kind is FillKind.CORRECTION
    assert fill.corrects == ("0000e0d5.00000001.01.02", "0000e0d5.00000001.01.01")


def second(number: int) -> ExecutionShown:
    """The correction of an execution."""
    return execution(number, execution_id=f"0000e0d5.{number:08x}.01.02", price=D(99))


def test_what_was_corrected_before_it_was_told_is_told_as_it_is_now() -> None:
    """The correction was heard first, and counts for itself: told after it, the first word would count once more."""
    executions = desk()
    mark = executions.page("", [], []).watermark
    live = executions.told(second(1))
    assert live is not None
    page = executions.page(mark, [execution(1), second(1)], [])
    assert [fill.price for fill in page.fills] == [D(99)]
    anew = desk(2).page(mark, [execution(1), second(1)], [])
    assert [fill.price for fill in anew.fills] == [D(99)]


def test_the_correction_of_what_was_there_before_the_account_is_not_told() -> None:
    """The account's first position has it; a fill of the whole quantity would count it twice."""
    executions = desk()
    mark = executions.page("", [execution(1)], []).watermark
    page = executions.page(mark, [execution(1), second(1), execution(2)], [])
    assert ids(page) == [2]
    assert executions.told(second(1)) is None
    # Neither where TWS tells of the correction alone, and the process is another one.
    alone = executions.page(page.watermark, [second(1), execution(2)], [])
    assert ids(desk(2).page(alone.watermark, [second(1), execution(2)], [])) == [2]


@pytest.mark.parametrize("execution_id", ["", "0000e0d5.00000001.01.01", "x", "1.y"])
def test_what_is_no_correction_corrects_nothing(execution_id: str) -> None:
    assert corrected(execution_id) == ()


@pytest.mark.parametrize("watermark", ["x", "a:b|", "a:1", "3f9c2a17|x"])
def test_a_watermark_of_others_is_refused(watermark: str) -> None:
    with pytest.raises(BrokerError, match="no watermark"):
        desk().page(watermark, [], [])


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("20261121-14:30:05", "2026-11-21T14:30:05+00:00"),
        ("20261121 09:30:05 US/Eastern", "2026-11-21T14:30:05+00:00"),
        ("20261121 15:30:05 Europe/Berlin", "2026-11-21T14:30:05+00:00"),
        ("20261121  09:30:05", "2026-11-21T14:30:05+00:00"),
        ("20261121 09:30:05 Eastern Sommerzeit", "2026-11-21T14:30:05+00:00"),
    ],
)
def test_a_time_without_a_zone_is_in_tws_own(text: str, utc: str) -> None:
    """Trap 13: the library reads it as the machine's."""
    assert wire_time(text, NEW_YORK).isoformat() == utc


def test_a_day_begins_in_tws_zone() -> None:
    now = time_ns(wire_time("20261121-03:00:00", NEW_YORK))
    assert midnight_ns(now, NEW_YORK) == time_ns(wire_time("20261120-05:00:00", NEW_YORK))
