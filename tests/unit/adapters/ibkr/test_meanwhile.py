"""The adapter against an emulated TWS: what happens while it waits for an answer or for its turn."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import OrderState
from brokergate.ports.broker import Accepted, Found, Rejected, Unknown
from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.house import SECOND, Account, House, change, restored, sent

D = Decimal


@pytest.fixture
async def venue(venue: Emulator) -> Emulator:
    """With a share at 99 to 101."""
    await venue.show("AAPL", [("99", "50")], [("101", "20"), ("102", "60")])
    return venue


async def injected(venue: Emulator, fault: str) -> None:
    """Returns once the emulator has made the fault."""
    while (await venue.injected()).get(fault) is None:
        pass


async def test_what_fills_while_the_instruments_are_looked_up_is_told_once_and_by_its_symbol(
    venue: Emulator,
) -> None:
    """A fill that is heard before it is known what its contract is called would be another one, by another name and
    price, when the list tells it again."""
    names: dict[str, object] = {"instruments": None, "contracts": {"APPLE": {"con_id": 265598}}}
    async with Account(venue.port, **names) as before:  # type: ignore[arg-type]
        placed, outcome = await before.place(symbol="APPLE")
        assert isinstance(outcome, Accepted)
    await venue.fault("arrives_late", on="instruments", seconds=0.5, how="hang")
    account = Account(venue.port, state=restored([placed]), **names)  # type: ignore[arg-type]
    connecting = asyncio.create_task(account.connect())
    while len(await sent(venue, "instruments")) < 2:
        pass
    await venue.trade("AAPL", D(89), D(50), "sell")
    await connecting
    try:
        page = await account.broker.list_fills("")
        told = [*account.fills().values(), *page.fills]
        assert {(fill.symbol, fill.execution_id) for fill in told} == {("APPLE", page.fills[0].execution_id)}
    finally:
        await account.close()
        await account.house.connections.close()


@pytest.mark.parametrize("command", ["change", "cancel"])
async def test_a_command_that_waited_for_its_turn_is_not_sent_for_an_order_that_ended_meanwhile(
    venue: Emulator, command: str
) -> None:
    """Trap 11: what was right when it was asked for may be another order's when it is sent."""
    async with Account(venue.port, messages_per_second=5, request_timeout_ms=5_000) as account:
        placed, _ = await account.place()
        busy = asyncio.create_task(account.broker.list_open_orders())
        doing = asyncio.create_task(
            account.broker.replace_order(change(placed, 12, "91"))
            if command == "change"
            else account.broker.cancel_order(placed)
        )
        await asyncio.sleep(0)
        await venue.trade("AAPL", D(89), D(50), "sell")
        outcome = await doing
        await asyncio.gather(busy, return_exceptions=True)
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.ORDER_ENDED
        assert await sent(venue, "replace") == await sent(venue, "cancel") == []
        assert len(await sent(venue, "place")) == 1


async def test_an_order_that_ends_while_tws_is_asked_what_works_is_not_listed(
    venue: Emulator, account: Account
) -> None:
    await account.place()
    await venue.fault("arrives_late", on="open_orders", seconds=0.4, how="hang")
    asking = asyncio.create_task(account.broker.list_open_orders())
    await injected(venue, "arrives_late")
    await venue.trade("AAPL", D(89), D(50), "sell")
    assert await asking == []


async def test_a_position_that_changes_while_tws_is_asked_is_listed_once_and_as_it_is(
    venue: Emulator, account: Account
) -> None:
    """TWS goes on telling positions that change, beside its answer."""
    await account.market("c1")
    await account.until(lambda: account.filled("c1"))
    assert [position.quantity for position in await account.broker.get_positions()] == [D(10)]
    await venue.fault("arrives_late", on="positions", seconds=0.4, how="hang")
    asking = asyncio.create_task(account.broker.get_positions())
    await injected(venue, "arrives_late")
    await account.market("c2", 5)
    assert [position.quantity for position in await asking] == [D(15)]


async def test_orders_that_end_together_ask_together_how_they_ended(
    venue: Emulator, account: Account
) -> None:
    """The list of what has ended has all of them in it: a question for each would be a thousand lists of a thousand."""
    placed = [(await account.place(f"c{number}"))[0] for number in range(12)]
    await venue.ask("session", turn="end")
    await account.until(
        lambda: all(account.of(OrderEventType.EXPIRED, order.client_order_id) for order in placed)
    )
    assert len(await sent(venue, "completed_orders")) <= 2
    before = len(await sent(venue, "completed_orders"))
    await account.again(*placed)
    for order in placed:
        found = await account.broker.find_order(order)
        assert isinstance(found, Found)
        assert found.order.state is OrderState.EXPIRED
    assert len(await sent(venue, "completed_orders")) - before <= 1


async def test_a_change_that_is_shown_only_after_it_was_given_up_is_the_one_that_was_asked_for(
    venue: Emulator,
) -> None:
    """It is no change of TWS's own, which would leave the change under way and its price as it was."""
    async with Account(venue.port, request_timeout_ms=400) as account:
        placed, _ = await account.place()
        await venue.fault("answer_lost_after_accept", on="replace", how="hang", count=1)
        assert isinstance(await account.broker.replace_order(change(placed, 12, "91")), Unknown)
        await account.broker.list_open_orders()
        await account.until(lambda: len(account.of(OrderEventType.REPLACED)) > 1)
        assert [report.quantity for report in account.of(OrderEventType.REPLACED)] == [None, D(12)]


async def test_an_order_that_another_account_of_the_login_places_meanwhile_is_not_cancelled_along(
    venue: Emulator,
) -> None:
    """One message cancels everything of the login: also what was placed after TWS had been asked what there is."""
    house = House()
    one = Account(venue.port, house=house)
    other = Account(venue.port, house=house, account_id="second", account=SECOND)
    await asyncio.gather(one.connect(), other.connect())
    placed = [(await one.place(f"c{number}"))[0] for number in range(12)]
    await venue.fault("delay", on="open_orders", seconds=0.3, count=1)
    await venue.fault("answer_lost_after_accept", on="place", how="hang", count=1)
    cancelling = asyncio.create_task(one.broker.cancel_all_orders(placed))
    await injected(venue, "delay")
    await other.place("theirs")
    assert all(isinstance(each, Accepted) for each in await cancelling)
    assert [order.client_order_id for order in await other.broker.list_open_orders()] == ["theirs"]
    assert await sent(venue, "cancel_all") == []
    await one.close()
    await other.close()
    await house.connections.close()
