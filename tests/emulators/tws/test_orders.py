"""Orders, message by message."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulators.client import Emulator
from tests.emulators.tws.conftest import Connect
from tests.emulators.tws.raw import BTC, ES, EUR_USD, TWIN, Raw

DU1 = "DU1"


def buy(**terms: Any) -> dict[str, Any]:
    return {"account": DU1, "limit": "190.01", **terms}


async def test_the_sequence_of_a_fill_is_that_of_tws(raw: Raw) -> None:
    """openOrder and orderStatus, execDetails, both again, openOrder with the commission, then its report."""
    mark = len(raw.heard)
    order = raw.place(**buy(ref="first"))
    await raw.until(59)
    assert raw.since(mark) == [5, 3, 11, 5, 3, 5, 59]
    status = [message for message in raw.heard[mark:] if message[0] == "3"]
    assert [message[1:5] for message in status] == [
        [str(order), "Submitted", "0", "10"],
        [str(order), "Filled", "10", "0"],
    ]
    execution = next(message for message in raw.heard if message[0] == "11")
    assert execution[14] == "0000e0d5.00000001.01.01"
    assert execution[26] == "first"
    assert raw.heard[-1][2:5] == [execution[14], "1", "USD"]


async def test_an_order_fills_in_parts_and_is_cancelled(raw: Raw, venue: Emulator) -> None:
    await venue.show("AAPL", [("189.99", 100)], [("190.01", 4)])
    order = raw.place(**buy(ref="parts"))
    assert (await raw.until(3, lambda told: told[3] == "4"))[2] == "Submitted"
    raw.cancel(order)
    assert (await raw.status(order, "Cancelled"))[3:5] == ["4", "6"]
    await raw.error(202)
    raw.cancel(order)
    await raw.error(10148)
    raw.cancel(order + 7)
    await raw.error(10147)
    (told,) = await venue.orders()
    assert (told["client_order_id"], told["state"], told["cum_quantity"]) == ("parts", "CANCELED", "4")


async def test_a_change_keeps_the_order_and_a_refused_one_changes_nothing(raw: Raw, venue: Emulator) -> None:
    order = raw.place(**buy(limit=180))
    await raw.status(order, "Submitted")
    raw.place(order_id=order, **buy(limit=181, quantity=12))
    changed = await raw.until(5, lambda told: told[16] == "181.0")
    assert changed[14] == "12"
    raw.place(order_id=order, **buy(limit="181.005"))
    await raw.error(110)
    raw.place(order_id=order, **buy(action="SELL", limit=200))
    await raw.error(105)
    await venue.ask("reject", symbol="AAPL", code=201, text="Order rejected - reason:no")
    raw.place(order_id=order, **buy(limit=182))
    assert (await raw.error(201))[2] == str(order)
    (told,) = await venue.orders()
    assert (told["state"], told["native"]["limit"], told["quantity"]) == ("NEW", "181", "12")
    await venue.ask("reject", symbol="AAPL", code=0)
    raw.place(order_id=order, **buy(quantity=12))
    await raw.status(order, "Filled")
    raw.place(order_id=order, **buy(limit=182, quantity=12))
    await raw.error(104)


async def test_what_fills_by_a_change_counts_for_the_new_total(raw: Raw, venue: Emulator) -> None:
    await venue.show("AAPL", [("189.99", 100)], [("190.01", 4)])
    order = raw.place(**buy())
    await raw.until(3, lambda told: told[3] == "4")
    raw.place(order_id=order, **buy(quantity=4))
    assert "has filled" in (await raw.error(201))[4]
    raw.place(order_id=order, **buy(quantity=5))
    await raw.until(5, lambda told: told[14] == "5")
    await venue.show("AAPL", [("189.99", 100)], [("190.01", 4)])
    assert (await raw.status(order, "Filled"))[3] == "5"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"limit": "180.001"}, 110),
        ({"quantity": 0}, 434),
        ({"quantity": "1e299"}, 321),
        ({"limit": "1e299"}, 321),
        ({"limit": "-1"}, 321),
        ({"quantity": "0.5"}, 10243),
        ({"type": "REL"}, 387),
        ({"tif": "XXX"}, 321),
        ({"account": "DU9"}, 321),
        ({"account": ""}, 435),
        ({"tif": "GTD", "good_till": "yesterday"}, 391),
        ({"tif": "GTD", "good_till": "20200101-00:00:00"}, 201),
        ({"type": "STP"}, 321),
        ({"type": "TRAIL", "limit": ""}, 321),
        ({"parent": 999}, 135),
        ({"con_id": 1}, 200),
        ({"action": "SSHORT"}, 321),
    ],
)
async def test_a_bad_order_is_refused_and_leaves_no_trace(
    raw: Raw, venue: Emulator, terms: dict[str, Any], code: int
) -> None:
    order = raw.place(**{**buy(limit=180), **terms})
    assert (await raw.error(code))[2] == str(order)
    await raw.here()
    assert await venue.orders() == []
    log = [entry for entry in await venue.log() if entry["name"] == "placeOrder"]
    assert [entry["code"] for entry in log] == [code]


async def test_what_an_account_cannot_carry_is_an_error_and_an_inactive_order(
    raw: Raw, venue: Emulator
) -> None:
    order = raw.place(**buy(quantity=100_000))
    assert "Available Funds" in (await raw.error(201))[4]
    await raw.status(order, "Inactive")
    (told,) = await venue.orders()
    assert told["state"] == "REJECTED"


async def test_an_order_id_is_used_once(raw: Raw) -> None:
    order = raw.place(**buy(limit=180), order_id=50)
    await raw.status(order, "Submitted")
    raw.place(**buy(limit=180), order_id=49)
    await raw.error(103)
    raw.send(8, 1, 1)
    assert (await raw.until(9))[2] == "51"


async def test_a_what_if_places_nothing(raw: Raw, venue: Emulator) -> None:
    raw.place(**buy(quantity=100, what_if=True))
    told = await raw.until(5)
    assert "4750.25" in told
    assert await venue.orders() == []


class TestGroups:
    async def _bracket(self, raw: Raw, limit: str = "190.01") -> tuple[int, int, int]:
        entry = raw.place(**buy(limit=limit, transmit=False))
        profit = raw.place(account=DU1, action="SELL", limit=195, parent=entry, transmit=False, ref="profit")
        stop = raw.place(account=DU1, action="SELL", type="STP", limit="", aux=185, parent=entry, ref="stop")
        return entry, profit, stop

    async def test_nothing_of_a_bracket_works_before_its_last_order_is_transmitted(
        self, raw: Raw, venue: Emulator
    ) -> None:
        entry = raw.place(**buy(transmit=False))
        await raw.here()
        raw.send(16, 1)
        mark = len(raw.heard)
        await raw.until(53)
        assert raw.since(mark) == [53]
        raw.place(account=DU1, action="SELL", limit=195, parent=entry)
        await raw.status(entry, "Filled")

    async def test_one_exit_ends_the_other(self, raw: Raw, venue: Emulator) -> None:
        entry, profit, stop = await self._bracket(raw)
        await raw.status(entry, "Filled")
        await raw.status(profit, "Submitted")
        await venue.show("AAPL", [("195", 4)], [("195.01", 100)])
        assert (await raw.until(3, lambda told: told[1:4] == [str(profit), "Submitted", "4"]))[4] == "6"
        assert await raw.until(3, lambda told: told[1:5] == [str(stop), "PreSubmitted", "0", "6"])
        await venue.show("AAPL", [("195", 10)], [("195.01", 100)])
        await raw.status(stop, "Cancelled")
        assert (await venue.ask("positions"))["DU1"]["AAPL"]["quantity"] == "0"

    async def test_the_end_of_the_entry_is_the_end_of_the_exits(self, raw: Raw, venue: Emulator) -> None:
        entry, _, stop = await self._bracket(raw, limit="180")
        await raw.status(stop, "PreSubmitted")
        raw.cancel(entry)
        await raw.status(stop, "Cancelled")
        late = raw.place(account=DU1, action="SELL", limit=195, parent=entry)
        assert (await raw.error(201))[2] == str(late)
        assert {order["state"] for order in await venue.orders()} == {"CANCELED"}

    async def test_a_stop_waits_until_it_is_set_off(self, raw: Raw, venue: Emulator) -> None:
        entry, profit, stop = await self._bracket(raw)
        await raw.status(stop, "PreSubmitted")
        await venue.show("AAPL", [("185", 100)], [("185.02", 100)])
        await venue.trade("AAPL", 185, 1, "sell")
        await raw.status(stop, "Submitted")
        await raw.status(stop, "Filled")
        await raw.status(profit, "Cancelled")
        assert entry < profit < stop

    @pytest.mark.parametrize(("kind", "left"), [(1, None), (2, "6"), (3, "6")])
    async def test_an_oca_group_cancels_or_shrinks_the_others(
        self, raw: Raw, venue: Emulator, kind: int, left: str | None
    ) -> None:
        await venue.show("AAPL", [("189.99", 100)], [("190.01", 4)])
        other = raw.place(**buy(limit=180, oca="pair", oca_type=kind))
        await raw.status(other, "Submitted")
        raw.place(**buy(oca="pair", oca_type=kind))
        if left is None:
            await raw.status(other, "Cancelled")
        else:
            await raw.until(3, lambda told: told[1:5] == [str(other), "Submitted", "0", left])


class TestTypes:
    @pytest.mark.parametrize(
        ("terms", "trades"),
        [
            ({"type": "STP", "limit": "", "aux": 195}, ("195",)),
            ({"type": "STP LMT", "limit": 196, "aux": 195}, ("195",)),
            ({"type": "MIT", "limit": "", "aux": 185}, ("185",)),
            ({"type": "LIT", "limit": 186, "aux": 185}, ("185",)),
            ({"type": "TRAIL", "limit": "", "aux": 2}, ("190", "185", "187")),
            ({"type": "TRAIL", "limit": "", "trail_percent": 1}, ("190", "185", "187")),
        ],
    )
    async def test_it_waits_for_its_price_and_fills(
        self, raw: Raw, venue: Emulator, terms: dict[str, Any], trades: tuple[str, ...]
    ) -> None:
        await venue.trade("AAPL", 190, 1)
        order = raw.place(**{**buy(), **terms})
        await raw.status(order, "PreSubmitted")
        for price in trades:
            below, above = f"{float(price) - 0.01:.2f}", f"{float(price) + 0.01:.2f}"
            await venue.show("AAPL", [(below, 100)], [(above, 100)])
            await venue.trade("AAPL", price, 1)
        await raw.status(order, "Submitted")
        await raw.status(order, "Filled")

    async def test_a_market_order_gets_what_there_is_and_waits_for_the_rest(
        self, raw: Raw, venue: Emulator
    ) -> None:
        await venue.show("AAPL", [("189.99", 100)], [("190.01", 4)])
        order = raw.place(**buy(type="MKT", limit=""))
        await raw.until(3, lambda told: told[3] == "4")
        await venue.show("AAPL", [("189.99", 100)], [("190.05", 100)])
        assert (await raw.status(order, "Filled"))[3] == "10"
        assert [fill["price"] for fill in await venue.fills()] == ["190.01", "190.05"]

    @pytest.mark.parametrize(("tif", "filled"), [("IOC", "4"), ("FOK", "0")])
    async def test_what_may_not_rest_is_cancelled(
        self, raw: Raw, venue: Emulator, tif: str, filled: str
    ) -> None:
        await venue.show("AAPL", [("189.99", 100)], [("190.01", 4)])
        order = raw.place(**buy(tif=tif))
        assert (await raw.status(order, "Cancelled"))[3] == filled

    async def test_a_gtd_order_ends_at_its_time_and_a_day_order_with_the_day(
        self, raw: Raw, venue: Emulator
    ) -> None:
        until = raw.place(**buy(limit=180, tif="GTD", good_till="20991231 23:00:00 US/Eastern"))
        day = raw.place(**buy(limit=180))
        stays = raw.place(**buy(limit=180, tif="GTC"))
        await raw.status(stays, "Submitted")
        await venue.advance(86_400 * 365 * 80)
        await raw.status(until, "Cancelled")
        await venue.ask("session", turn="end")
        await raw.status(day, "Cancelled")
        assert [order["state"] for order in await venue.orders()] == ["CANCELED", "CANCELED", "NEW"]

    async def test_orders_wait_for_the_session_that_they_are_for(self, raw: Raw, venue: Emulator) -> None:
        opening = raw.place(**buy(tif="OPG"))
        await raw.status(opening, "PreSubmitted")
        closing = raw.place(**buy(type="MOC", limit=""))
        await raw.status(closing, "PreSubmitted")
        await venue.ask("session", turn="close")
        await raw.status(closing, "Filled")
        regular = raw.place(**buy())
        await raw.status(regular, "PreSubmitted")
        extended = raw.place(**buy(outside_rth=True))
        await raw.status(extended, "Filled")
        currency = raw.place(con_id=EUR_USD, account=DU1, type="MKT", limit="", quantity=1000)
        await raw.status(currency, "Filled")
        await venue.ask("session", turn="open")
        await raw.status(opening, "Filled")
        await raw.status(regular, "Filled")

    async def test_each_kind_of_contract_trades(self, raw: Raw, venue: Emulator) -> None:
        for con_id, quantity in ((EUR_USD, "1000"), (ES, "1"), (780001, "2"), (BTC, "0.12345678")):
            order = raw.place(con_id=con_id, account=DU1, type="MKT", limit="", quantity=quantity)
            assert (await raw.status(order, "Filled"))[3] == quantity
        held = (await venue.ask("positions"))["DU1"]
        assert {name: holding["quantity"] for name, holding in held.items()} == {
            "EUR/USD": "1000", "ESZ6": "1", "AAPL261218C00200000": "2", "BTC/USD": "0.12345678",
        }  # fmt: skip


class TestOthers:
    async def test_a_client_hears_of_its_own_orders_and_asks_for_all(
        self, raw: Raw, connect: Connect
    ) -> None:
        other = await connect(client_id=2)
        order = raw.place(**buy(limit=180))
        await raw.status(order, "Submitted")
        for request, kinds in ((5, [53]), (16, [5, 3, 53])):
            mark = len(other.heard)
            other.send(request, 1)
            await other.until(53)
            assert other.since(mark) == kinds
        other.cancel(order)
        await other.error(10147)
        other.send(58, 1)
        await raw.status(order, "Cancelled")

    async def test_the_master_client_hears_of_everybody_s(
        self, raw: Raw, connect: Connect, venue: Emulator
    ) -> None:
        await venue.ask("settings", master_client=9)
        master = await connect(client_id=9)
        raw.place(**buy(ref="mine"))
        await master.until(59)
        assert {5, 3, 11} <= set(master.since(0))

    async def test_an_order_of_tws_s_own_windows_has_no_id(
        self, raw: Raw, connect: Connect, venue: Emulator
    ) -> None:
        await venue.add_order("AAPL", "buy", 3, "190.01")
        raw.send(7, 3, 77, 0, "", "", "", "", "", "")
        execution = await raw.until(11)
        assert execution[1:3] == ["77", "0"]
        await raw.until(55)
        assert 59 not in raw.since(0), "commissions of others are the master client's"

    async def test_ended_orders_and_executions_are_told_of_a_day(self, raw: Raw, venue: Emulator) -> None:
        raw.place(**buy(ref="done"))
        await raw.until(59)
        refused = raw.place(**buy(quantity=100_000))
        await raw.status(refused, "Inactive")
        raw.send(99, False)
        done = await raw.until(101)
        assert (done[13], "Filled" in done, "Filled Size: 10" in done) == ("0", True, True)
        assert "Inactive" in await raw.until(101)
        await raw.until(102)
        await venue.advance(90_000)
        mark = len(raw.heard)
        raw.send(99, False)
        await raw.until(102)
        raw.send(7, 3, 78, 0, "", "", "", "", "", "")
        await raw.until(55)
        assert raw.since(mark) == [102, 55]


async def test_two_contracts_of_one_description_are_ambiguous(raw: Raw) -> None:
    raw.send(9, 8, 5, 0, "TWIN", "STK", "", 0, "", "", "SMART", "", "USD", "", "", 0, "", "", "")
    for con_id in (TWIN, TWIN + 1):
        assert (await raw.until(10))[12] == str(con_id)
    await raw.until(52)
    raw.send(9, 8, 6, 0, "TWIN", "STK", "", 0, "", "", "SMART", "ARCA", "USD", "", "", 0, "", "", "")
    assert (await raw.until(10))[12] == str(TWIN + 1)
    await raw.until(52)
