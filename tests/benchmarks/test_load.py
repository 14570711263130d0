"""The load benchmark runs, and what it says beside its figures holds on a busy machine too."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.benchmarks.load import AT_ONCE, QUICK, SITES, down, targets
from tests.e2e.process import ROOT, environment


@pytest.fixture(scope="module", params=sorted(SITES))
def found(request: pytest.FixtureRequest) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.load", "--quick", "--json", "--venue", request.param],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=110, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results: list[dict[str, Any]] = json.loads(done.stdout)
    return results[0]


def test_ten_clients_that_never_rest_earn_no_429(found: dict[str, Any]) -> None:
    """Pain 9: one budget for all clients, so that none of them gets the address banned."""
    hot = found["hot loop"]
    assert hot["limited"] == 0
    # It came to the limits: there was more to send than they allow.
    assert hot["clients"].get("RATE_LIMITED", 0) + hot["clients"].get("NOT_SENT", 0) > 0, hot
    assert hot["statuses"]["200"] > 20


def test_a_hundred_orders_at_once_are_taken(found: dict[str, Any]) -> None:
    placing = found["placement"]
    assert placing["orders"] == QUICK.rounds * AT_ONCE
    assert placing["mean_ms"] > placing["venue_ms_mean"] > QUICK.delay_s * 1000


def test_what_is_cut_comes_back_and_every_order_is_filled(found: dict[str, Any]) -> None:
    """Orders that came while the connection was away were held, and sent once."""
    lasting = found["soak"]
    assert lasting["cuts"] >= 1
    assert lasting["states"] == {"FILLED": lasting["orders"]}
    assert lasting["orders"] >= 10


def test_the_gateway_itself_says_how_the_broker_does(found: dict[str, Any]) -> None:
    """`GetBroker` over the wire, after all that."""
    metrics, lasting = found["metrics"], found["soak"]
    assert metrics["orders_sent"] >= found["placement"]["orders"] + lasting["orders"]
    assert metrics["fill_rate"] == 1.0
    # A machine that stalls may lose one more.
    assert 0 < lasting["cuts"] <= metrics["reconnects"] <= lasting["cuts"] + 1
    assert 0 < metrics["uptime"] < 1
    assert metrics["order_latency_p99_ms"] >= metrics["order_latency_mean_ms"] > QUICK.delay_s * 1000
    assert metrics["limit_utilisation"]
    assert all(0 <= share <= 1 for share in metrics["limit_utilisation"].values())


def test_every_target_of_the_product_has_a_verdict(found: dict[str, Any]) -> None:
    rows = targets(found)
    assert [row[0] for row in rows][:8] == [
        "placement, mean",
        "placement, p99",
        "account query, mean",
        "stream uptime",
        "fill rate, marketable",
        "memory",
        "memory, slope",
        "429 and 418 in a hot loop",
    ]
    assert {row[3] for row in rows} <= {"PASS", "MISS", "too short"}
    lasting = [row[0] for row in rows if row[3] == "too short"]
    assert lasting[:2] == ["stream uptime", "memory, slope"]
    assert ("flood" in found) is (found["venue"] == "binance")
    if "flood" in found:
        assert rows[8][0] == f"memory, last third of {QUICK.flood_orders} orders"
        assert found["flood"]["orders"] == QUICK.flood_orders


def test_a_target_that_is_missed_is_said_so(found: dict[str, Any]) -> None:
    bad = found | {
        "placement": {"mean_ms": 500.0, "p99_ms": 1000.0},
        "hot loop": {"limited": 1},
        "soak": found["soak"] | {"seconds": 600.0, "uptime": 0.985},
    }
    verdicts = {row[0]: row[3] for row in targets(bad)}
    missed = ("placement, mean", "placement, p99", "429 and 418 in a hot loop", "stream uptime")
    assert [verdicts[name] for name in missed] == ["MISS"] * len(missed)


def test_the_time_without_a_connection_is_read_from_the_log() -> None:
    lines = [
        '{"event": "connection", "before": "CONNECTED", "state": "RECONNECTING", "after_ms": 90000}',
        "no JSON",
        '{"event": "connection", "before": "RECONNECTING", "state": "CONNECTED", "after_ms": 1500}',
        '{"event": "something else"}',
    ]
    assert down(lines) == 1.5
