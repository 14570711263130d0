"""What goes wrong on purpose, as a client sees it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.emulators.client import Emulator
from tests.emulators.tws.conftest import Connect
from tests.emulators.tws.faults import ALL
from tests.emulators.tws.raw import AAPL, Raw

DU1 = "DU1"
QUIET_S = 0.05
"""In which nothing comes."""


def buy(**terms: Any) -> dict[str, Any]:
    return {"account": DU1, "limit": "190.01", **terms}


async def silence(raw: Raw) -> list[int]:
    """What comes in a short while."""
    mark = len(raw.heard)
    await asyncio.sleep(QUIET_S)
    return raw.since(mark)


class TestConnecting:
    async def test_a_silent_accept_says_nothing(self, venue: Emulator) -> None:
        await venue.fault("silent_accept")
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
        writer.write(b"API\0\0\0\0\x09v157..178")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(QUIET_S):
                await reader.read(1)
        writer.close()
        assert await venue.injected() == {"silent_accept": 1}

    @pytest.mark.parametrize("kind", ["accept_then_close", "maintenance"])
    async def test_a_tws_without_its_api_closes(self, venue: Emulator, kind: str) -> None:
        await venue.fault(kind)
        reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
        assert await reader.read() == b""
        writer.close()

    async def test_maintenance_cuts_those_who_are_there(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("maintenance")
        await raw.over()

    async def test_a_client_id_belongs_to_one(self, venue: Emulator, raw: Raw, connect: Connect) -> None:
        second = await Raw.open(venue)
        second.send(71, 2, 1, "")
        assert (await second.error(326))[2] == "-1"
        await second.over()
        await raw.here()
        await raw.close()

    async def test_it_can_be_taken_for_a_while(self, venue: Emulator, connect: Connect) -> None:
        await venue.fault("client_id_taken", on="1", count=1)
        first = await Raw.open(venue)
        first.send(71, 2, 1, "")
        await first.error(326)
        await first.over()
        await (await connect(client_id=1)).here()

    async def test_what_is_no_client_is_let_go(self, venue: Emulator) -> None:
        for greeting in (b"GET / HTTP/1.1\r\n\r\n", b"API\0\xff\xff\xff\xff", b"API\0\0\0\0\x03abc"):
            reader, writer = await asyncio.open_connection("127.0.0.1", venue.port)
            writer.write(greeting)
            assert await reader.read() == b""
            writer.close()


class TestConnections:
    async def test_a_restart_rolls_ids_back_and_knows_the_orders(
        self, venue: Emulator, raw: Raw, connect: Connect
    ) -> None:
        order = raw.place(**buy(limit=180, ref="before"))
        await raw.status(order, "Submitted")
        await venue.restart(0.05, roll_back=True, stuck=1)
        await raw.over()
        stuck = await Raw.open(venue)
        stuck.send(71, 2, 1, "")
        await stuck.error(326)
        again = await connect()
        assert again.next_id == 1
        again.send(16, 1)
        assert (await again.until(5))[23] == "before"

    async def test_a_half_open_connection_is_mute_and_deaf(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("half_open")
        raw.send(49, 1)
        raw.place(**buy())
        assert await silence(raw) == []
        assert not raw.ended
        assert await venue.orders() == []

    async def test_a_mute_one_does_what_it_is_told(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("mute")
        raw.place(**buy())
        assert await silence(raw) == []
        await venue.clear_faults()
        await raw.here()
        assert len(await venue.fills()) == 1

    async def test_a_line_to_ib_that_is_lost_hides_what_happens(self, venue: Emulator, raw: Raw) -> None:
        """The fill of an order while it is lost is told by nobody, an order waits; both are found by asking."""
        order = raw.place(**buy(limit=180, ref="rests"))
        await raw.status(order, "Submitted")
        raw.send(1, 11, 900, AAPL, "", "", "", 0, "", "", "SMART", "", "", "", "", 0, "", 0, 0, "")
        await raw.until(1)
        await venue.fault("connectivity", state="lost")
        await raw.error(1100)
        waiting = raw.place(**buy(quantity=1, limit=180, ref="waits"))
        await raw.here()
        mark = len(raw.heard)
        await venue.show("AAPL", [("179", 100)], [("180", 100)])
        await raw.here()
        assert not {3, 5, 11} & set(raw.since(mark))
        assert [each["client_order_id"] for each in await venue.orders()] == ["rests"]
        await venue.fault("connectivity", state="restored_data_lost")
        await raw.error(1101)
        await raw.status(waiting, "Filled")
        assert (await venue.ask("used"))["lines"] == 0
        raw.send(7, 3, 77, 0, "", "", "", "", "", "")
        assert (await raw.until(11))[26] == "rests"

    async def test_a_night_passes(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("nightly_reset", seconds=0.02)
        await raw.error(1100)
        await raw.error(1102)

    async def test_farms_flap_and_messages_storm(self, venue: Emulator, raw: Raw) -> None:
        order = raw.place(**buy(limit=180))
        await raw.status(order, "Submitted")
        await venue.fault("farm_flap", times=2)
        await raw.error(2103)
        await raw.error(2105)
        await venue.fault("error_storm", code=10349, times=3, orders=True)
        for _ in range(3):
            assert (await raw.error(10349))[2] == str(order)
        assert (await venue.orders())[0]["state"] == "NEW"

    async def test_who_is_too_fast_is_told_and_sent_away(self, venue: Emulator, raw: Raw) -> None:
        await venue.ask("limits", rate=20, tolerance=3)
        for _ in range(30):
            raw.send(49, 1)
        for _ in range(3):
            await raw.error(100)
        await raw.over()
        used = await venue.ask("used")
        assert used["violations"] >= 3
        assert used["most"] >= 21


class TestOrders:
    @pytest.mark.parametrize("kind", ["answer_lost_after_accept", "answer_lost_before_accept"])
    @pytest.mark.parametrize("how", ["cut", "hang"])
    async def test_an_answer_is_lost(self, venue: Emulator, raw: Raw, kind: str, how: str) -> None:
        await venue.fault(kind, on="place", how=how)
        raw.place(**buy(limit=180))
        if how == "cut":
            await raw.over()
        else:
            mark = len(raw.heard)
            await raw.here()
            assert raw.since(mark) == [49]
        assert len(await venue.orders()) == (kind == "answer_lost_after_accept")
        assert (await venue.log())[-1 if how == "cut" else -2]["fault"] == kind

    async def test_an_order_arrives_late(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("arrives_late", on="place", seconds=0.1, how="hang")
        order = raw.place(**buy())
        await raw.here()
        assert await venue.orders() == []
        await raw.status(order, "Filled")

    @pytest.mark.parametrize("code", [10349, 161, 10148, 10311, 105, 399])
    async def test_a_message_about_an_order_changes_nothing_of_it(
        self, venue: Emulator, raw: Raw, code: int
    ) -> None:
        order = raw.place(**buy(limit=180, ref="lives"))
        await raw.status(order, "Submitted")
        await venue.ask("message", code=code, client_order_id="lives")
        assert (await raw.error(code))[2] == str(order)
        await venue.show("AAPL", [("179", 100)], [("180", 100)])
        await raw.status(order, "Filled")

    @pytest.mark.parametrize("accept", [True, False])
    async def test_an_error_answers_an_order_that_was_taken_or_not(
        self, venue: Emulator, raw: Raw, accept: bool
    ) -> None:
        await venue.fault("error", on="place", code=10349, text="TIF was set to DAY", accept=accept)
        order = raw.place(**buy(limit=180))
        assert (await raw.error(10349))[2:5] == [str(order), "10349", "TIF was set to DAY"]
        assert len(await venue.orders()) == accept

    async def test_a_query_fails_or_is_not_answered(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("error", on="positions", code=321)
        raw.send(61, 1)
        await raw.error(321)
        await venue.fault("answer_lost_before_accept", on="reqAllOpenOrders", how="hang")
        raw.send(16, 1)
        mark = len(raw.heard)
        await raw.here()
        assert raw.since(mark) == [49]

    async def test_frames_are_lost_doubled_and_out_of_order(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("lose_frame", on="orderStatus", count=2)
        await venue.fault("duplicate_frames", on="execDetails")
        await venue.fault("reorder_frames", on="commissionReport")
        mark = len(raw.heard)
        raw.place(**buy())
        await raw.here()
        assert raw.since(mark) == [5, 11, 11, 5, 5, 49]
        raw.place(**buy(limit=180))
        await raw.here()
        assert raw.since(mark)[6:] == [5, 59, 3, 49]

    async def test_a_mute_stream_answers_questions(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("mute_stream", on="orders")
        mark = len(raw.heard)
        raw.place(**buy())
        raw.send(7, 3, 77, 0, "", "", "", "", "", "")
        await raw.until(55)
        assert raw.since(mark) == [11, 59, 55]

    async def test_a_tws_that_only_reads_refuses(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("read_only")
        order = raw.place(**buy())
        assert (await raw.error(321))[2] == str(order)
        raw.send(5, 1)
        assert "Read-Only" in (await raw.error(321))[4]
        raw.send(61, 1)
        await raw.until(62)

    async def test_messages_can_be_in_german(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("localised")
        raw.place(**buy(quantity=100_000))
        assert "Auftrag abgelehnt" in (await raw.error(201))[4]

    async def test_answers_can_be_slow(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("delay", on="place", seconds=0.2, count=1)
        mark = len(raw.heard)
        raw.place(**buy())
        assert await silence(raw) == []
        await raw.until(59)
        assert raw.since(mark) == [5, 3, 11, 5, 3, 5, 59]

    async def test_what_is_young_is_not_found(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("query_lag", seconds=3600)
        order = raw.place(**buy(limit=180))
        await raw.status(order, "Submitted")
        mark = len(raw.heard)
        raw.send(16, 1)
        await raw.until(53)
        assert raw.since(mark) == [53]


class TestExecutions:
    async def test_a_commission_is_late_or_never_comes(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("late_commission", seconds=0.1, count=1)
        await venue.fault("late_commission", count=1)
        mark = len(raw.heard)
        for _ in range(2):
            order = raw.place(**buy())
            await raw.status(order, "Filled")
        await raw.here()
        assert 59 not in raw.since(mark)
        await raw.until(59)
        assert await silence(raw) == []

    async def test_a_fill_comes_in_parts(self, venue: Emulator, raw: Raw) -> None:
        await venue.ask("settings", parts=3)
        order = raw.place(**buy())
        await raw.status(order, "Filled")
        assert [fill["quantity"] for fill in await venue.fills()] == ["4", "3", "3"]

    async def test_executions_are_told_again(self, venue: Emulator, raw: Raw) -> None:
        order = raw.place(**buy())
        first = await raw.until(11)
        await raw.status(order, "Filled")
        await venue.fault("replay_executions")
        assert await raw.until(11) == first

    async def test_an_execution_is_corrected_and_found_as_corrected(self, venue: Emulator, raw: Raw) -> None:
        raw.place(**buy())
        first = (await raw.until(11))[14]
        await raw.until(59)
        corrected = await venue.ask("correct", execution_id=first, price="190.05", quantity=8)
        assert corrected == first.removesuffix("01") + "02"
        told = await raw.until(11)
        assert (told[14], told[19], told[20]) == (corrected, "8", "190.05")
        assert (await venue.ask("positions"))["DU1"]["AAPL"]["quantity"] == "8"
        raw.send(7, 3, 77, 0, "", "", "", "", "", "")
        mark = len(raw.heard)
        await raw.until(55)
        found = [message[14] for message in raw.heard[mark:] if message[0] == "11"]
        assert found == [first, corrected]

    @pytest.mark.parametrize(
        ("form", "length", "end"), [("zone", 28, "US/Eastern"), ("utc", 17, ""), ("naive", 18, "")]
    )
    async def test_an_execution_says_its_time_as_tws_is_set(
        self, venue: Emulator, raw: Raw, form: str, length: int, end: str
    ) -> None:
        await venue.ask("settings", time_form=form)
        raw.place(**buy())
        time = (await raw.until(11))[15]
        assert len(time) == length
        assert time.endswith(end)
        await venue.advance(3600)
        raw.send(7, 3, 77, 0, "", "19990101-00:00:00", "", "", "", "")
        assert (await raw.until(11))[15] == time, "what has happened has its time for ever"
        raw.send(7, 3, 78, 0, "", "20991231-00:00:00", "", "", "", "")
        mark = len(raw.heard)
        await raw.until(55, lambda told: told[2] == "78")
        assert 11 not in raw.since(mark)
        raw.send(7, 3, 79, 0, "", "the other day", "", "", "", "")
        assert (await raw.error(321))[2] == "79"


class TestMarketData:
    def _subscribe(self, raw: Raw, number: int = 900) -> None:
        raw.send(1, 11, number, AAPL, "", "", "", 0, "", "", "SMART", "", "", "", "", 0, "", 0, 0, "")

    async def test_it_tells_what_changes(self, venue: Emulator, raw: Raw) -> None:
        self._subscribe(raw)
        assert (await raw.until(58))[3] == "1"
        assert (await raw.until(1))[3:6] == ["1", "189.99", "10000"]
        assert (await raw.until(1))[3:6] == ["2", "190.01", "10000"]
        await venue.show("AAPL", [("189.99", 10000)], [("190.02", 5)])
        assert (await raw.until(1))[3:6] == ["2", "190.02", "5"]
        await venue.show("AAPL", [], [("190.02", 5)])
        assert (await raw.until(1))[3:6] == ["1", "-1", "0"]
        await venue.trade("AAPL", "190.02", 2)
        assert (await raw.until(1, lambda told: told[3] == "4"))[4:6] == ["190.02", "2"]

    async def test_without_a_subscription_it_is_refused_or_delayed(self, venue: Emulator, raw: Raw) -> None:
        await venue.fault("no_market_data")
        self._subscribe(raw)
        assert (await raw.error(354))[2] == "900"
        raw.send(59, 1, 3)
        self._subscribe(raw)
        await raw.error(10167)
        assert (await raw.until(58))[3] == "3"
        assert (await raw.until(1))[3] == "66"
        await venue.clear_faults()
        await venue.fault("no_market_data", on="AAPL", code=10197)
        self._subscribe(raw, 901)
        assert (await raw.error(10197))[2] == "901"

    async def test_there_are_so_many_lines(self, venue: Emulator, raw: Raw) -> None:
        await venue.ask("limits", lines=1)
        self._subscribe(raw)
        self._subscribe(raw, 901)
        assert (await raw.error(101))[2] == "901"
        raw.send(2, 2, 900)
        self._subscribe(raw, 902)
        await raw.until(58)
        raw.send(2, 2, 999)
        await raw.error(300)


async def test_every_action_and_every_fault_is_documented(project_root: Any) -> None:
    page = (project_root / "docs" / "emulator-tws.md").read_text()
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `"))
    actions = {"message", "correct", "reject", "limits", "used", "settings", "session", "tick", "positions"}
    assert {f"`{name}`" for name in ALL | actions} <= set(rows.replace(",", " ").split())


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        ("fault", {"kind": "status"}),
        ("fault", {"kind": "connectivity", "state": "broken"}),
        ("session", {"turn": "over"}),
        ("settings", {"time_form": "gmt"}),
        ("message", {"code": 399, "client_order_id": "nobody's"}),
        ("correct", {"execution_id": "none.01"}),
        ("order", {"symbol": "NOSUCH", "side": "buy", "quantity": "1", "price": "1"}),
        ("cancel", {"client_order_id": "nobody's"}),
        ("dance", {}),
    ],
)
def test_what_cannot_be_done_says_why(venue: Emulator, action: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+Error: .+"):
        venue.do(action, **arguments)


def test_a_version_that_there_is_not_is_refused() -> None:
    with pytest.raises(RuntimeError, match="no server version 163; there are 157 to 178"):
        Emulator.start("tws", "--server-version", "163")


async def test_the_log_has_every_request_in_order(venue: Emulator, raw: Raw) -> None:
    raw.place(**buy(ref="logged"))
    raw.send(12345, "what", "is this")
    await raw.here()
    log = await venue.log()
    assert [entry["name"] for entry in log] == ["startApi", "placeOrder", "12345", "reqCurrentTime"]
    assert log[1]["parameters"]["order_ref"] == "logged"
    assert json.loads(json.dumps(log)) == log
