"""Weights, order counts, 429 and bans (rest-api.md "LIMITS")."""

from __future__ import annotations

import pytest

from tests.emulators.binance.raw import Answer, Raw
from tests.emulators.client import Emulator

WEIGHT = "x-mbx-used-weight-1m"


@pytest.fixture
def raw(venue: Emulator) -> Raw:
    """A client at the beginning of a minute, so that no window ends while a test looks."""
    venue.do("new_minute")
    return Raw(venue)


def used(answer: Answer) -> int:
    return int(answer.headers[WEIGHT])


@pytest.mark.parametrize(
    ("path", "parameters", "weight"),
    [
        ("/api/v3/order", {"symbol": "BTCUSDT", "origClientOrderId": "one"}, 4),
        ("/api/v3/openOrders", {"symbol": "BTCUSDT"}, 6),
        ("/api/v3/openOrders", {}, 80),
        ("/api/v3/allOrders", {"symbol": "BTCUSDT"}, 20),
        ("/api/v3/myTrades", {"symbol": "BTCUSDT"}, 20),
        ("/api/v3/myTrades", {"symbol": "BTCUSDT", "orderId": 1}, 5),
        ("/api/v3/account", {}, 20),
        ("/api/v3/rateLimit/order", {}, 40),
    ],
)
def test_a_query_costs_its_weight(raw: Raw, path: str, parameters: dict[str, str], weight: int) -> None:
    raw.place(price="49000", newClientOrderId="one")
    before = used(raw.ask("GET", "/api/v3/ping"))
    assert used(raw.call("GET", path, **parameters)) == before + weight


@pytest.mark.parametrize(
    ("limit", "weight"), [(None, 5), ("100", 5), ("101", 25), ("1000", 50), ("5000", 250)]
)
def test_a_book_costs_by_its_depth(raw: Raw, limit: str | None, weight: int) -> None:
    more = {} if limit is None else {"limit": limit}
    assert used(raw.ask("GET", "/api/v3/depth", symbol="BTCUSDT", **more)) == weight


def test_orders_cost_weight_only_where_they_fail(raw: Raw) -> None:
    assert used(raw.place(price="49000", newClientOrderId="one")) == 0
    assert used(raw.place(price="49000.001")) == 1
    amended = raw.call(
        "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="one",
        newClientOrderId="one", newQty="0.5",
    )  # fmt: skip
    assert used(amended) == 5
    assert used(raw.call("DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one")) == 5


def test_orders_that_have_not_filled_are_counted(raw: Raw) -> None:
    first = raw.place(price="49000", newClientOrderId="one")
    assert (first.headers["x-mbx-order-count-10s"], first.headers["x-mbx-order-count-1d"]) == ("1", "1")
    assert raw.place(price="49000").headers["x-mbx-order-count-10s"] == "2"
    assert raw.place(type="MARKET", quantity="0.1").headers["x-mbx-order-count-10s"] == "2"
    raw.venue.do("trade", symbol="BTCUSDT", price="49000", quantity="1")
    counts = {row["interval"]: row["count"] for row in raw.call("GET", "/api/v3/rateLimit/order").body}
    assert counts == {"SECOND": 1, "DAY": 1}
    raw.venue.do("advance", seconds=10)
    counts = {row["interval"]: row["count"] for row in raw.call("GET", "/api/v3/rateLimit/order").body}
    assert counts["SECOND"] == 0


def test_too_many_orders_are_refused_until_the_window_is_over(raw: Raw) -> None:
    raw.venue.do("limits", orders_10s=2)
    raw.venue.do("advance", seconds=10)
    answers = [raw.place(price="49000", newClientOrderId=f"o{number}") for number in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].code == -1015
    assert 1 <= int(answers[2].headers["retry-after"]) <= 10
    raw.venue.do("advance", seconds=10)
    assert raw.place(price="49000", newClientOrderId="o3").status == 200
    assert raw.call("GET", "/api/v3/account").status == 200, "queries go on"


def test_too_much_weight_is_429_and_whoever_goes_on_is_banned(raw: Raw) -> None:
    raw.venue.do("limits", weight=100, tolerance=2)
    assert [raw.call("GET", "/api/v3/openOrders").status for _ in range(2)] == [200, 200]
    refused = raw.call("GET", "/api/v3/openOrders")
    assert (refused.status, refused.code) == (429, -1003)
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert raw.ask("GET", "/api/v3/ping").status == 429
    banned = raw.ask("GET", "/api/v3/ping")
    assert (banned.status, banned.headers["retry-after"]) == (418, "120")
    assert "IP banned until" in banned.body["msg"]
    raw.venue.do("advance", seconds=60)
    assert raw.ask("GET", "/api/v3/ping").status == 418, "longer than the window"
    assert raw.place(price="49000").status == 418, "no order passes a ban"
    raw.venue.do("advance", seconds=61)
    assert raw.ask("GET", "/api/v3/ping").status == 200
    assert raw.venue.do("used")["bans"] == 1
    for _ in range(5):
        banned = raw.call("GET", "/api/v3/openOrders")
    assert banned.headers["retry-after"] == "480", "the next ban is longer"


def test_whoever_waits_is_served_again(raw: Raw) -> None:
    raw.venue.do("limits", weight=1)
    assert [raw.ask("GET", "/api/v3/ping").status for _ in range(2)] == [200, 429]
    raw.venue.do("advance", seconds=60)
    assert raw.ask("GET", "/api/v3/ping").status == 200


def test_a_test_can_ban(raw: Raw) -> None:
    raw.venue.do("ban", seconds=300)
    assert raw.ask("GET", "/api/v3/ping").headers["retry-after"] == "300"
