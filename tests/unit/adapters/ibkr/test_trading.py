"""The adapter against an emulated TWS: orders, changes, cancels, executions, and what is said of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.fills import FillKind, Money
from brokergate.domain.orders import (
    OrderOrigin,
    OrderState,
    OrderType,
    ProtectiveLeg,
    Side,
    TimeInForce,
)
from brokergate.ports.broker import (
    Absent,
    Accepted,
    Failed,
    Found,
    GroupKind,
    OrderGroup,
    Outcome,
    Rejected,
    Unknown,
)
from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.house import (
    FIRST,
    Account,
    House,
    LaterClock,
    change,
    sent,
)
from tests.unit.adapters.ibkr.shapes import spec

D = Decimal


@pytest.fixture
async def venue(venue: Emulator) -> Emulator:
    """With a share at 99 to 101."""
    await venue.show("AAPL", [("99", "50")], [("101", "20"), ("102", "60")])
    return venue


async def test_an_api_that_only_reads_refuses_a_cancel_and_the_order_lives(
    venue: Emulator, account: Account
) -> None:
    placed, _ = await account.place()
    await venue.fault("read_only")
    refused = await account.broker.cancel_order(placed)
    assert isinstance(refused, Rejected)
    assert refused.reason is ErrorReason.BROKER_AUTHENTICATION
    assert "Read-Only" in refused.message
    await venue.clear_faults()
    assert isinstance(await account.broker.cancel_order(placed), Accepted)
    await account.until(lambda: account.of(OrderEventType.CANCELED))


# Placing


async def test_an_order_is_known_by_the_number_that_outlives_its_session(
    venue: Emulator, account: Account
) -> None:
    """Trap 12: it is 0 until TWS has taken the order."""
    placed, outcome = await account.place()
    (shown,) = await venue.ask("orders")
    assert outcome == Accepted(str(shown["native"]["perm_id"]))
    assert account.broker._desk.ids.client_id(shown["client_order_id"]) == ("c1", 1)
    assert shown["native"]["account"] == FIRST
    await account.until(lambda: account.of(OrderEventType.ACKNOWLEDGED))
    assert isinstance(await account.broker.find_order(placed), Found)


async def test_what_the_venue_refuses_is_rejected_with_its_words(venue: Emulator, account: Account) -> None:
    """Trap 2: an error, then Inactive."""
    await venue.ask("reject", symbol="AAPL", code=201, text="Order rejected - reason:Insufficient margin")
    _, outcome = await account.place()
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.INSUFFICIENT_FUNDS
    assert "Insufficient margin" in outcome.message
    assert not account.told


@pytest.mark.parametrize("code", [10349, 161, 10148, 10311, 105, 399])
async def test_a_message_with_an_orders_id_does_not_end_it(
    venue: Emulator, account: Account, code: int
) -> None:
    """Trap 1: the library calls it cancelled, and it fills later."""
    placed, _ = await account.place()
    await venue.ask(
        "message",
        code=code,
        text="Order Message: BUY 10",
        client_order_id=account.broker._desk.reference(placed),
    )
    await account.broker.list_open_orders()
    assert not account.of(OrderEventType.CANCELED)
    assert not account.of(OrderEventType.REJECTED)
    await venue.show("AAPL", [("88", "50")], [("89", "50")])
    await account.until(lambda: account.filled() == 10)


async def test_an_order_id_that_was_used_before_is_not_used_again(venue: Emulator, account: Account) -> None:
    """TWS forgets which it gave out: the next order would change the one that has the id (nautilus#4247)."""
    first, _ = await account.place()
    await venue.fault("restart", seconds=0.05, roll_back=True)
    await account.until(lambda: account.ended)
    await account.again(first)
    second, outcome = await account.place("c2", limit_price=D(80))
    assert isinstance(outcome, Accepted)
    shown = {order.client_order_id: order.limit_price for order in await account.broker.list_open_orders()}
    assert shown == {"c1": D(90), "c2": D(80)}
    assert second.broker_order_id != first.broker_order_id


async def test_a_duplicate_order_id_is_no_end_of_the_order(venue: Emulator) -> None:
    """Of orders that have ended TWS shows no ids: it says 103 to the next one that has such an id."""
    async with Account(venue.port) as account:
        for number in range(12):
            await account.market(f"c{number}", quantity=1)
        await venue.fault("restart", seconds=0.05, roll_back=True)
        await account.until(lambda: account.ended)
    anew = Account(venue.port)
    await anew.again()
    _, outcome = await anew.place("later")
    assert isinstance(outcome, Accepted)
    assert len(await anew.broker.list_open_orders()) == 1
    await anew.close()
    await anew.house.connections.close()


async def test_an_answer_that_is_lost_leaves_the_order_unknown_and_found(venue: Emulator) -> None:
    async with Account(venue.port, request_timeout_ms=400) as account:
        await venue.fault("answer_lost_after_accept", on="place", how="hang", count=1)
        placed, outcome = await account.place()
        assert isinstance(outcome, Unknown)
        found = await account.broker.find_order(placed)
        assert isinstance(found, Found)
        assert found.order.state is OrderState.NEW
        assert len(await sent(venue, "place")) == 1


async def test_a_connection_that_is_cut_leaves_the_order_unknown_and_absent(venue: Emulator) -> None:
    async with Account(venue.port) as account:
        await venue.fault("answer_lost_before_accept", on="place", how="cut", count=1)
        placed, outcome = await account.place()
        assert isinstance(outcome, Unknown)
        await account.until(lambda: account.ended)
        _, not_sent = await account.place("c2")
        assert isinstance(not_sent, Rejected)
        assert not_sent.reason is ErrorReason.NOT_SENT
        await account.again(placed)
        assert await account.broker.find_order(placed) == Absent()


async def test_while_tws_is_away_nothing_is_sent_and_absence_is_not_proven(
    venue: Emulator, account: Account
) -> None:
    """It takes orders meanwhile, shows them to nobody, and sends them when it is back."""
    await venue.fault("connectivity", state="lost")
    await account.until(lambda: account.ended)
    await account.again()
    placed, outcome = await account.place()
    assert isinstance(outcome, Rejected)
    assert outcome.reason is ErrorReason.NOT_SENT
    assert isinstance(await account.broker.find_order(placed), Failed)
    await venue.fault("connectivity", state="restored")
    await account.until(lambda: account.ended)
    await account.again()
    assert isinstance((await account.place("c2"))[1], Accepted)
    assert [order.client_order_id for order in await account.broker.list_open_orders()] == ["c2"]


async def test_of_an_order_of_another_day_absence_is_not_proven(account: Account) -> None:
    old = replace(account.order(), create_time_ns=account.house.clock.now_ns() - 26 * 3600 * 10**9)
    found = await account.broker.find_order(old)
    assert isinstance(found, Failed)
    assert found.for_good


async def test_an_order_of_another_day_that_works_no_more_has_run_out_or_is_missed(venue: Emulator) -> None:
    """The gateway was away while the day ended, and TWS has forgotten what ended with it."""
    clock = LaterClock()
    account = Account(venue.port, house=House(clock))
    async with account:
        yesterday_ns = clock.now_ns() - 26 * 3600 * 10**9
        day = replace(
            account.order(), state=OrderState.NEW, broker_order_id="77", create_time_ns=yesterday_ns
        )
        lasting = replace(day, spec=spec(limit_price=D(90), time_in_force=TimeInForce.GTC))
        assert isinstance(await account.broker.find_order(day), Failed)
        clock.later_ns = 60 * 10**9
        found = await account.broker.find_order(day)
        assert isinstance(found, Found)
        assert (found.order.state, found.order.cum_quantity) == (OrderState.EXPIRED, D(0))
        assert isinstance(await account.broker.find_order(lasting), Absent)
        assert isinstance(
            await account.broker.find_order(replace(lasting, origin=OrderOrigin.EXTERNAL)), Found
        )


@pytest.mark.parametrize(
    "fields",
    [
        {"type": OrderType.STOP, "stop_price": D(110), "time_in_force": TimeInForce.GTC},
        {"type": OrderType.STOP_LIMIT, "stop_price": D(110), "limit_price": D(111)},
        {"type": OrderType.TRAILING_STOP, "trail_amount": D(5), "side": Side.SELL},
        {"type": OrderType.TRAILING_STOP, "trail_percent": D(5), "side": Side.SELL},
        {"type": OrderType.MARKET_IF_TOUCHED, "stop_price": D(90)},
        {"type": OrderType.LIMIT_IF_TOUCHED, "stop_price": D(90), "limit_price": D(91)},
    ],
    ids=lambda fields: fields["type"].name,
)
async def test_every_type_arrives_and_is_shown_as_it_was_asked_for(
    account: Account, fields: dict[str, Any]
) -> None:
    placed, outcome = await account.place(**fields)
    assert isinstance(outcome, Accepted)
    (shown,) = await account.broker.list_open_orders()
    asked = placed.spec
    assert (shown.type, shown.side, shown.quantity) == (asked.type, asked.side, asked.quantity)
    assert (shown.limit_price, shown.stop_price) == (asked.limit_price, asked.stop_price)


# Changes


async def test_a_change_is_told_when_tws_shows_it(venue: Emulator, account: Account) -> None:
    placed, _ = await account.place()
    assert isinstance(await account.broker.replace_order(change(placed, 12, "91")), Accepted)
    await account.until(lambda: account.of(OrderEventType.REPLACED))
    (shown,) = await account.broker.list_open_orders()
    assert (shown.quantity, shown.limit_price) == (D(12), D(91))
    assert shown.broker_order_id == placed.broker_order_id


async def test_a_change_that_is_refused_leaves_the_order_as_it_was(venue: Emulator, account: Account) -> None:
    """Trap 1, by 201 on a change: the library says Cancelled."""
    placed, _ = await account.place()
    await venue.ask("reject", symbol="AAPL", code=201, text="Order rejected - reason: no")
    outcome = await account.broker.replace_order(change(placed, 12, "91"))
    assert isinstance(outcome, Rejected)
    (shown,) = await account.broker.list_open_orders()
    assert (shown.quantity, shown.limit_price) == (D(10), D(90))
    assert not account.of(OrderEventType.CANCELED)


async def test_a_change_of_a_filled_order_is_refused_since_it_has_ended(account: Account) -> None:
    placed, _ = await account.market()
    await account.until(lambda: account.filled() == 10)
    limit = replace(placed, spec=spec(limit_price=D(90)))
    outcome = await account.broker.replace_order(change(limit, 20, "91"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason in (ErrorReason.ORDER_ENDED, ErrorReason.ORDER_NOT_FOUND)


async def test_a_change_whose_answer_is_lost_is_unknown(venue: Emulator) -> None:
    async with Account(venue.port, request_timeout_ms=400) as account:
        placed, _ = await account.place()
        await venue.fault("answer_lost_after_accept", on="replace", how="hang", count=1)
        assert isinstance(await account.broker.replace_order(change(placed, 12, "91")), Unknown)
        found = await account.broker.find_order(placed)
        assert isinstance(found, Found)
        assert found.order.limit_price == D(91)


# Cancels


async def test_a_cancel_ends_by_the_orders_status(account: Account) -> None:
    placed, _ = await account.place()
    assert isinstance(await account.broker.cancel_order(placed), Accepted)
    await account.until(lambda: account.of(OrderEventType.CANCELED))
    found = await account.broker.find_order(placed)
    assert isinstance(found, Found)
    assert found.order.state is OrderState.CANCELED


@pytest.mark.parametrize("code", [161, 10148])
async def test_a_cancel_that_is_refused_ends_nothing(venue: Emulator, account: Account, code: int) -> None:
    placed, _ = await account.place()
    await venue.fault("error", on="cancel", code=code, text="cannot be cancelled", count=1)
    assert isinstance(await account.broker.cancel_order(placed), Rejected)
    assert not account.of(OrderEventType.CANCELED)
    assert len(await account.broker.list_open_orders()) == 1


async def test_a_cancel_that_crosses_a_fill_is_refused_since_it_has_ended(account: Account) -> None:
    placed, _ = await account.market()
    outcome = await account.broker.cancel_order(placed)
    assert isinstance(outcome, Rejected)
    assert outcome.reason in (ErrorReason.ORDER_ENDED, ErrorReason.ORDER_NOT_FOUND)


async def test_all_orders_are_cancelled_in_one_message(venue: Emulator, account: Account) -> None:
    placed = [(await account.place(f"c{number}"))[0] for number in range(12)]
    outcomes = await account.broker.cancel_all_orders(placed)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    await account.until(
        lambda: all(account.of(OrderEventType.CANCELED, order.client_order_id) for order in placed)
    )
    assert len(await sent(venue, "cancel_all")) == 1
    assert await sent(venue, "cancel") == []


async def test_orders_of_others_are_not_cancelled_along(venue: Emulator, account: Account) -> None:
    placed = [(await account.place(f"c{number}"))[0] for number in range(12)]
    await venue.add_order("AAPL", "buy", 3, "80", account=FIRST)
    await account.broker.cancel_all_orders(placed)
    (left,) = await account.broker.list_open_orders()
    assert (left.client_order_id, left.quantity) == ("", D(3))


async def test_orders_of_another_client_can_be_cancelled_with_all(venue: Emulator, account: Account) -> None:
    async with Account(venue.port, account_id="third", client_id=2) as other:
        await other.place("theirs")
        (shown,) = await account.broker.list_open_orders()
        assert shown.client_order_id == ""
        foreign = replace(account.order(""), broker_order_id=shown.broker_order_id, state=OrderState.NEW)
        alone = await account.broker.cancel_order(foreign)
        assert isinstance(alone, Rejected)
        assert "client id 2" in alone.message
        assert isinstance((await account.broker.cancel_all_orders([foreign]))[0], Accepted)
        await other.until(lambda: other.of(OrderEventType.CANCELED, "theirs"))


# Groups


def legs(account: Account) -> OrderGroup:
    """A bracket: buys at the market's price or waits, and closes at 120 or 80."""
    entry = account.order(
        "entry",
        limit_price=D(95),
        take_profit=ProtectiveLeg("profit", limit_price=D(120)),
        stop_loss=ProtectiveLeg("loss", stop_price=D(80)),
    )
    profit = account.order("profit", side=Side.SELL, limit_price=D(120))
    loss = account.order("loss", side=Side.SELL, type=OrderType.STOP, stop_price=D(80))
    return OrderGroup(
        GroupKind.BRACKET, tuple(replace(each, group_id="o-entry") for each in (entry, profit, loss))
    )


async def test_a_bracket_waits_for_its_entry_and_one_closing_order_ends_the_other(
    venue: Emulator, account: Account
) -> None:
    outcomes = await account.broker.place_group(legs(account))
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    await venue.show("AAPL", [("94", "50")], [("95", "50")])
    await account.until(lambda: account.filled("entry") == 10)
    await venue.show("AAPL", [("120", "50")], [("121", "50")])
    await account.until(lambda: account.filled("profit") == 10)
    await account.until(lambda: account.of(OrderEventType.CANCELED, "loss"))
    assert account.of(OrderEventType.CANCELED, "loss")[0].reason is ErrorReason.LINKED_ORDER


async def test_a_group_that_is_refused_in_part_is_taken_back(venue: Emulator, account: Account) -> None:
    await venue.fault("error", on="place", code=201, text="Order rejected - reason: no", count=1)
    outcomes: list[Outcome] = list(await account.broker.place_group(legs(account)))
    assert any(isinstance(outcome, Rejected) for outcome in outcomes)
    assert await account.broker.list_open_orders() == []


async def test_one_of_an_oco_takes_from_the_others_what_it_fills(venue: Emulator, account: Account) -> None:
    high = account.order("high", side=Side.SELL, limit_price=D(110))
    low = account.order("low", side=Side.SELL, type=OrderType.STOP, stop_price=D(85))
    group = OrderGroup(GroupKind.OCO, tuple(replace(each, group_id="o-high") for each in (high, low)))
    outcomes = await account.broker.place_group(group)
    assert all(isinstance(outcome, Accepted) for outcome in outcomes), outcomes
    await venue.show("AAPL", [("110", "4")], [("111", "50")])
    await account.until(lambda: account.filled("high") == 4)
    await account.until(lambda: account.of(OrderEventType.REPLACED, "low"))
    assert account.of(OrderEventType.REPLACED, "low")[-1].quantity == D(6)


# Executions


async def test_an_execution_comes_again_when_its_fees_are_known(venue: Emulator, account: Account) -> None:
    await venue.fault("late_commission", seconds=0.2)
    await account.market()
    await account.until(lambda: account.filled() == 10)
    assert not next(iter(account.fills().values())).fees_final
    await account.until(lambda: all(fill.fees_final for fill in account.fills().values()))
    assert all(fill.fees and fill.fees[0].currency == "USD" for fill in account.fills().values())


async def test_fees_that_came_while_nobody_listened_are_in_the_list(
    venue: Emulator, account: Account
) -> None:
    """Trap 7: the library shows an execution that it knew with a commission of nothing."""
    await venue.fault("lose_frame", on="commissionReport")
    await account.market()
    await account.until(lambda: account.filled() == 10)
    await venue.clear_faults()
    page = await account.broker.list_fills("")
    assert page.fills
    assert all(fill.fees_final and fill.fees[0].amount > 0 for fill in page.fills)


async def test_a_fill_during_an_outage_is_in_the_list_and_once(venue: Emulator, account: Account) -> None:
    """Trap 6: the library raises no event for it."""
    placed, _ = await account.place()
    mark = (await account.broker.list_fills("")).watermark
    await account.close()
    await venue.show("AAPL", [("88", "50")], [("89", "50")])
    await account.again(placed)
    page = await account.broker.list_fills(mark)
    assert [(fill.client_order_id, fill.quantity) for fill in page.fills] == [("c1", D(10))]
    assert (await account.broker.list_fills(page.watermark)).fills == []


async def test_what_was_there_before_the_account_is_not_told_after_a_restart(venue: Emulator) -> None:
    async with Account(venue.port) as account:
        await account.market("before")
        await account.until(lambda: account.filled("before") == 10)
        mark = (await account.broker.list_fills("")).watermark
        await account.market("after")
        await account.until(lambda: account.filled("after") == 10)
    async with Account(venue.port) as anew:
        page = await anew.broker.list_fills(mark)
        assert [fill.client_order_id for fill in page.fills] == ["after"]


async def test_a_correction_replaces_what_was_told(venue: Emulator, account: Account) -> None:
    await account.market()
    await account.until(lambda: account.filled() == 10)
    (first,) = account.fills()
    await venue.ask("correct", execution_id=first, quantity="9", price="101")
    await account.until(lambda: len(account.fills()) == 2)
    corrected = list(account.fills().values())[-1]
    assert (corrected.kind, corrected.corrects, corrected.quantity) == (FillKind.CORRECTION, (first,), D(9))


async def test_executions_of_others_are_told_without_a_name(venue: Emulator, account: Account) -> None:
    await venue.ask("fill", symbol="AAPL", side="buy", quantity="3", price="100", account=FIRST)
    page = await account.broker.list_fills("")
    assert [(fill.client_order_id, fill.quantity) for fill in page.fills] == [("", D(3))]


# Pace, and what an order would do


async def test_a_hundred_orders_stay_within_what_tws_takes_of_a_second(venue: Emulator) -> None:
    """Trap 10: the library's own throttle lets more through."""
    async with Account(venue.port, request_timeout_ms=20_000) as account:
        orders = [account.order(f"c{number}") for number in range(100)]
        outcomes = await account.broker.place_orders(orders)
        assert all(isinstance(outcome, Accepted) for outcome in outcomes)
        used = await venue.ask("used")
        assert used["violations"] == 0, used
        told = [order["client_order_id"] for order in await venue.ask("orders")]
        assert told == [account.broker._desk.reference(order) for order in orders]


async def test_a_preview_is_the_venues_own(venue: Emulator, account: Account) -> None:
    seen = await account.broker.preview_order(spec(quantity=D(10), limit_price=D(90)))
    assert seen.rejection is None
    assert seen.estimated_fees
    assert seen.estimated_fees[0] == Money(seen.estimated_fees[0].amount, "USD")
    assert await account.broker.list_open_orders() == []
    await venue.ask("reject", symbol="AAPL", code=201, text="Order rejected - reason:Insufficient margin")
    refused = await account.broker.preview_order(spec(quantity=D(10), limit_price=D(90)))
    assert refused.rejection is not None
    assert refused.rejection[0] is ErrorReason.INSUFFICIENT_FUNDS


async def test_it_runs_on_a_loop_that_the_policy_does_not_know(venue: Emulator) -> None:
    """The library asks the policy for a loop, and not for the one that runs."""

    async def trade() -> Outcome:
        async with Account(venue.port) as account:
            return (await account.place())[1]

    def run() -> Outcome:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(trade())

    assert isinstance(await asyncio.to_thread(run), Accepted)


async def test_orders_of_tws_own_windows_are_told_apart(venue: Emulator, account: Account) -> None:
    """They have no id but their number: one is not what became of the other."""
    for quantity in (3, 4):
        await venue.add_order(
            "AAPL", "buy", quantity, "80", account=FIRST, client_order_id=f"by hand {quantity}"
        )
    for _ in range(2):
        assert [order.quantity for order in await account.broker.list_open_orders()] == [D(3), D(4)]
    await account.place()
    await account.until(lambda: account.of(OrderEventType.ACKNOWLEDGED))
    assert not account.of(OrderEventType.REPLACED, "")


async def test_an_order_of_tws_own_windows_is_neither_changed_nor_placed_once_more(venue: Emulator) -> None:
    """Client 0 is told of them with its own client id and no order id: a change would be a new order."""
    async with Account(venue.port, client_id=0) as account:
        await venue.add_order("AAPL", "buy", 3, "80", account=FIRST)
        (shown,) = await account.broker.list_open_orders()
        by_hand = replace(
            account.order(""), broker_order_id=shown.broker_order_id, state=OrderState.NEW, quantity=D(3)
        )
        changing = await account.broker.replace_order(change(by_hand, 3, "81"))
        cancelling = await account.broker.cancel_order(by_hand)
        assert isinstance(changing, Rejected)
        assert isinstance(cancelling, Rejected)
        assert (changing.reason, cancelling.reason) == (ErrorReason.UNSUPPORTED,) * 2
        assert await sent(venue, "place") == await sent(venue, "cancel") == []
        assert len(await venue.orders()) == 1


async def test_a_change_keeps_what_links_an_order_that_was_acknowledged_and_not_shown(
    venue: Emulator, account: Account
) -> None:
    """TWS takes what is left out of a change as taken away: one of two would work on when the other has filled."""
    await venue.fault("lose_frame", on="openOrder", count=20)
    high = account.order("high", side=Side.SELL, limit_price=D(110))
    low = account.order("low", side=Side.SELL, type=OrderType.STOP, stop_price=D(85))
    group = OrderGroup(GroupKind.OCO, tuple(replace(each, group_id="o-high") for each in (high, low)))
    first, _ = await account.broker.place_group(group)
    assert isinstance(first, Accepted)
    await venue.clear_faults()
    placed = replace(high, state=OrderState.NEW, broker_order_id=first.broker_order_id)
    assert isinstance(await account.broker.replace_order(change(placed, 10, "111")), Accepted)
    (changing,) = await sent(venue, "replace")
    assert changing["parameters"]["oca_group"]


async def test_a_change_of_an_order_of_others_counts_what_it_filled_before_it_was_seen(
    venue: Emulator,
) -> None:
    """The gateway has it with what was left of it then, and TWS with all of it."""
    async with Account(venue.port, account_id="former") as former:
        _, outcome = await former.place("theirs", time_in_force=TimeInForce.GTC)
        assert isinstance(outcome, Accepted)
        await venue.trade("AAPL", D(90), D(4), "sell")
        await former.until(lambda: former.filled("theirs") == 4)
    async with Account(venue.port) as account:
        (shown,) = await account.broker.list_open_orders()
        seen = replace(
            account.order("", quantity=D(6), time_in_force=TimeInForce.GTC),
            broker_order_id=shown.broker_order_id,
            state=OrderState.NEW,
            origin=OrderOrigin.EXTERNAL,
        )
        assert isinstance(await account.broker.replace_order(change(seen, 6, "91")), Accepted)
        (changed,) = await account.broker.list_open_orders()
        assert (changed.quantity, changed.cum_quantity, changed.limit_price) == (D(10), D(4), D(91))
