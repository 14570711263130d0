"""Trading at the emulator, beyond what every broker does alike."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import SecretStr

from brokergate.adapters.binance.broker import BinanceBroker
from brokergate.domain import lifecycle
from brokergate.domain.accounts import BrokerBalance, LedgerEntry, LedgerEntryKind
from brokergate.domain.errors import ErrorReason, GatewayError, RateLimitError, TemporaryConnectionError
from brokergate.domain.events import OrderEventType
from brokergate.domain.market import BookView
from brokergate.domain.orders import (
    Order,
    OrderSpec,
    OrderState,
    OrderType,
    PendingAction,
    PendingActionKind,
    Side,
)
from brokergate.ports.broker import (
    Accepted,
    Failed,
    FillReport,
    Found,
    GroupKind,
    OrderGroup,
    OrderReport,
    Outcome,
    Rejected,
    ReplaceCommand,
    Unknown,
    VenueOrder,
)
from tests.conformance.binance import EMPTY, account, context, until
from tests.unit.adapters.binance.house import SYMBOL, House, known, open_house, order, quantities
from tests.unit.adapters.binance.test_signing import pem

D = Decimal
R = ErrorReason
E = OrderEventType


def events(house: House, of: Order) -> list[str]:
    """What was told of an order, beside fills."""
    reports = house.of(OrderReport)
    return [said.event.name for said in reports if said.client_order_id == of.client_order_id]


async def change(house: House, was: Order, quantity: str | None = None, limit: str | None = None) -> Outcome:
    spec = was.spec
    total = was.quantity if quantity is None else D(quantity)
    price = spec.limit_price if limit is None else D(limit)
    wanted = replace(spec, quantity=total, limit_price=price)
    return await house.broker.replace_order(ReplaceCommand(was, wanted, total))


# Replaces


async def test_less_of_the_same_is_amended_and_keeps_its_place() -> None:
    async with open_house() as house:
        first, _ = await house.place(quantity="4")
        second, _ = await house.place(quantity="4")
        outcome = await change(house, first, quantity="2")
        assert isinstance(outcome, Accepted)
        assert outcome.broker_order_id == first.broker_order_id
        assert [len(await house.requests(kind)) for kind in ("amend", "replace", "cancel")] == [1, 0, 0]
        await house.venue.trade(SYMBOL, "9400", "3", "sell")
        await house.hear()
        filled = {fill.broker_order_id: fill.quantity for fill in house.of(FillReport)}
        assert filled == {first.broker_order_id: D(2), second.broker_order_id: D(1)}


async def test_less_than_was_filled_unheard_is_refused_and_ends_the_order() -> None:
    async with open_house() as house:
        placed, _ = await house.place(quantity="6")
        await house.venue.fault("lose_frame", on="orders", count=100)
        await house.venue.trade(SYMBOL, "9400", "4", "sell")
        outcome = await change(house, placed, quantity="2")
        assert isinstance(outcome, Rejected)
        assert outcome.reason is R.REPLACE_BELOW_FILLED
        assert "Binance ended the order" in outcome.message
        found = await house.broker.find_order(placed)
        assert isinstance(found, Found)
        assert (found.order.state, found.order.cum_quantity) == (OrderState.EXPIRED, D(4))


async def test_an_untouched_order_is_replaced_in_one_request() -> None:
    async with open_house() as house:
        placed, _ = await house.place(quantity="2")
        outcome = await change(house, placed, limit="9600")
        assert isinstance(outcome, Accepted)
        assert outcome.broker_order_id != placed.broker_order_id
        assert [len(await house.requests(kind)) for kind in ("amend", "replace", "cancel")] == [0, 1, 0]
        await house.hear()
        assert "CANCELED" not in events(house, placed)
        assert "REPLACED" in events(house, placed)


async def test_an_order_that_filled_in_part_is_cancelled_first_and_its_rest_placed() -> None:
    async with open_house() as house:
        placed, _ = await house.place(quantity="4")
        await house.venue.trade(SYMBOL, "9400", "1", "sell")
        await house.hear()
        assert isinstance(await change(house, placed, limit="9600"), Accepted)
        assert [len(await house.requests(kind)) for kind in ("amend", "replace", "cancel")] == [0, 0, 1]
        (works,) = await house.broker.list_open_orders()
        assert (works.quantity, works.cum_quantity, works.limit_price) == (D(4), D(1), D(9600))
        assert works.broker_order_id != placed.broker_order_id
        await house.hear()
        assert "CANCELED" not in events(house, placed)


async def test_a_fill_that_nobody_heard_of_is_not_bought_again() -> None:
    """The order filled in part and its frame was lost: the one request is refused as a whole, and the rest is placed
    when the cancel has said what was filled."""
    async with open_house() as house:
        placed, _ = await house.place(quantity="4")
        await house.venue.fault("lose_frame", on="orders", count=100)
        await house.venue.trade(SYMBOL, "9400", "1", "sell")
        assert isinstance(await change(house, placed, limit="9600"), Accepted)
        assert [len(await house.requests(kind)) for kind in ("replace", "cancel")] == [1, 1]
        await house.venue.trade(SYMBOL, "9400", "9", "sell")
        page = await house.broker.list_fills("")
        assert sum(quantities(page.fills)) == D(4)
        assert {fill.client_order_id for fill in page.fills} == {placed.client_order_id}


async def test_a_replace_that_the_account_cannot_pay_leaves_the_order() -> None:
    async with open_house() as house:
        placed, _ = await house.place(quantity="2")
        outcome = await change(house, placed, quantity="500")
        assert isinstance(outcome, Rejected)
        assert outcome.reason is R.INSUFFICIENT_FUNDS
        assert "the order stays as it was" in outcome.message
        assert len(await house.broker.list_open_orders()) == 1


async def test_a_replace_of_which_the_second_half_is_refused_ends_the_order() -> None:
    """Money left without a word: Binance cancels, and then cannot place."""
    async with open_house() as house:
        placed, _ = await house.place(quantity="2")
        await house.venue.fault("lose_frame", on="orders", count=2)
        await house.venue.deposit("USDT", "-990000")
        outcome = await change(house, placed, quantity="50")
        assert isinstance(outcome, Rejected)
        assert outcome.reason is R.INSUFFICIENT_FUNDS
        assert [said.event for said in outcome.reports if isinstance(said, OrderReport)] == [E.CANCELED]
        await house.hear()
        assert events(house, placed).count("CANCELED") == 0  # told with the answer, and not again
        assert await house.broker.list_open_orders() == []


@pytest.mark.parametrize(("limit", "reason"), [("9600.001", R.PRICE_OFF_TICK), ("100", R.BROKER_REJECTED)])
@pytest.mark.parametrize("filled", [True, False])
async def test_a_replace_that_the_rules_refuse_leaves_the_order(
    limit: str, reason: ErrorReason, filled: bool
) -> None:
    """Also where Binance has to be asked before the cancel, since the cancel goes first."""
    async with open_house() as house:
        placed, _ = await house.place(quantity="4")
        if filled:
            await house.venue.trade(SYMBOL, "9400", "1", "sell")
            await house.hear()
        outcome = await change(house, placed, limit=limit)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is reason
        (works,) = await house.broker.list_open_orders()
        assert (works.broker_order_id, works.quantity) == (placed.broker_order_id, D(4))
        assert await house.requests("cancel") == []


async def test_a_second_step_that_is_refused_ends_the_order_with_what_it_filled() -> None:
    async with open_house() as house:
        placed, _ = await house.place(quantity="4")
        await house.venue.trade(SYMBOL, "9400", "1", "sell")
        await house.hear()
        await house.venue.fault("status", on="place", code=400, error=-2010, message="Market is closed.")
        outcome = await change(house, placed, limit="9600")
        assert isinstance(outcome, Rejected)
        assert outcome.reason is R.MARKET_CLOSED
        assert "the order was cancelled, and its successor was refused" in outcome.message
        assert [said.event for said in outcome.reports if isinstance(said, OrderReport)] == [E.CANCELED]
        await house.hear()
        assert "CANCELED" not in events(house, placed)


@pytest.mark.parametrize("question", ["find_order", "preview"])
async def test_a_replace_whose_questions_fail_leaves_the_order(question: str) -> None:
    async with open_house() as house:
        placed, _ = await house.place(quantity="4")
        await house.venue.trade(SYMBOL, "9400", "1", "sell")
        await house.hear()
        await house.venue.fault("partial_json", on=question)
        outcome = await change(house, placed, limit="9600")
        assert isinstance(outcome, Rejected)
        assert outcome.reason is R.BROKER_UNAVAILABLE
        assert len(await house.broker.list_open_orders()) == 1


async def test_an_order_of_a_list_is_not_changed() -> None:
    async with open_house() as house:
        placed, _ = await house.place()
        outcome = await change(house, replace(placed, group_id="g"), limit="9600")
        assert isinstance(outcome, Rejected)
        assert outcome.reason is R.UNSUPPORTED


async def test_of_a_symbol_that_is_gone_nobody_can_tell_any_more() -> None:
    """Its order is a person's to settle, and does not keep the account from being served."""
    async with open_house() as house:
        placed, _ = await house.place()
        gone = replace(placed, spec=replace(placed.spec, symbol="LUNA/USDT"))
        found = await house.broker.find_order(gone)
        assert isinstance(found, Failed)
        assert found.for_good
        assert "LUNA/USDT" in found.message


