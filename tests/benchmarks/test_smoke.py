"""The benchmark runs, and what it prints has the shape that its readers expect. No test here asserts a duration."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from brokergate.v1 import enums_pb2, order_pb2
from tests.benchmarks import baseline
from tests.benchmarks.figures import Budget, Measure, percentile
from tests.benchmarks.orders import BATCH, PLACE, count_filled, requests
from tests.e2e.process import ROOT, environment

RUN_TIMEOUT_S = 100

BUDGETED = {
    "place.16.orders_per_s",
    "place.1.p50_us",
    "batch.orders_per_s",
    "entry.orders_per_s",
    "fills.backlog.1.fills_per_s",
}
"""The rows of DESIGN section 7."""

FSYNC = ("fsync_p50_us", "fsync_p99_us")


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `python -m tests.benchmarks` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", *arguments],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run of this module stores its ratios."""
    return tmp_path_factory.mktemp("benchmarks") / "baseline.json"


@pytest.fixture(scope="module")
def results(stored: Path) -> dict[str, Any]:
    """What one quick run printed."""
    done = benchmarks("--quick", "--json", "--update-baseline", "--baseline-file", str(stored))
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.serial
class TestQuickRun:
    """`--quick --json`."""

    def test_every_ratio_is_a_positive_number(self, results: dict[str, Any]) -> None:
        """Every ratio, of every round, is finite and above zero, and the median lies within its spread."""
        assert results["measures"]
        for name, measure in results["measures"].items():
            ratios = measure["ratios"]
            assert len(ratios) >= 1, name
            assert all(math.isfinite(ratio) and ratio > 0 for ratio in ratios), name
            assert measure["low"] <= measure["ratio"] <= measure["high"], name

    def test_budgets(self, results: dict[str, Any]) -> None:
        """Exactly the rows of DESIGN section 7 have a budget, and each says whether it is met and by how much."""
        budgets = {name: each["budget"] for name, each in results["measures"].items() if "budget" in each}
        assert set(budgets) == BUDGETED
        for budget in budgets.values():
            for bound in (budget["now"], budget["to_be_reached"]):
                assert bound["met"] == (bound["times_as_good"] >= 1)

    def test_scenarios(self, results: dict[str, Any]) -> None:
        """Throughput, latency and fills are there for every number in flight and of subscribers, and the figures
        beside them."""
        plan = results["plan"]
        for in_flight in plan["in_flight"]:
            assert {"orders_per_s", "p50_us", "p99_us"} <= results["details"][f"place.{in_flight}"][
                "gateway"
            ].keys()
        for kind in ("backlog", "live.steady", "live.flood"):
            for subscribers in (1, plan["subscribers"]):
                assert f"fills.{kind}.{subscribers}.fills_per_s" in results["measures"]
        assert {"batch", "entry", "cost", "engine"} <= results["details"].keys()
        assert results["details"]["cost"]["orders"] == plan["backlog_fills"]

    def test_what_waits_for_the_disk(self, results: dict[str, Any]) -> None:
        """Single orders, batches, order entry and live fills stand there with `durability: full` too, over the same
        echo, beside what one wait for the disk costs."""
        plan, measures = results["plan"], results["measures"]
        for in_flight in plan["in_flight"]:
            assert {f"place_full.{in_flight}.{key}" for key in ("orders_per_s", "p50_us", "p99_us")} <= set(
                measures
            )
        for name in ("batch_full", "entry_full", "fills_full.live.steady.1", "fills_full.live.flood.1"):
            assert name in results["details"]
        assert 0 < results["machine"]["fsync_p50_us"] <= results["machine"]["fsync_p99_us"]

    def test_venue(self, results: dict[str, Any]) -> None:
        """The venue alone played the market with and without resting orders, filled some of them, and filled as many
        market orders as it was given."""
        venue, plan = results["details"]["venue"], results["plan"]
        for name in ("apply.0", "apply.100", "replay"):
            assert venue[name]["updates"] > 10_000
            assert venue[name]["updates_per_s"] > 0
        assert venue["apply.0"]["orders"] == 0
        assert venue["apply.100"]["orders"] > 100
        assert {name: venue["replay"][name] for name in ("updates", "reports", "orders")} == {
            name: venue["apply.100"][name] for name in ("updates", "reports", "orders")
        }
        assert venue["orders"]["orders"] == plan["venue_orders"]

    def test_limiter(self, results: dict[str, Any]) -> None:
        """A request went through one limit, through four linked ones, and through a queue."""
        limiter = results["details"]["limiter"]
        for name in ("one limit", "four linked limits", "with a deadline", "circuit breaker"):
            assert limiter[name]["us"] > 0
        assert limiter["10000 waiting"]["cpu_us"] > 0

    def test_starts(self, results: dict[str, Any]) -> None:
        """For each number of orders there is a start after a clean end and after kill -9, the memory, and the start
        over an empty journal that both are measured by."""
        for orders in results["plan"]["start_orders"]:
            assert {f"start.{orders}.{key}" for key in ("seconds", "resident_mib")} <= set(
                results["measures"]
            )
            figures = results["details"][f"start.{orders}"]
            assert {"clean_s", "killed_s", "empty_s", "resident_mib", "journal_mib"} <= figures.keys()
            assert all(figure > 0 for figure in figures.values())

    def test_machine(self, results: dict[str, Any]) -> None:
        """What the figures depend on stands beside them."""
        machine = results["machine"]
        assert machine["load_processes"] == results["plan"]["load_processes"]
        assert all(
            machine[name]
            for name in ("cpu", "cpu_count", "python", "grpcio", "protobuf", "loop", "durability", *FSYNC)
        )

    def test_update_baseline(self, results: dict[str, Any], stored: Path) -> None:
        """`--update-baseline` stores the ratio of every measure."""
        ratios = json.loads(stored.read_text("utf-8"))["ratios"]
        assert ratios.keys() == results["measures"].keys()

    def test_baseline_of_another_plan(self, stored: Path, results: dict[str, Any]) -> None:
        """A baseline of another plan is refused before anything is measured."""
        done = benchmarks("--baseline", "--baseline-file", str(stored))
        assert done.returncode == 2
        assert "was made with the plan 'quick', not with 'full'" in done.stderr


