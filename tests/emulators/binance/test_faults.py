"""What goes wrong on purpose, through every door: the faults of every emulator, and what Binance makes of them."""

from __future__ import annotations

import http.client
import time
from typing import Any

import orjson
import pytest

from tests.emulators.binance.raw import Raw
from tests.emulators.binance.sockets import api, listening, opened
from tests.emulators.client import Emulator

ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "49000",
}
LOST = (http.client.RemoteDisconnected, ConnectionResetError)


@pytest.fixture
def raw(venue: Emulator) -> Raw:
    """A client with the HMAC key."""
    return Raw(venue)


def placed(venue: Emulator) -> list[str]:
    return [order["client_order_id"] for order in venue.do("orders")]


@pytest.mark.parametrize(
    ("kind", "names"), [("answer_lost_after_accept", ["one"]), ("answer_lost_before_accept", [])]
)
def test_an_answer_is_lost(raw: Raw, kind: str, names: list[str]) -> None:
    raw.venue.do("fault", kind=kind, on="place")
    assert raw.call("GET", "/api/v3/account").status == 200, "only what it is meant for"
    with pytest.raises(LOST):
        raw.place(price="49000", newClientOrderId="one")
    assert placed(raw.venue) == names
    (entry,) = [entry for entry in raw.venue.do("log") if entry["kind"] == "place"]
    assert (entry["parameters"]["newClientOrderId"], entry["fault"]) == ("one", kind)
    assert raw.place(price="49000", newClientOrderId="two").status == 200, "once, where nothing else is said"
    assert raw.venue.do("injected") == {kind: 1}


def test_an_answer_may_come_never(raw: Raw) -> None:
    raw.venue.do("fault", kind="answer_lost_after_accept", on="POST /api/v3/order", how="hang", seconds=0.3)
    began = time.monotonic()
    with pytest.raises(LOST):
        raw.place(price="49000", newClientOrderId="one")
    assert time.monotonic() - began >= 0.3
    assert placed(raw.venue) == ["one"]


def test_a_request_arrives_late(raw: Raw) -> None:
    raw.venue.do("fault", kind="arrives_late", on="place", seconds=0.3)
    with pytest.raises(LOST):
        raw.place(price="49000", newClientOrderId="one")
    assert raw.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one").code == -2013
    raw.venue.do("fault", kind="arrives_late", on="place", seconds=0.3)
    with pytest.raises(LOST):
        raw.place(price="49000", newClientOrderId="old", recvWindow="100")
    deadline = time.monotonic() + 20
    while raw.venue.do("log")[2]["status"] is None:
        assert time.monotonic() < deadline
    assert placed(raw.venue) == ["one"]
    assert raw.venue.do("log")[2]["code"] == -1021, "too old by then"


def test_questions_find_what_is_old_enough(raw: Raw) -> None:
    raw.venue.do("fault", kind="query_lag", seconds=30)
    assert raw.place(type="MARKET", quantity="0.1", newClientOrderId="one").status == 200
    assert raw.place(price="49000").status == 200

    def found() -> list[int]:
        queries = ("openOrders", "allOrders", "myTrades")
        return [len(raw.call("GET", f"/api/v3/{query}", symbol="BTCUSDT").body) for query in queries]

    assert found() == [0, 0, 0]
    assert raw.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one").code == -2013
    raw.venue.do("advance", seconds=30)
    assert found() == [1, 2, 1]
    assert raw.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one").status == 200


@pytest.mark.parametrize(
    ("status", "code"), [(429, -1003), (418, -1003), (500, -1006), (502, -1006), (503, -1006), (504, -1007)]
)
@pytest.mark.parametrize("accept", [False, True])
def test_a_status_comes_whether_it_was_accepted_or_not(
    raw: Raw, status: int, code: int, accept: bool
) -> None:
    raw.venue.do("fault", kind="status", on="place", code=status, accept=accept)
    answer = raw.place(price="49000", newClientOrderId="one")
    assert (answer.status, answer.code) == (status, code)
    assert ("retry-after" in answer.headers) == (status in (418, 429))
    assert placed(raw.venue) == (["one"] if accept else [])


def test_the_firewall_and_the_venue_s_own_words(raw: Raw) -> None:
    raw.venue.do("fault", kind="status", on="place", code=403)
    forbidden = raw.place(price="49000")
    assert (forbidden.status, forbidden.headers["content-type"]) == (403, "text/html")
    raw.venue.do("fault", kind="status", on="place", code=400, error=-1008, message="Overloaded.")
    assert raw.place(price="49000").body == {"code": -1008, "msg": "Overloaded."}