async def test_a_replace_that_may_still_come_is_not_taken_for_one_that_did_not() -> None:
    """The first half is done and the second not there yet: that is no answer until it can no more come."""
    async with open_house(recv_window_ms=1000) as house:
        placed, _ = await house.place()
        await house.venue.ask("cancel", client_order_id=_venue_name(house, placed))
        now_ns = house.broker._clock.now_ns()
        wanted = replace(placed.spec, limit_price=D(9600))

        def asked(since_ns: int) -> Order:
            action = PendingAction(
                PendingActionKind.REPLACE, "r", since_ns, uncertain=True, replacement=wanted
            )
            return lifecycle.request(placed, action)

        assert isinstance(await house.broker.find_order(asked(now_ns)), Failed)
        found = await house.broker.find_order(asked(now_ns - 12 * 10**9))
        assert isinstance(found, Found)
        assert found.order.state is OrderState.CANCELED


def _venue_name(house: House, placed: Order) -> str:
    return house.broker._connected.telling.ids.venue_id(placed.client_order_id, placed.generation)


async def test_an_amendment_whose_answer_is_lost_is_found_with_its_total() -> None:
    """Of an order whose first generation filled a part, which Binance counts no more."""
    async with open_house() as house:
        placed, _ = await house.place(quantity="6")
        await house.venue.trade(SYMBOL, "9400", "1", "sell")
        await house.hear()
        moved = await change(house, placed, limit="9600")
        assert isinstance(moved, Accepted)
        second = lifecycle.replaced(
            replace(placed, cum_quantity=D(1)),
            replace(placed.spec, limit_price=D(9600)),
            D(6),
            moved.broker_order_id,
            placed.update_time_ns,
        )
        await house.venue.fault("answer_lost_after_accept", on="amend")
        assert isinstance(await change(house, second, quantity="4"), Unknown)
        wanted = replace(second.spec, quantity=D(4))
        action = PendingAction(PendingActionKind.REPLACE, "r", 0, uncertain=True, replacement=wanted)
        found = await house.broker.find_order(lifecycle.request(second, action))
        assert isinstance(found, Found)
        assert (found.order.quantity, found.order.cum_quantity) == (D(4), D(1))


