"""The emulator as a process: its doors, limits, streams and faults, by bare requests and sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from aiohttp import ClientError, ClientSession, ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from tests.emulators.alpaca.sdk import call
from tests.emulators.alpaca.test_shapes import ask, order
from tests.emulators.client import Emulator

LIMIT = order(type="limit", limit_price="180", client_order_id="mine")
FIND = "/v2/orders:by_client_order_id"


def headers(venue: Emulator) -> dict[str, str]:
    return {"APCA-API-KEY-ID": venue.key, "APCA-API-SECRET-KEY": venue.secret}


@asynccontextmanager
async def socket_to(venue: Emulator, path: str, **more: Any) -> AsyncIterator[ClientWebSocketResponse]:
    async with ClientSession() as session, session.ws_connect(venue.ws_url + path, **more) as socket:
        yield socket


async def listening(venue: Emulator, socket: ClientWebSocketResponse) -> None:
    who = {"key_id": venue.key, "secret_key": venue.secret}
    await socket.send_json({"action": "authenticate", "data": who})
    await socket.receive_bytes()
    await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
    await socket.receive_bytes()


async def events(socket: ClientWebSocketResponse, count: int) -> list[str]:
    return [json.loads(await socket.receive_bytes())["data"]["event"] for _ in range(count)]


# Doors


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 401),
        ({"APCA-API-KEY-ID": "PKEMULATOR0000000000"}, 401),
        ({"APCA-API-KEY-ID": "PKEMULATOR0000000000", "APCA-API-SECRET-KEY": "wrong"}, 403),
        ({"APCA-API-KEY-ID": "AKLIVE00000000000000", "APCA-API-SECRET-KEY": "of-the-live-host"}, 403),
    ],
    ids=["nothing", "no secret", "wrong secret", "live key"],
)
async def test_who_is_not_known_is_refused(venue: Emulator, given: dict[str, str], status: int) -> None:
    async with ClientSession() as session, session.get(f"{venue.url}/v2/account", headers=given) as answer:
        assert answer.status == status
        assert (await answer.json())["code"] == 40110000


async def test_the_minute_is_counted_and_told(venue: Emulator) -> None:
    await venue.ask("limits", requests=3)
    async with ClientSession(venue.url, headers=headers(venue)) as session:
        left = []
        for _ in range(3):
            async with session.get("/v2/clock") as answer:
                left.append(answer.headers["X-RateLimit-Remaining"])
        assert left == ["2", "1", "0"]
        async with session.get("/v2/clock") as answer:
            assert (answer.status, (await answer.json())["code"]) == (429, 42910000)
            assert "Retry-After" not in answer.headers
            assert int(answer.headers["X-RateLimit-Reset"]) % 60 == 0
        async with session.get("/v2/stocks/AAPL/quotes/latest") as answer:
            assert answer.status == 200, "the data host counts for itself"
        await venue.advance(60)
        async with session.get("/v2/clock") as answer:
            assert answer.status == 200
    assert await venue.ask("used") == {"requests": 1, "limit": 3, "refused": 1}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v2/nothing", None, 404),
        ("PUT", "/v2/orders", None, 404),
        ("GET", "/v2/orders/not-a-uuid", None, 422),
        ("GET", "/v2/orders?status=some", None, 422),
        ("GET", "/v2/orders?limit=501", None, 422),
        ("GET", "/v2/orders?after=soon", None, 422),
        ("GET", "/v2/assets/FOO", None, 404),
        ("GET", "/v2/positions/FOO", None, 422),
        ("GET", "/v2/stocks/quotes/latest", None, 422),
        ("GET", "/v2/stocks/quotes/latest?symbols=BTC/USD", None, 422),
        ("GET", "/v1beta3/crypto/us/latest/bars?symbols=BTC/USD", None, 404),
        ("POST", "/v2/orders", b"{", 400),
        ("POST", "/v2/orders", b"", 422),
    ],
)
def test_what_makes_no_sense_is_refused(
    venue: Emulator, method: str, path: str, body: bytes | None, status: int
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=20)
    connection.request(method, path, body, headers(venue))
    answer = connection.getresponse()
    told = json.loads(answer.read())
    connection.close()
    assert answer.status == status
    assert set(told) >= {"code", "message"}


def test_configurations_change_what_the_account_may(venue: Emulator) -> None:
    asked = {"suspend_trade": True, "no_shorting": True, "max_margin_multiplier": "1"}
    _, told = ask(venue, "PATCH", "/v2/account/configurations", asked)
    assert {name: told[name] for name in asked} == asked
    _, account = ask(venue, "GET", "/v2/account")
    assert (account["trade_suspended_by_user"], account["multiplier"]) == (True, "1")
    assert ask(venue, "POST", "/v2/orders", order())[0] == 403


def test_the_log_has_what_came_and_no_secret(venue: Emulator) -> None:
    ask(venue, "POST", "/v2/orders", LIMIT)
    ask(venue, "GET", "/v2/orders", status="all")
    placed, listed = venue.do("log")
    assert (placed["kind"], placed["name"], placed["status"]) == ("place", "POST /v2/orders", 200)
    assert placed["parameters"]["client_order_id"] == "mine"
    assert listed["kind"] == "all_orders"
    assert venue.secret not in json.dumps(venue.do("log"))


# Faults


@pytest.mark.parametrize(
    ("fault", "there"), [("answer_lost_after_accept", True), ("answer_lost_before_accept", False)]
)
def test_an_answer_is_lost(venue: Emulator, fault: str, there: bool) -> None:
    venue.do("fault", kind=fault, on="place")
    with pytest.raises(ConnectionError):
        ask(venue, "POST", "/v2/orders", LIMIT)
    assert ask(venue, "GET", FIND, client_order_id="mine")[0] == (200 if there else 404)
    assert venue.do("injected") == {fault: 1}


@pytest.mark.parametrize("status", [429, 403, 418, 500, 503, 504])
@pytest.mark.parametrize("accept", [False, True])
def test_a_status_comes_instead_of_the_answer(venue: Emulator, status: int, accept: bool) -> None:
    venue.do("fault", kind="status", code=status, accept=accept, on="place")
    connection = http.client.HTTPConnection("127.0.0.1", venue.port, timeout=20)
    connection.request("POST", "/v2/orders", json.dumps(LIMIT), headers(venue))
    assert connection.getresponse().status == status
    connection.close()
    assert ask(venue, "GET", FIND, client_order_id="mine")[0] == (200 if accept else 404)


def test_an_answer_is_no_json_or_half_of_it(venue: Emulator) -> None:
    for fault in ("html", "partial_json"):
        venue.do("fault", kind=fault, on="account")
        with pytest.raises(json.JSONDecodeError):
            ask(venue, "GET", "/v2/account")
    venue.do("fault", kind="slow_loris", on="account", seconds=0.3)
    with pytest.raises(http.client.IncompleteRead):
        ask(venue, "GET", "/v2/account")
    assert ask(venue, "GET", "/v2/account")[0] == 200


def test_maintenance_a_revoked_key_and_a_clock_that_is_off(venue: Emulator) -> None:
    venue.do("fault", kind="maintenance")
    assert ask(venue, "GET", "/v2/account")[0] == 503
    venue.do("clear_faults")
    venue.do("fault", kind="key_revoked")
    assert ask(venue, "GET", "/v2/account")[0] == 403
    venue.do("clear_faults")
    _, before = ask(venue, "GET", "/v2/clock")
    venue.do("fault", kind="clock_off", ms=7_200_000)
    _, after = ask(venue, "GET", "/v2/clock")
    assert after["timestamp"][:13] != before["timestamp"][:13]


async def test_a_restart_keeps_orders_and_loses_connections(venue: Emulator) -> None:
    ask(venue, "POST", "/v2/orders", LIMIT)
    async with socket_to(venue, "/stream") as socket:
        await listening(venue, socket)
        await venue.fault("restart", seconds=0.05)
        assert (await socket.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
    async with asyncio.timeout(20):
        while True:
            try:
                status, _ = await call(lambda: ask(venue, "GET", FIND, client_order_id="mine"))
            except OSError:
                continue
            assert status == 200
            return


async def test_frames_are_lost_doubled_and_turned_around(venue: Emulator) -> None:
    async with socket_to(venue, "/stream") as socket:
        await listening(venue, socket)
        await venue.fault("lose_frame", on="new")
        ask(venue, "POST", "/v2/orders", LIMIT)
        assert await events(socket, 1) == ["pending_new"]
        await venue.fault("duplicate_frames", on="orders", count=2)
        ask(venue, "DELETE", "/v2/orders")
        assert await events(socket, 4) == ["pending_cancel", "pending_cancel", "canceled", "canceled"]
        await venue.fault("reorder_frames", on="new")
        ask(venue, "POST", "/v2/orders", order())
        assert await events(socket, 3) == ["pending_new", "fill", "new"]


async def test_a_stream_is_mute_and_then_cut(venue: Emulator) -> None:
    async with socket_to(venue, "/stream") as socket:
        await listening(venue, socket)
        await venue.fault("mute_stream", on="orders")
        ask(venue, "POST", "/v2/orders", LIMIT)
        await venue.clear_faults()
        ask(venue, "DELETE", "/v2/orders")
        assert await events(socket, 2) == ["pending_cancel", "canceled"], "and nothing of the order's coming"
        assert await venue.streams() == ["orders"]
        await venue.fault("cut_stream")
        assert (await socket.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)


# Streams


async def test_nothing_is_told_before_the_client_says_who_it_is(venue: Emulator) -> None:
    async with socket_to(venue, "/stream") as socket:
        ask(venue, "POST", "/v2/orders", LIMIT)
        await socket.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        told = json.loads(await socket.receive_bytes())
        assert told == {"stream": "authorization", "data": {"action": "listen", "status": "unauthorized"}}
        assert (await socket.receive()).type is WSMsgType.CLOSE


async def test_message_pack_where_the_handshake_asks_for_it(venue: Emulator) -> None:
    async with socket_to(venue, "/stream", headers={"Content-Type": "application/msgpack"}) as socket:
        who = {"key_id": venue.key, "secret_key": venue.secret}
        await socket.send_bytes(msgpack.packb({"action": "authenticate", "data": who}))
        assert msgpack.unpackb(await socket.receive_bytes())["data"]["status"] == "authorized"
        await socket.send_bytes(msgpack.packb({"action": "listen", "data": {"streams": ["trade_updates"]}}))
        await socket.receive_bytes()
        ask(venue, "POST", "/v2/orders", LIMIT)
        update = msgpack.unpackb(await socket.receive_bytes())
        assert update["data"]["order"]["client_order_id"] == "mine"


async def test_an_account_has_one_stream_of_a_kind(venue: Emulator) -> None:
    async with socket_to(venue, "/stream") as first:
        await listening(venue, first)
        with pytest.raises(WSServerHandshakeError) as refused:
            async with socket_to(venue, "/stream"):
                pass
        assert refused.value.status == 429
    who = {"action": "auth", "key": venue.key, "secret": venue.secret}
    async with socket_to(venue, "/v2/iex") as first, socket_to(venue, "/v2/iex") as second:
        for socket in (first, second):
            await socket.receive_json()
            await socket.send_json(who)
        assert (await first.receive_json())[0]["msg"] == "authenticated"
        assert (await second.receive_json())[0] == {
            "T": "error", "code": 406, "msg": "connection limit exceeded",
        }  # fmt: skip
    await venue.ask("limits", streams=2)
    async with socket_to(venue, "/stream"), socket_to(venue, "/stream"):
        assert await venue.streams() == ["orders", "orders"]


async def test_a_key_that_is_revoked_opens_no_stream(venue: Emulator) -> None:
    await venue.fault("key_revoked")
    async with socket_to(venue, "/stream") as socket:
        who = {"key_id": venue.key, "secret_key": venue.secret}
        await socket.send_json({"action": "authenticate", "data": who})
        assert json.loads(await socket.receive_bytes())["data"]["status"] == "unauthorized"
    await venue.fault("maintenance")
    with pytest.raises(ClientError):
        async with socket_to(venue, "/stream"):
            pass


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([{"action": "subscribe", "quotes": ["AAPL"]}], 401),
        (["AUTH", "AUTH"], 403),
        (["AUTH", {"action": "dance"}], 400),
        (["AUTH", {"action": "subscribe", "orderbooks": ["AAPL"]}], 410),
        (["AUTH", {"action": "subscribe", "quotes": "AAPL"}], 400),
        (["AUTH", {"action": "subscribe", "quotes": [f"S{number}" for number in range(31)]}], 405),
    ],
)
async def test_the_data_stream_says_what_is_wrong(venue: Emulator, frames: list[Any], code: int) -> None:
    who = {"action": "auth", "key": venue.key, "secret": venue.secret}
    async with socket_to(venue, "/v2/iex") as socket:
        (told,) = await socket.receive_json()
        for frame in frames:
            await socket.send_json(who if frame == "AUTH" else frame)
            (told,) = await socket.receive_json()
        assert (told["T"], told["code"]) == ("error", code)


async def test_what_is_unsubscribed_is_told_no_more(venue: Emulator) -> None:
    async with socket_to(venue, "/v2/sip") as socket:
        await socket.receive_json()
        await socket.send_json({"action": "auth", "key": venue.key, "secret": venue.secret})
        await socket.receive_json()
        await socket.send_json({"action": "subscribe", "trades": ["AAPL", "MSFT"]})
        await socket.receive_json()
        await socket.send_json({"action": "unsubscribe", "trades": ["AAPL"]})
        assert (await socket.receive_json())[0]["trades"] == ["MSFT"]
        await venue.trade("AAPL", "190", "1")
        await venue.trade("MSFT", "420", "1")
        assert (await socket.receive_json())[0]["S"] == "MSFT"


async def test_others_trade_on_the_account(venue: Emulator) -> None:
    async with socket_to(venue, "/stream") as socket:
        await listening(venue, socket)
        await venue.add_order("AAPL", "buy", "5", "150")
        await venue.add_fill("BTC/USD", "buy", "0.5", "50000")
        assert await events(socket, 3) == ["new", "new", "fill"]
    _, (resting,) = ask(venue, "GET", "/v2/orders")
    assert (resting["limit_price"], resting["source"]) == ("150", "access_key")
    await venue.cancel(resting["client_order_id"])
    assert ask(venue, "GET", "/v2/orders") == (200, [])


def test_the_live_host_and_its_hours_by_the_command_line() -> None:
    venue = Emulator.start("alpaca", "--live", "--hours", "nyse", key="AKLIVE", secret="secret")
    try:
        asyncio.run(_first_frame_is_text(venue))
        _, clock = ask(venue, "GET", "/v2/clock")
        assert clock["next_open"][11:19] == "09:30:00"
    finally:
        venue.close()


async def _first_frame_is_text(venue: Emulator) -> None:
    async with socket_to(venue, "/stream") as socket:
        who = {"key_id": venue.key, "secret_key": venue.secret}
        await socket.send_json({"action": "authenticate", "data": who})
        assert (await socket.receive()).type is WSMsgType.TEXT


async def test_stocks_keep_new_yorks_hours_where_they_are_asked_to(venue: Emulator) -> None:
    await venue.ask("hours", mode="nyse")
    _, clock = ask(venue, "GET", "/v2/clock")
    if clock["is_open"]:
        await venue.advance(86_400 / 2)
    _, placed = ask(venue, "POST", "/v2/orders", order(time_in_force="day"))
    assert placed["status"] == "accepted"
    async with socket_to(venue, "/stream") as socket:
        await listening(venue, socket)
        await venue.advance(86_400 * 5)
        assert await events(socket, 2) == ["new", "fill"]
