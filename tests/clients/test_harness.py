"""The harness itself: that it can fail, and that the scenarios leave nothing of the contract out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pool

from brokergate_client import contract_method
from tests.clients.matching import comparable, problems
from tests.clients.scenarios import FILE, load
from tests.clients.test_conformance import differences

BY_ERGONOMICS = {
    "place": "OrderService/PlaceOrder",
    "replace": "OrderService/ReplaceOrder",
    "cancel": "OrderService/CancelOrder",
}
SERVICES = ("Account", "Broker", "Event", "Instrument", "MarketData", "Order", "Position", "Simulator")


def test_every_rpc_of_the_contract_is_in_a_scenario() -> None:
    """By its name, or by the ergonomics that call it."""
    contract_method("OrderService/PlaceOrder")
    pool: Any = descriptor_pool.Default()
    contract = {
        f"{service}Service/{method.name}"
        for service in (*SERVICES, "TradingControl")
        for method in pool.FindServiceByName(f"brokergate.v1.{service}Service").methods
    }
    used = set()
    for scenario in load():
        for step in scenario.steps:
            if step.get("do") == "open":
                used.add(f"EventService/Stream{step['stream'].capitalize()}")
            elif "do" in step:
                used.add(step.get("rpc") or BY_ERGONOMICS.get(step["do"], ""))
    assert contract - used == set()


def test_there_are_enough_scenarios() -> None:
    """As many as were asked for, each written once."""
    assert len(load()) >= 40
    assert len({json.dumps(each["steps"]) for each in json.loads(FILE.read_text())["scenarios"]}) == len(
        load()
    )


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": None}, {}),
        ("*", ""),
        ("=0.1", "0.100"),
        ("~[a-z]+", "abc"),
        ([1, 2], [1, 2]),
        ({"$len": 2, "$has": 1}, [1, 2]),
        ({"$all": {"a": 1}}, [{"a": 1}, {"a": 1, "b": 2}]),
        ({"$above": 0, "$below": 2}, 1),
    ],
)
def test_what_is_as_expected(expected: Any, seen: Any) -> None:
    """Each way to say it."""
    assert list(problems(expected, seen)) == []


@pytest.mark.parametrize(
    ("expected", "seen"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": 1}, None),
        ({"a": False}, {"a": 0}),
        ("*", None),
        ("=0.1", "1e-1"),
        ("=0.1", "0.11"),
        ("=0.1", None),
        ("~[a-z]+", "abc1"),
        ([1], [1, 2]),
        ([1], 1),
        ({"$len": 2}, [1]),
        ({"$has": 3}, [1, 2]),
        ({"$all": {"a": 1}}, [{"a": 1}, {"a": 2}]),
        ({"$distinct": True}, ["a", "a"]),
        ({"$above": 0}, 0),
        ({"$below": 2}, 2),
    ],
)
def test_what_is_not_as_expected(expected: Any, seen: Any) -> None:
    """Each way to be wrong."""
    assert list(problems(expected, seen)) != []


def test_what_clients_must_have_in_common() -> None:
    """Numbers by their value, ids and texts by being there; everything else as it is."""
    one = {"quantity": "0.10", "order_id": "a", "state": "NEW", "message": "x"}
    other = {"quantity": "0.1", "order_id": "b", "state": "NEW", "message": "y"}
    assert comparable(one) == comparable(other)
    for name, value in {"quantity": "0.2", "order_id": "", "state": "FILLED"}.items():
        assert comparable({**one, name: value}) != comparable(one)


def test_a_client_that_saw_something_else_is_found(tmp_path: Path) -> None:
    """By the one that comes later, once for each pair."""
    assert differences(tmp_path, "one", {"s": [1]}) == []
    assert differences(tmp_path, "two", {"s": [1]}) == []
    assert len(differences(tmp_path, "three", {"s": [2]})) == 2
    assert len(differences(tmp_path, "four", {"s": [1, 2]})) == 4