# Cancels


async def test_a_cancel_reaches_the_successor_that_nobody_heard_of() -> None:
    async with open_house() as house:
        placed, _ = await house.place()
        await house.venue.fault("answer_lost_after_accept", on="replace")
        assert isinstance(await change(house, placed, limit="9600"), Unknown)
        wanted = replace(placed.spec, limit_price=D(9600))
        action = PendingAction(PendingActionKind.REPLACE, "r", 0, uncertain=True, replacement=wanted)
        outcome = await house.broker.cancel_order(lifecycle.request(placed, action))
        assert isinstance(outcome, Accepted)
        assert await house.broker.list_open_orders() == []
        await house.hear()
        ends = [*outcome.reports, *house.told]
        assert [said.event for said in ends if isinstance(said, OrderReport) and said.event is E.CANCELED]


async def test_all_of_a_symbol_are_cancelled_by_one_command() -> None:
    async with open_house() as house:
        orders = [(await house.place(limit=str(9000 + index)))[0] for index in range(4)]
        outcomes = await house.broker.cancel_all_orders(orders)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        assert [len(await house.requests(kind)) for kind in ("cancel_all", "cancel")] == [1, 0]
        assert await house.broker.list_open_orders() == []


async def test_what_was_not_asked_for_is_not_cancelled() -> None:
    async with open_house() as house:
        orders = [(await house.place(limit=str(9000 + index)))[0] for index in range(3)]
        theirs = await house.venue.add_order(SYMBOL, "buy", "1", "9000")
        await house.hear()
        await house.broker.cancel_all_orders(orders)
        shown = await house.broker.list_open_orders()
        assert [one.broker_order_id for one in shown] == [str(theirs["number"])]
        assert [len(await house.requests(kind)) for kind in ("cancel_all", "cancel")] == [0, 3]