@pytest.mark.parametrize("accept", [False, True])
def test_html_comes_instead_of_json(raw: Raw, accept: bool) -> None:
    raw.venue.do("fault", kind="html", on="place", accept=accept)
    answer = raw.place(price="49000", newClientOrderId="one")
    assert (answer.status, answer.body[:6]) == (200, b"<html>")
    assert placed(raw.venue) == (["one"] if accept else [])


def test_json_breaks_off(raw: Raw) -> None:
    raw.venue.do("fault", kind="partial_json", on="place")
    with pytest.raises(orjson.JSONDecodeError):
        raw.place(price="49000", newClientOrderId="one")
    assert placed(raw.venue) == ["one"]


def test_an_answer_drips(raw: Raw) -> None:
    raw.venue.do("fault", kind="slow_loris", on="place", seconds=0.5)
    with pytest.raises((http.client.IncompleteRead, *LOST)):
        raw.place(price="49000", newClientOrderId="one")
    assert placed(raw.venue) == ["one"]


def test_answers_come_late(raw: Raw) -> None:
    raw.venue.do("fault", kind="delay", on="place", seconds=0.2)
    waited_s = []
    for name in ("one", "two"):
        began_s = time.monotonic()
        assert raw.place(price="49000", newClientOrderId=name).status == 200
        waited_s.append(time.monotonic() - began_s)
    took_ns = [entry["took_ns"] for entry in raw.venue.do("log") if entry["kind"] == "place"]
    for waited, took in zip(waited_s, took_ns, strict=True):
        assert waited >= 0.2 + took / 1e9, "the venue's own time is without the delay"


def test_a_fault_lasts_as_often_as_it_is_said(raw: Raw) -> None:
    raw.venue.do("fault", kind="status", on="place", code=500, count=2)
    assert [raw.place(price="49000").status for _ in range(3)] == [500, 500, 200]
    raw.venue.do("fault", kind="maintenance")
    answers = [raw.place(price="49000") for _ in range(3)]
    assert [(answer.status, answer.code) for answer in answers] == [(503, -1016)] * 3
    raw.venue.do("clear_faults")
    assert raw.place(price="49000").status == 200


def test_what_is_no_fault_is_refused(raw: Raw) -> None:
    with pytest.raises(ValueError, match="no fault 'flood'; there are answer_lost_after_accept"):
        raw.venue.do("fault", kind="flood")


