"""The WebSocket API: requests, session and user data stream (web-socket-api.md, user-data-stream.md)."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.emulators.binance.conftest import ED25519_KEY, KeyPair
from tests.emulators.binance.raw import Raw, now_ms
from tests.emulators.binance.sockets import api, listening, opened
from tests.emulators.client import Emulator

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1"}


def code(answer: dict[str, Any]) -> int:
    return int(answer["error"]["code"])


async def test_a_request_is_signed_by_its_sorted_parameters(venue: Emulator) -> None:
    async with api(venue) as socket:
        placed = await socket.signed("order.place", **ORDER, price="49000", newClientOrderId="one")
        assert (placed["status"], placed["result"]["status"]) == (200, "NEW")
        assert [limit["rateLimitType"] for limit in placed["rateLimits"]] == [
            "REQUEST_WEIGHT",
            "ORDERS",
            "ORDERS",
        ]
        # Numbers are signed as they are written.
        number = await socket.signed("order.place", **ORDER | {"quantity": 0.5}, price=49000.25)
        assert number["result"]["price"] == "49000.25000000"
        wrong = socket.hmac({"symbol": "BTCUSDT"})
        assert code(await socket.ask("openOrders.status", **wrong | {"signature": "0" * 64})) == -1022
        assert code(await socket.ask("openOrders.status", **wrong | {"symbol": "ETHUSDT"})) == -1022
        assert code(await socket.signed("account.status", timestamp=now_ms() - 6000)) == -1021
        assert code(await socket.signed("account.status", apiKey="other")) == -2015
        assert code(await socket.ask("account.status")) == -1102


async def test_what_cannot_be_understood(venue: Emulator) -> None:
    async with api(venue) as socket:
        await socket.send("{")
        frame = await socket.frame()
        assert (frame["id"], frame["status"], frame["error"]["code"]) == (None, 400, -1135)
        await socket.send({"id": 1.5, "method": "ping"})
        assert (await socket.frame())["error"]["code"] == -1135
        assert code(await socket.ask("no.such.thing")) == -1130
        assert (await socket.ask("ping"))["result"] == {}
        assert code(await socket.ask("depth", symbol="BTCUSDT", colour="red")) == -1104
        assert (await socket.ask("depth", symbol="BTCUSDT"))["result"]["bids"]


async def test_a_session_needs_no_more_signatures(venue: Emulator, key_pair: KeyPair) -> None:
    async with api(venue) as socket:
        assert code(await socket.signed("session.logon")) == -4056, "an HMAC key cannot log on"
        assert (await socket.ask("session.status"))["result"]["apiKey"] is None
        assert code(await socket.ask("userDataStream.subscribe")) == -2015
        logon = await socket.logon(ED25519_KEY, key_pair.private)
        assert logon["result"]["apiKey"] == ED25519_KEY
        placed = await socket.ask("order.place", **ORDER, price="49000", timestamp=now_ms())
        assert placed["result"]["status"] == "NEW"
        assert code(await socket.ask("order.place", **ORDER, price="49000")) == -1102, "timestamp stays"
        assert code(await socket.ask("account.status", timestamp=now_ms() - 6000)) == -1021
        assert (await socket.signed("account.status"))["status"] == 200, "another key's signature is as good"
        await socket.ask("session.logout")
        assert code(await socket.ask("account.status", timestamp=now_ms())) == -1102


async def test_a_key_that_may_only_read_does_not_trade(venue: Emulator, key_pair: KeyPair) -> None:
    async with api(venue) as socket:
        await socket.logon(ED25519_KEY, key_pair.private)
        venue.do("permissions", key=ED25519_KEY, trade=False)
        assert code(await socket.ask("order.place", **ORDER, price="49000", timestamp=now_ms())) == -2015
        assert (await socket.ask("account.status", timestamp=now_ms()))["status"] == 200


async def test_an_account_s_events_are_told_in_order(venue: Emulator) -> None:
    raw = Raw(venue)
    async with listening(venue) as socket:
        raw.place(price="50015", quantity="3", newClientOrderId="one")
        venue.do("trade", symbol="BTCUSDT", price="50015", quantity="0.5", taker="sell")
        raw.call(
            "DELETE", "/api/v3/order", symbol="BTCUSDT", origClientOrderId="one", newClientOrderId="away"
        )
        await socket.until(lambda events: any(each["event"].get("x") == "CANCELED" for each in events))
        await socket.until(lambda events: events[-1]["event"]["e"] == "outboundAccountPosition")
        reports = socket.told("executionReport")
        assert [(each["x"], each["X"], each["l"], each["z"]) for each in reports] == [
            ("NEW", "NEW", "0.00000000", "0.00000000"),
            ("TRADE", "PARTIALLY_FILLED", "1.00000000", "1.00000000"),
            ("TRADE", "PARTIALLY_FILLED", "0.50000000", "1.50000000"),
            ("CANCELED", "CANCELED", "0.00000000", "1.50000000"),
        ]
        new, taken, given, gone = reports
        assert (new["t"], taken["t"], given["t"], gone["t"]) == (-1, 1, 2, -1)
        assert (taken["m"], given["m"]) == (False, True)
        assert (taken["L"], taken["n"], taken["N"]) == ("50010.00000000", "0.00100000", "BTC")
        assert (gone["c"], gone["C"], new["c"], new["C"]) == ("away", "one", "one", "")
        assert len({each["I"] for each in reports}) == 4
        assert {frame["subscriptionId"] for frame in socket.events} == {0}
        last = {row["a"]: row for row in socket.told("outboundAccountPosition")[-1]["B"]}
        assert last["BTC"] == {"a": "BTC", "f": "11.49850000", "l": "0.00000000"}


async def test_ends_that_nobody_asked_for_are_told(venue: Emulator) -> None:
    raw = Raw(venue)
    async with listening(venue) as socket:
        raw.place(price="49000", timeInForce="IOC")
        raw.place(side="SELL", price="50010", quantity="0.1")
        raw.place(price="50010", quantity="0.1")
        venue.do("trade", symbol="BTCUSDT", price="50005", quantity="0.1")
        raw.place(side="SELL", type="STOP_LOSS", stopPrice="49000", quantity="0.1")
        venue.do("trade", symbol="BTCUSDT", price="49000", quantity="0.1")
        raw.place(price="40000", newClientOrderId="big")
        raw.call(
            "PUT", "/api/v3/order/amend/keepPriority", symbol="BTCUSDT", origClientOrderId="big",
            newClientOrderId="small", newQty="0.5",
        )  # fmt: skip
        await venue.deposit("USDT", "-7")
        await socket.until(lambda events: any(each["event"]["e"] == "balanceUpdate" for each in events))
        told = [(each["o"], each["x"], each["X"], each["w"]) for each in socket.told("executionReport")]
        assert told == [
            ("LIMIT", "NEW", "NEW", True),
            ("LIMIT", "EXPIRED", "EXPIRED", False),
            ("LIMIT", "NEW", "NEW", True),
            ("LIMIT", "NEW", "NEW", True),
            ("LIMIT", "TRADE_PREVENTION", "EXPIRED_IN_MATCH", False),
            ("LIMIT", "TRADE", "FILLED", False),
            ("STOP_LOSS", "NEW", "NEW", False),
            ("STOP_LOSS", "NEW", "NEW", True),
            ("STOP_LOSS", "TRADE", "FILLED", False),
            ("LIMIT", "NEW", "NEW", True),
            ("LIMIT", "REPLACED", "NEW", True),
        ]
        amended = socket.told("executionReport")[-1]
        assert (amended["c"], amended["C"], amended["q"]) == ("small", "big", "0.50000000")
        assert socket.told("balanceUpdate")[0]["d"] == "-7.00000000"


async def test_lists_are_told(venue: Emulator) -> None:
    raw = Raw(venue)
    venue.do("trade", symbol="BTCUSDT", price="50005", quantity="0.1")
    async with listening(venue) as socket:
        raw.call(
            "POST", "/api/v3/orderList/oco", symbol="BTCUSDT", side="SELL", quantity="1",
            aboveType="LIMIT_MAKER", abovePrice="51000", belowType="STOP_LOSS", belowStopPrice="49000",
        )  # fmt: skip
        venue.do("trade", symbol="BTCUSDT", price="49000", quantity="0.1")
        await socket.until(
            lambda events: len([1 for each in events if each["event"]["e"] == "listStatus"]) == 2
        )
        begun, done = socket.told("listStatus")
        assert (begun["l"], begun["L"], done["l"], done["L"]) == (
            "EXEC_STARTED",
            "EXECUTING",
            "ALL_DONE",
            "ALL_DONE",
        )
        assert len(done["O"]) == 2


async def test_subscriptions_are_counted_and_end(venue: Emulator, key_pair: KeyPair) -> None:
    async with api(venue) as socket:
        first = await socket.signed("userDataStream.subscribe.signature")
        assert first["result"] == {"subscriptionId": 0}
        assert code(await socket.signed("userDataStream.subscribe.signature")) == -2035
        await socket.logon(ED25519_KEY, key_pair.private)
        assert (await socket.ask("userDataStream.subscribe"))["result"] == {"subscriptionId": 1}
        listed = await socket.ask("session.subscriptions")
        assert listed["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
        Raw(venue).place(price="49000")
        await socket.until(lambda events: len(events) >= 4)
        assert [frame["subscriptionId"] for frame in socket.events] == [0, 1, 0, 1]
        assert (await socket.ask("userDataStream.unsubscribe", subscriptionId=0))["status"] == 200
        assert code(await socket.ask("userDataStream.unsubscribe", subscriptionId=0)) == -2036
        assert socket.told("eventStreamTerminated")


async def test_a_revoked_key_hears_no_more(venue: Emulator) -> None:
    async with listening(venue) as socket:
        await venue.fault("key_revoked")
        await socket.until(bool)
        assert socket.told("eventStreamTerminated")
        assert code(await socket.signed("account.status")) == -2015
        assert (await socket.ask("ping"))["status"] == 200


async def test_whoever_does_not_answer_pings_is_cut_off(venue: Emulator) -> None:
    venue.do("pings", every_s=0.1, deadline_s=1.5)
    async with (
        opened(venue, "/ws-api/v3", answers_pings=False) as silent,
        opened(venue, "/ws-api/v3") as lively,
    ):
        # Pings are answered while somebody reads.
        reading = asyncio.ensure_future(lively.frame())
        kinds = []
        while (message := await silent.socket.receive()).type is aiohttp.WSMsgType.PING:
            kinds.append(message.type)
        assert len(kinds) >= 3
        assert silent.socket.close_code == 1008
        assert await venue.streams() == ["orders"]
        assert not reading.done()
        reading.cancel()


async def test_connections_end_after_a_day(venue: Emulator) -> None:
    async with api(venue) as socket, opened(venue, "/ws/btcusdt@trade") as stream:
        await venue.advance(86_399)
        assert (await socket.ask("ping"))["status"] == 200
        await venue.advance(2)
        assert await socket.frame() is None
        assert await stream.frame() is None


async def test_the_server_says_that_it_goes_away(venue: Emulator) -> None:
    async with listening(venue) as socket, opened(venue, "/ws/btcusdt@trade") as stream:
        await venue.ask("shutdown")
        assert (await socket.frame())["event"]["e"] == "serverShutdown"
        assert (await stream.frame())["e"] == "serverShutdown"
        assert await socket.frame() is None


async def test_connections_are_limited_and_cost_weight(venue: Emulator) -> None:
    before = venue.do("used")["weight"]
    venue.do("limits", connections=1)
    async with api(venue):
        assert venue.do("used")["weight"] == before + 2
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with api(venue):
                pass
        assert refused.value.status == 429


async def test_limits_and_bans_hold_here_as_well(venue: Emulator) -> None:
    async with api(venue) as socket:
        venue.do("limits", weight=4, tolerance=1)
        await socket.ask("time")
        await socket.ask("time")
        refused = await socket.ask("time")
        assert (refused["status"], code(refused)) == (429, -1003)
        assert refused["error"]["data"]["retryAfter"] > refused["error"]["data"]["serverTime"]
        assert (await socket.ask("time"))["status"] == 418
    assert Raw(venue).ask("GET", "/api/v3/ping").status == 418