async def test_cancelling_all_when_one_has_ended_says_so_of_that_one_alone() -> None:
    async with open_house() as house:
        orders = [(await house.place(limit=str(9000 + index)))[0] for index in range(3)]
        await house.venue.fault("lose_frame", on="orders", count=100)
        await house.venue.ask("cancel", client_order_id=_venue_name(house, orders[1]))
        outcomes = await house.broker.cancel_all_orders(orders)
        assert [type(outcome).__name__ for outcome in outcomes] == ["Accepted", "Rejected", "Accepted"]


# By amount


async def test_an_order_by_amount_has_what_the_amount_comes_to_as_its_total() -> None:
    async with open_house() as house:
        spec = OrderSpec(SYMBOL, Side.BUY, OrderType.MARKET, quote_quantity=D(30_000))
        with pytest.raises(GatewayError, match="there is no price of BTC/USDT yet"):
            house.broker.quantity_for(spec)
        await _quoted(house)
        expected = house.broker.quantity_for(spec)
        assert expected == D("2.97029")
        _, outcome = await house.place(limit=None, quantity=str(expected), quote_quantity=D(30_000))
        assert isinstance(outcome, Accepted)
        await house.hear()
        total = [said.quantity for said in outcome.reports if isinstance(said, OrderReport) and said.quantity]
        fills = {said.execution_id: said for said in outcome.reports if isinstance(said, FillReport)}
        filled = sum(fill.quantity for fill in fills.values())
        assert total == [filled]
        assert sum(fill.quantity * fill.price for fill in fills.values()) <= 30_000
        assert filled == D(2) + D("0.96078")


async def _quoted(house: House) -> None:
    """Market data of the symbol comes."""
    size = 1
    house.broker.quote(SYMBOL)
    for _ in range(1000):
        if house.broker.quote(SYMBOL) is not None:
            break
        size += 1
        await house.venue.show(SYMBOL, [("9900", str(size))], [("10100", "2"), ("10200", "6")])
        await asyncio.sleep(0.005)


# Others, and money


async def test_orders_of_others_are_told_and_shown_without_a_client_id() -> None:
    async with open_house() as house:
        theirs = await house.venue.add_order(SYMBOL, "buy", "2", "9000", client_order_id="by-hand")
        await house.venue.trade(SYMBOL, "8900", "1", "sell")
        await house.venue.cancel("by-hand")
        await house.hear()
        number = str(theirs["number"])
        (shown,) = house.of(VenueOrder)
        assert (shown.client_order_id, shown.broker_order_id, shown.quantity) == ("", number, D(2))
        (fill,) = house.of(FillReport)
        assert (fill.client_order_id, fill.broker_order_id) == ("", number)
        ends = [said for said in house.of(OrderReport) if said.event is E.CANCELED]
        assert [(said.client_order_id, said.broker_order_id) for said in ends] == [("", number)]
        page = await house.broker.list_fills("")
        assert [one.client_order_id for one in page.fills] == [""]


async def test_money_that_comes_and_goes_is_in_the_ledger_and_the_balances() -> None:
    async with open_house() as house:
        await house.venue.deposit("USDT", "250")
        await house.venue.deposit("BTC", "-10")
        await house.hear()
        entries = [
            (entry.kind, entry.amount.amount, entry.amount.currency) for entry in house.of(LedgerEntry)
        ]
        assert entries == [
            (LedgerEntryKind.DEPOSIT, D(250), "USDT"),
            (LedgerEntryKind.WITHDRAWAL, D(-10), "BTC"),
        ]
        told = {said.currency: said.total for said in house.of(BrokerBalance)}
        asked = {one.currency: one.total for one in await house.broker.get_balances()}
        assert told == {"USDT": D(1_000_250), "BTC": D(0)}
        # An asset that is gone is told as nothing, and is not left out.
        assert asked == told