def measure(*ratios: float, name: str = "place.16.orders_per_s", budget: Budget | None = None) -> Measure:
    """A throughput with these ratios."""
    return Measure(name, "throughput", "/s", "higher", ratios, (1.0,) * len(ratios), budget)


class TestBaseline:
    """The comparison with stored ratios."""

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        """A baseline of one measure: 1.0, between 0.9 and 1.1."""
        path = tmp_path / "baseline.json"
        baseline.store([measure(0.9, 1.0, 1.1)], "full", {"cpu": "a"}, path)
        return path

    @pytest.mark.parametrize(
        ("ratios", "regressed"),
        [
            ((0.6, 0.7, 0.8), True),
            ((0.6, 0.7, 0.95), False),
            ((0.86, 0.88, 0.89), False),
            ((1.5, 1.6, 1.7), False),
        ],
        ids=["worse by far", "within the spread", "within the noise", "better"],
    )
    def test_regression(self, path: Path, ratios: tuple[float, ...], regressed: bool) -> None:
        """A ratio is a regression when it is worse than the noise allows and the rounds of the two do not overlap."""
        (row,) = baseline.compare([measure(*ratios)], path)
        assert row.regressed is regressed

    def test_lower_is_better(self, tmp_path: Path) -> None:
        """A latency that grows is a regression, one that falls is not."""
        path = tmp_path / "baseline.json"

        def latency(ratio: float) -> Measure:
            return Measure("place.1.p50_us", "median", "µs", "lower", (ratio,), (1.0,))

        baseline.store([latency(1.5)], "full", {}, path)
        assert baseline.compare([latency(2.0)], path)[0].regressed
        assert not baseline.compare([latency(1.0)], path)[0].regressed

    def test_new_measure(self, path: Path) -> None:
        """A measure that the baseline lacks is left out."""
        assert baseline.compare([measure(1.0, name="new")], path) == []

    def test_fixed_rate(self, tmp_path: Path) -> None:
        """A ratio whose upper half the plan fixes is stored and not compared."""
        path = tmp_path / "baseline.json"
        steady = measure(1.0, name="fills.live.steady.1.fills_per_s")
        baseline.store([steady], "full", {}, path)
        assert baseline.compare([steady], path) == []

    def test_no_baseline(self, tmp_path: Path) -> None:
        """Where there is no baseline, the error says how to make one."""
        with pytest.raises(baseline.BaselineError, match="--update-baseline"):
            baseline.check("full", tmp_path / "none.json")

    def test_other_machine(self, path: Path) -> None:
        """What differs from the machine of the baseline is named."""
        assert baseline.differences({"cpu": "b"}, path) == ["cpu: a then, b now"]


class TestAnswers:
    """What the load processes make of the answers."""

    def test_filled(self) -> None:
        """Every order that came back filled counts once."""
        filled = order_pb2.Order(state=enums_pb2.ORDER_STATE_FILLED)
        batch = order_pb2.BatchPlaceOrdersResponse(results=[order_pb2.OrderResult(order=filled)] * 3)
        assert count_filled(BATCH, [batch.SerializeToString()] * 2) == 6

    @pytest.mark.parametrize(
        "answer",
        [
            order_pb2.PlaceOrderResponse(order=order_pb2.Order(state=enums_pb2.ORDER_STATE_REJECTED)),
            order_pb2.PlaceOrderResponse(
                order=order_pb2.Order(state=enums_pb2.ORDER_STATE_FILLED), already_existed=True
            ),
            order_pb2.PlaceOrderResponse(),
        ],
        ids=["rejected", "known already", "no order"],
    )
    def test_not_filled(self, answer: order_pb2.PlaceOrderResponse) -> None:
        """An order that was not freshly filled voids the run."""
        with pytest.raises(ValueError, match="makes its figures void"):
            count_filled(PLACE, [answer.SerializeToString()])

    def test_requests(self) -> None:
        """The orders of one load have ids of their own, and buys and sells take turns."""
        placed = [order_pb2.PlaceOrderRequest.FromString(body) for body in requests(PLACE, "a", "p", 4, 1)]
        assert len({each.client_order_id for each in placed}) == 4
        assert [each.order.side for each in placed] == [enums_pb2.SIDE_BUY, enums_pb2.SIDE_SELL] * 2


class TestFigures:
    """Percentiles and budgets."""

    def test_percentile(self) -> None:
        """A percentile is one of the values: the smallest that the share of them does not exceed."""
        values = [5.0, 1.0, 4.0, 2.0, 3.0]
        assert [percentile(values, share) for share in (0, 0.2, 0.5, 0.99, 1)] == [1, 1, 3, 5, 5]

    def test_budget(self) -> None:
        """A budget is met at its bound; the distance says how many times as good the ratio is."""
        low, latency = measure(0.5), Measure("l", "l", "µs", "lower", (2.0,), (1.0,))
        assert low.meets(0.5)
        assert not low.meets(0.8)
        assert low.distance(1.0) == 0.5
        assert latency.meets(2.0)
        assert not latency.meets(1.6)
        assert latency.distance(1.6) == 0.8
