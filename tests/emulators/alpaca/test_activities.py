"""What happened, as the account is told it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.emulators.alpaca.bench import Bench
from tests.emulators.alpaca.refusal import Refused

D = Decimal

# Activities


def test_activities_are_paged_and_bounded() -> None:
    bench = Bench()
    for minute in range(5):
        bench.go(f"2026-06-15T14:0{minute}:00Z")
        bench.place("ETH/USD", qty="1")
    activities = bench.desk.floor.activities
    ids = [each["id"] for each in activities.page({"direction": "asc"}, {"FILL"}, bench.now_ns)]
    assert ids == sorted(ids)
    assert len(ids) == 5
    newest = activities.page({"page_size": "2"}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in newest] == [ids[4], ids[3]]
    second = activities.page({"page_size": "2", "page_token": ids[3]}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in second] == [ids[2], ids[1]]
    after = activities.page({"after": "2026-06-15T14:03:00Z"}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in after] == [ids[4]]
    until = activities.page({"until": "2026-06-15T14:01:00Z"}, {"FILL"}, bench.now_ns)
    assert [each["id"] for each in until] == [ids[0]]
    assert len(activities.page({"date": "2026-06-15"}, {"FILL"}, bench.now_ns)) == 5
    assert activities.page({"date": "2026-06-14"}, {"FILL"}, bench.now_ns) == []
    for bad in ({"page_size": "101"}, {"direction": "up"}, {"page_token": "x"}, {"after": "soon"}):
        with pytest.raises(Refused):
            activities.page(bad, None, bench.now_ns)


def test_a_fee_of_crypto_is_told_when_the_day_is_over_and_sorts_before_it() -> None:
    bench = Bench()
    bench.place("ETH/USD", qty="1")
    activities = bench.desk.floor.activities
    assert [each["activity_type"] for each in activities.page({}, None, bench.now_ns)] == ["FILL"]
    bench.go("2026-06-16T04:00:00Z")
    kinds = [each["activity_type"] for each in activities.page({"direction": "asc"}, None, bench.now_ns)]
    assert kinds == ["CFEE", "FILL"]