async def test_executions_of_others_while_away_are_found_by_what_they_moved() -> None:
    """In a symbol that was never traded, and one of before the first connection is nobody's."""
    async with open_house(connect=False) as house:
        await house.venue.add_fill("ETH/USDT", "buy", "1", "500")
        await house.connect()
        before = await house.broker.list_fills("")
        assert before.fills == []
        await house.close()
        await house.venue.add_fill("ETH/USDT", "buy", "2", "500")
        await house.connect()
        page = await house.broker.list_fills(before.watermark)
        assert [(fill.symbol, fill.quantity) for fill in page.fills] == [("ETH/USDT", D(2))]
        again = await house.broker.list_fills(page.watermark)
        assert again.fills == []
        held = {one.symbol: one.quantity for one in await house.broker.get_positions()}
        assert held == {"ETH/USDT": D("1.998")}


async def test_an_execution_that_is_shown_late_is_found_after_a_crash_too() -> None:
    """Somebody else's, in a symbol that was never seen: the balances moved and `myTrades` has it not yet."""
    async with open_house() as house:
        first = await house.broker.list_fills("")
        await house.venue.fault("query_lag", seconds=3600)
        await house.venue.fault("lose_frame", on="orders", count=100)
        await house.venue.add_fill("ETH/USDT", "buy", "2", "500")
        page = await house.broker.list_fills(first.watermark)
        assert page.fills == []
        await house.venue.clear_faults()
        # Another process, which has the watermark alone.
        parts = context("house")
        other = BinanceBroker(account(house.venue), parts)
        await other.connect(EMPTY)
        late = await other.list_fills(page.watermark)
        assert [(fill.symbol, fill.quantity) for fill in late.fills] == [("ETH/USDT", D(2))]
        assert (await other.list_fills(late.watermark)).watermark == late.watermark
        await other.close()
        await parts.connections.close()


async def test_what_no_execution_explains_is_looked_for_for_a_while_and_then_taken() -> None:
    async with open_house({"USDT": "1000000", "BTC": "10", "ETH": "5"}, speed=200) as house:
        await house.venue.deposit("USDT", "100")
        await house.venue.deposit("ETH", "1")
        first = await house.broker.list_fills("")
        assert "1000100" not in first.watermark
        watermark = first.watermark
        async with asyncio.timeout(20):
            while "1000100" not in watermark:
                watermark = (await house.broker.list_fills(watermark)).watermark
                await asyncio.sleep(0.05)
        asked = len(await house.requests("fills"))
        async with asyncio.timeout(20):
            # The pairs of what moved are asked for a while more, and then no longer.
            while True:
                before = asked
                await asyncio.sleep(0.3)
                await house.broker.list_fills(watermark)
                asked = len(await house.requests("fills"))
                if asked == before:
                    break


async def test_an_execution_whose_order_is_not_shown_yet_is_no_strangers() -> None:
    async with open_house() as house:
        await house.venue.fault("lose_frame", on="orders", count=100)
        await house.venue.fault("answer_lost_after_accept", on="place")
        placed, _ = await house.place(limit="10200")
        await house.venue.fault(
            "status", on="find_order", code=400, error=-2013, message="Order does not exist."
        )
        with pytest.raises(TemporaryConnectionError, match="not yet its order"):
            await house.broker.list_fills("")
        page = await house.broker.list_fills("")
        assert [fill.client_order_id for fill in page.fills] == [placed.client_order_id]


@pytest.mark.parametrize("seen", [True, False])
async def test_executions_come_in_pages_until_there_are_no_more(seen: bool) -> None:
    """In a symbol that was seen before, and in one that never was."""
    async with open_house({"USDT": "1000000", "BTC": "10"}) as house:
        if seen:
            await house.place(limit="10100", quantity="0.5")
        first = await house.broker.list_fills("")
        await house.close()
        for _ in range(1003):
            house.venue.do("fill", symbol=SYMBOL, side="buy", quantity="0.001", price="9000")
        await house.connect()
        page = await house.broker.list_fills(first.watermark)
        assert (len(page.fills), page.complete) == (1000, False)
        rest = await house.broker.list_fills(page.watermark)
        assert (len(rest.fills), rest.complete) == (3, True)
        assert len({fill.execution_id for fill in (*page.fills, *rest.fills)}) == 1003
        (held,) = await house.broker.get_positions()
        assert held.quantity == (D("0.5") * seen + D("1.003")) * D("0.999")


# Groups


