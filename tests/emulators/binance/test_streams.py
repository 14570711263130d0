"""Market streams (web-socket-streams.md)."""

from __future__ import annotations

from itertools import pairwise

import aiohttp
import pytest

from tests.emulators.binance.raw import Raw
from tests.emulators.binance.sockets import opened
from tests.emulators.client import Emulator


async def test_a_book_can_be_followed_from_a_snapshot(venue: Emulator) -> None:
    async with opened(venue, "/ws/btcusdt@depth@100ms") as socket:
        snapshot = Raw(venue).ask("GET", "/api/v3/depth", symbol="BTCUSDT").body
        sides = [dict(snapshot[side]) for side in ("bids", "asks")]
        last = snapshot["lastUpdateId"]
        for number in range(1, 5):
            await venue.show("BTCUSDT", [("50000", number), (f"4999{number}", "1")], [("50010", "1")])
            Raw(venue).place(type="MARKET", quantity="0.1")
            frame = await socket.frame()
            assert (frame["e"], frame["s"], frame["U"]) == ("depthUpdate", "BTCUSDT", last + 1)
            assert frame["u"] >= frame["U"]
            last = frame["u"]
            for side, changes in zip(sides, (frame["b"], frame["a"]), strict=True):
                for price, size in changes:
                    side[price] = size
                    if not float(size):
                        del side[price]
    after = Raw(venue).ask("GET", "/api/v3/depth", symbol="BTCUSDT").body
    assert after["lastUpdateId"] >= last
    assert sides == [dict(after[side]) for side in ("bids", "asks")]


async def test_changes_come_together_and_less_often_where_that_is_asked_for(venue: Emulator) -> None:
    async with opened(
        venue, "/stream?streams=btcusdt@depth/btcusdt@depth@100ms/btcusdt@depth5@100ms"
    ) as socket:
        for number in range(1, 6):
            await venue.show("BTCUSDT", [("50000", number)], [("50010", "1")])
        frames: dict[str, list[dict[str, int]]] = {}
        while "btcusdt@depth" not in frames:
            frame = await socket.frame()
            frames.setdefault(frame["stream"], []).append(frame["data"])
    (slow,), fast = frames["btcusdt@depth"], frames["btcusdt@depth@100ms"]
    assert (fast[0]["U"], fast[-1]["u"]) == (slow["U"], slow["u"])
    assert all(later["U"] == before["u"] + 1 for before, later in pairwise(fast))
    assert frames["btcusdt@depth5@100ms"][-1]["lastUpdateId"] == slow["u"]


async def test_the_best_prices_are_told_when_they_change(venue: Emulator) -> None:
    async with opened(venue, "/ws/btcusdt@bookTicker") as socket:
        await venue.show("BTCUSDT", [("50000", "1")], [("50010", "1"), ("50030", "9")])
        await venue.show("BTCUSDT", [("50001", "1")], [("50010", "1")])
        first = await socket.frame()
        assert {name: first[name] for name in "sbBaA"} == {
            "s": "BTCUSDT",
            "b": "50001.00000000",
            "B": "1.00000000",
            "a": "50010.00000000",
            "A": "1.00000000",
        }, "the change behind the best prices is none of it"
        Raw(venue).place(type="MARKET", quantity="0.25")
        assert (await socket.frame())["A"] == "0.75000000"


async def test_everybody_s_trades_are_told(venue: Emulator) -> None:
    async with opened(venue, "/stream?streams=btcusdt@trade/btcusdt@aggTrade/btcusdt@kline_1d") as socket:
        await venue.trade("BTCUSDT", "50005", "0.5", "sell")
        frames = {frame["stream"]: frame["data"] for frame in [await socket.frame() for _ in range(3)]}
        assert frames["btcusdt@trade"]["m"] is True
        assert frames["btcusdt@aggTrade"]["p"] == "50005.00000000"
        assert frames["btcusdt@kline_1d"]["k"]["c"] == "50005.00000000"
        Raw(venue).place(type="MARKET", quantity="0.1")
        own = (await socket.frame())["data"]
        assert (own["t"], own["p"], own["q"], own["m"]) == (2, "50010.00000000", "0.10000000", False)


async def test_streams_come_and_go_on_a_connection(venue: Emulator) -> None:
    async with opened(venue, "/ws") as socket:
        assert await socket.ask_stream("SUBSCRIBE", ["btcusdt@trade", "ethusdt@trade"]) == {
            "result": None,
            "id": 1,
        }
        assert (await socket.ask_stream("LIST_SUBSCRIPTIONS"))["result"] == ["btcusdt@trade", "ethusdt@trade"]
        await socket.ask_stream("UNSUBSCRIBE", ["btcusdt@trade"])
        await venue.trade("BTCUSDT", "50005", "1")
        await venue.trade("ETHUSDT", "2000", "1")
        assert (await socket.frame())["s"] == "ETHUSDT"
        assert (await socket.ask_stream("SUBSCRIBE", ["BTCUSDT@trade"]))["error"]["code"] == 2
        assert (await socket.ask_stream("NONSENSE"))["error"]["code"] == 2


async def test_frames_may_come_combined(venue: Emulator) -> None:
    async with opened(venue, "/ws/btcusdt@trade") as socket:
        assert (await socket.ask_stream("GET_PROPERTY", ["combined"]))["result"] is False
        await socket.ask_stream("SET_PROPERTY", ["combined", True])
        await venue.trade("BTCUSDT", "50005", "1")
        assert (await socket.frame())["stream"] == "btcusdt@trade"


async def test_whoever_says_too_much_is_cut_off(venue: Emulator) -> None:
    async with opened(venue, "/ws") as socket:
        for number in range(6):
            await socket.send({"method": "LIST_SUBSCRIPTIONS", "id": number})
        answers = []
        while (frame := await socket.frame()) is not None:
            answers.append(frame)
        assert len(answers) == 5
        assert socket.socket.close_code == 1008


async def test_there_are_only_the_streams_that_there_are(venue: Emulator) -> None:
    for path in ("/ws/btcusdt@nothing", "/stream?streams=btcusdt@kline_7m", "/elsewhere"):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with opened(venue, path):
                pass
        assert refused.value.status == 404