async def test_a_venue_restarts_and_remembers(raw: Raw) -> None:
    raw.place(price="49000", newClientOrderId="one")
    async with listening(raw.venue) as socket:
        await raw.venue.restart(0.1)
        assert (await socket.frame())["event"]["e"] == "serverShutdown"
        assert await socket.frame() is None
    assert raw.call("GET", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one").body["status"] == "NEW"


# The WebSocket API


@pytest.mark.parametrize(
    ("kind", "names"), [("answer_lost_after_accept", ["one"]), ("answer_lost_before_accept", [])]
)
async def test_an_answer_is_lost_on_a_connection_that_stays(
    venue: Emulator, kind: str, names: list[str]
) -> None:
    async with api(venue) as socket:
        await venue.fault(kind, on="order.place")
        await socket.send(
            {
                "id": "lost",
                "method": "order.place",
                "params": socket.hmac(ORDER | {"newClientOrderId": "one"}),
            }
        )
        assert (await socket.ask("ping"))["status"] == 200
        assert socket.events == []
        assert placed(venue) == names


async def test_a_request_arrives_late_on_a_connection(venue: Emulator) -> None:
    async with listening(venue) as socket:
        await venue.fault("arrives_late", on="place", seconds=0.2)
        await socket.send({"id": 1, "method": "order.place", "params": socket.hmac(ORDER)})
        assert (await socket.signed("openOrders.status"))["result"] == []
        await socket.until(bool)
        assert socket.told("executionReport")[0]["x"] == "NEW"
    assert len(placed(venue)) == 1


async def test_an_answer_is_lost_with_its_connection(venue: Emulator) -> None:
    async with api(venue) as socket:
        await venue.fault("answer_lost_after_accept", on="place", how="cut")
        await socket.send({"id": 1, "method": "order.place", "params": socket.hmac(ORDER)})
        assert await socket.frame() is None
    assert len(placed(venue)) == 1


async def test_answers_of_every_wrong_kind(venue: Emulator) -> None:
    async with api(venue) as socket:

        async def place() -> Any:
            await socket.send({"id": 1, "method": "order.place", "params": socket.hmac(ORDER)})
            return await socket.frame()

        await venue.fault("status", on="place", code=503, accept=True)
        answer = await place()
        assert (answer["status"], answer["error"]["code"]) == (503, -1006)
        await venue.fault("status", on="place", code=429)
        answer = await place()
        assert answer["error"]["data"]["retryAfter"] > answer["error"]["data"]["serverTime"]
        await venue.fault("html", on="place")
        assert (await place()).startswith("<html>")
        await venue.fault("partial_json", on="place")
        assert (await place()).startswith('{"id":1')
        await venue.fault("maintenance", on="place", count=1)
        assert (await place())["error"]["code"] == -1016
        await venue.fault("slow_loris", on="place", seconds=0.2)
        assert (await place())["status"] == 200
        await venue.fault("delay", on="place", seconds=0.2, count=1)
        assert (await place())["status"] == 200
        await venue.fault("status", on="place", code=403)
        assert await place() is None, "the firewall cuts it off"
    assert len(placed(venue)) == 4


# Streams


async def fill(venue: Emulator, *numbers: int) -> None:
    for number in numbers:
        await venue.add_fill("BTCUSDT", "buy", "1", str(40000 + number))


def prices(socket: Any) -> list[str]:
    return [event["L"][:5] for event in socket.told("executionReport") if event["x"] == "TRADE"]


async def test_a_frame_is_lost_on_a_healthy_connection(venue: Emulator) -> None:
    async with listening(venue) as socket:
        await venue.fault("lose_frame", on="executionReport", count=2)
        await fill(venue, 1, 2)
        await socket.until(lambda _: prices(socket) == ["40002"])
        assert (await venue.injected()) == {"lose_frame": 2}
        assert len(await venue.fills()) == 2


async def test_frames_come_twice_and_in_another_order(venue: Emulator) -> None:
    async with listening(venue) as socket:
        await venue.fault("duplicate_frames", on="orders", count=2)
        await fill(venue, 1)
        await socket.until(lambda _: prices(socket) == ["40001", "40001"])
        await socket.until(lambda events: events[-1]["event"]["e"] == "outboundAccountPosition")
        await venue.fault("reorder_frames", on="orders", count=1)
        socket.events.clear()
        await fill(venue, 2)
        await socket.until(lambda events: len(events) == 3)
        told = [event["x"] for event in socket.told("executionReport")]
        assert told == ["TRADE", "NEW"]


async def test_a_stream_is_mute_and_answers_pings(venue: Emulator) -> None:
    async with listening(venue) as socket, opened(venue, "/ws/btcusdt@trade") as market:
        await venue.fault("mute_stream", on="orders")
        await fill(venue, 1)
        assert (await market.frame())["p"] == "40001.00000000", "others hear"
        await socket.socket.ping()
        assert (await socket.ask("ping"))["status"] == 200
        assert socket.events == []
        await venue.clear_faults()
        await fill(venue, 2)
        await socket.until(lambda _: prices(socket) == ["40002"])


@pytest.mark.parametrize("on", ["orders", "market"])
async def test_a_stream_is_cut(venue: Emulator, on: str) -> None:
    async with listening(venue) as socket, opened(venue, "/ws/btcusdt@trade") as market:
        await venue.fault("cut_stream", on=on)
        cut, other = (socket, market) if on == "orders" else (market, socket)
        assert await cut.frame() is None
        await fill(venue, 1)
        assert await other.frame() is not None
        assert await venue.injected() == {"cut_stream": 1}


async def test_maintenance_ends_every_connection_and_lets_none_in(venue: Emulator) -> None:
    async with listening(venue) as socket:
        await venue.fault("maintenance")
        assert await socket.frame() is None
        with pytest.raises(Exception, match="503"):
            async with api(venue):
                pass


async def test_a_new_account_knows_nothing_of_the_one_before(venue: Emulator) -> None:
    async with listening(venue) as socket:
        await venue.fault("maintenance", on="place")
        Raw(venue).place(price="49000")
        await venue.ask("permissions", trade=False)
        await venue.reset({"USDT": "100000"})
        assert await socket.frame() is None
    assert await venue.log() == []
    assert await venue.injected() == {}
    assert (await venue.balances())["USDT"] == {"total": 100000, "locked": 0}
    await venue.show("BTCUSDT", [("50000", "1")], [("50010", "1")])
    assert Raw(venue).place(price="49000").body["orderId"] == 1
    assert await venue.doubled() == []