async def test_a_bracket_that_binance_does_not_take_is_refused_whole() -> None:
    async with open_house() as house:
        entry = order(limit=None)
        loss = order(Side.SELL, limit=None, kind=OrderType.STOP, stop_price=D(9000))
        outcomes = await house.broker.place_group(OrderGroup(GroupKind.BRACKET, (entry, loss)))
        assert [outcome.reason for outcome in outcomes if isinstance(outcome, Rejected)] == [
            R.UNSUPPORTED
        ] * 2
        assert await house.requests("place") == []


async def test_a_group_whose_answer_is_lost_is_unknown_and_each_of_it_found() -> None:
    async with open_house() as house:
        await house.venue.trade(SYMBOL, "10000", "1", "buy")
        profit = order(Side.SELL, limit="11000")
        loss = order(Side.SELL, limit=None, kind=OrderType.STOP, stop_price=D(9000))
        await house.venue.fault("answer_lost_after_accept", on="place")
        outcomes = await house.broker.place_group(OrderGroup(GroupKind.OCO, (profit, loss)))
        assert [type(outcome).__name__ for outcome in outcomes] == ["Unknown"] * 2
        for leg in (profit, loss):
            found = await house.broker.find_order(leg)
            assert isinstance(found, Found)
            assert found.order.client_order_id == leg.client_order_id
        assert len(await house.requests("place")) == 1


# Keys, previews, market data


async def test_an_ed25519_key_trades() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    async with open_house(connect=False) as house:
        await house.venue.ask("add_key", key="ed", public=public)
        credentials = {"api_key": SecretStr("ed"), "private_key": pem(key)}
        given = account(house.venue).model_copy(update={"credentials": credentials})
        parts = context("ed")
        broker = BinanceBroker(given, parts)
        await broker.connect(EMPTY)
        placed = order()
        outcome = await broker.place_order(placed)
        assert isinstance(outcome, Accepted)
        assert isinstance(await broker.cancel_order(known(placed, outcome)), Accepted)
        await broker.close()
        await parts.connections.close()


async def test_a_preview_says_what_the_book_gives_and_what_binance_says() -> None:
    async with open_house() as house:
        preview = await house.broker.preview_order(order(limit=None, quantity="3").spec)
        assert preview.rejection is None
        assert (preview.estimated_fill_quantity, preview.estimated_notional.amount) == (D(3), D(30_400))
        assert [(fee.amount, fee.currency) for fee in preview.estimated_fees] == [(D("0.003"), "BTC")]
        for limit, quantity, reason in (
            ("9500.001", "1", R.PRICE_OFF_TICK),
            ("9500", "0.0001", R.BELOW_MIN_NOTIONAL),
            ("9500", "500", R.INSUFFICIENT_FUNDS),
        ):
            preview = await house.broker.preview_order(order(limit=limit, quantity=quantity).spec)
            assert preview.rejection is not None
            assert preview.rejection[0] is reason
        assert await house.requests("place") == []


async def test_a_hole_in_the_depth_is_healed_by_another_snapshot() -> None:
    async with open_house() as house:
        await _quoted(house)

        def bids(quantity: str) -> bool:
            view: BookView | None = house.broker.book(SYMBOL, 5)
            return view is not None and (D(9900), D(quantity)) in view.bids

        await house.venue.show(SYMBOL, [("9900", "7")], [("10100", "2")])
        await until(lambda: bids("7"))
        await house.venue.fault("lose_frame", on="market", count=1)
        await house.venue.show(SYMBOL, [("9900", "7"), ("9800", "3")], [("10100", "2")])
        await asyncio.sleep(0.15)
        await house.venue.show(SYMBOL, [("9900", "8"), ("9800", "3")], [("10100", "2")])
        await until(lambda: bids("8"))
        view = house.broker.book(SYMBOL, 5)
        assert view is not None
        assert view.bids == ((D(9900), D(8)), (D(9800), D(3)))


async def test_executions_wait_until_there_is_weight_again() -> None:
    """A minute's weight is enough for fewer than 300 symbols: the questions for executions wait for the next one, which
    other questions are not to do, so that an account that has traded more is connected too."""
    async with open_house(speed=60) as house:
        _, outcome = await house.place(limit=None)
        assert isinstance(outcome, Accepted)
        for _ in range(400):
            try:
                await house.broker.get_balances()
            except RateLimitError:
                break
        else:
            raise AssertionError("the weight never ends")
        page = await house.broker.list_fills("")
        assert sum(fill.quantity for fill in page.fills) == 1
        assert page.complete
