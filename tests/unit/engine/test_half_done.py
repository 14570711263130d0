"""What is under way when the journal fails, the gateway closes or a stop begins: nothing of it is done by halves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

import pytest

from brokergate.domain.accounts import TradingState
from brokergate.domain.commands import (
    CancelAllOrders,
    CancelOrder,
    EmergencyStop,
    OrderRef,
    PlaceOrder,
    ReplaceOrder,
    ResumeTrading,
)
from brokergate.domain.errors import ErrorReason, GatewayError
from brokergate.domain.fills import Money
from brokergate.domain.market import QuoteView
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, PendingActionKind, Side
from brokergate.domain.policy import AccountPolicy, RiskLimits, StopCause
from brokergate.journal.sqlite.journal import SqliteJournal
from brokergate.ports.broker import Accepted, Outcome, RestoredState
from brokergate.ports.journal import JournalError
from tests.unit.engine.street import House, Street, living, place, position, request
from tests.unit.engine.test_journal_failure import Disk, until


class SlowStreet(Street):
    """Answers an order when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: dict[str, asyncio.Event] = {}
        self.connecting: asyncio.Event | None = None
        self.closing_fails = 0
        """How many times it fails to close."""

    async def connect(self, state: RestoredState) -> None:
        if self.connecting is not None:
            await self.connecting.wait()
        await super().connect(state)

    async def place_orders(self, orders: Sequence[Order]) -> Sequence[Outcome]:
        outcomes: list[Outcome] = []
        for order in orders:
            self.asked.set()
            if (gate := self.slow.get(order.client_order_id)) is not None:
                await gate.wait()
            outcomes += await super().place_orders((order,))
        return outcomes

    async def close(self) -> None:
        await super().close()
        if self.closing_fails:
            self.closing_fails -= 1
            raise OSError("the line is gone")


@pytest.fixture
def disk() -> Disk:
    """A disk that works at first."""
    return Disk()


@pytest.fixture
async def house(tmp_path: Path, disk: Disk) -> AsyncIterator[House]:
    """A durable account on the street, its journal in a file on the disk."""
    journal = SqliteJournal(tmp_path / "journal.db", random.Random(1).getrandbits, sync_file=disk.sync)
    street = SlowStreet()
    house = House(street, AccountPolicy(durable=True), journal=journal)
    await house.open()
    await until(house, house.connected)
    yield house
    disk.fails = False
    for gate in street.slow.values():
        gate.set()
    await house.gateway.close()
    if journal.failed is None:
        journal.close()


async def fail_and_work_again(house: House, disk: Disk) -> None:
    """The journal fails, and is opened again."""
    disk.fails = True
    with pytest.raises(JournalError):
        await house.gateway.place_order(place("finds-it-out"))
    disk.fails = False
    await house.clock.advance(1.5)
    assert house.journal.failed is None


async def test_what_is_being_sent_is_not_believed_absent(house: House, disk: Disk) -> None:
    """A batch of two hangs at its first order while the journal fails and works again. That the venue does not show the
    first proves nothing until it was sent; the second is not sent any more, and ends as what never was."""
    street = house.broker
    assert isinstance(street, SlowStreet)
    gate = street.slow["first"] = asyncio.Event()
    batch = asyncio.create_task(house.gateway.place_orders((place("first"), place("second"))))
    await street.asked.wait()
    await fail_and_work_again(house, disk)
    await house.clock.advance(60)
    gate.set()
    with pytest.raises(JournalError):
        await batch
    await house.clock.advance(60)
    await until(house, house.connected)
    assert house.order("first").state is OrderState.NEW
    assert house.order("second").reject_reason is ErrorReason.NOT_SENT
    assert [order.client_order_id for order in street.placed] == ["first"]


async def test_a_gateway_closes_while_somebody_waits_for_a_connection() -> None:
    """Whoever asked for another connection is told that there is none; the close waits for nobody's broker."""
    street = SlowStreet()
    house = House(street)
    await house.open()
    street.connecting = asyncio.Event()
    asked = asyncio.create_task(house.gateway.reconnect("main", request("r1")))
    await house.clock.advance(1)
    await asyncio.wait_for(house.gateway.close(), 5)
    with pytest.raises(GatewayError) as told:
        await asked
    assert told.value.reason is ErrorReason.BROKER_UNAVAILABLE


async def test_a_gateway_closes_while_a_cancel_is_owed(house: House, disk: Disk) -> None:
    """A cancel that is to be written waits for a broker that does not answer; the close does not."""
    street = house.broker
    assert isinstance(street, SlowStreet)
    await house.gateway.place_order(place("a"))
    street.connecting = asyncio.Event()
    disk.fails = True
    with pytest.raises(GatewayError):
        await house.gateway.cancel_order(CancelOrder("main", OrderRef(client_order_id="a")), request("r1"))
    disk.fails = False
    await house.clock.advance(2)
    await asyncio.wait_for(house.gateway.close(), 5)
    assert house.journal.failed is None


async def test_an_adapter_that_fails_to_close_does_not_keep_the_journal_closed(
    house: House, disk: Disk
) -> None:
    """Its connection is made anew all the same, and orders are taken."""
    street = house.broker
    assert isinstance(street, SlowStreet)
    street.closing_fails = 2
    await fail_and_work_again(house, disk)
    await until(house, house.connected)
    assert (await house.gateway.place_order(place("a"))).order.state is OrderState.NEW


def stop_order(client_order_id: str) -> PlaceOrder:
    """Sells one at the market below 90."""
    spec = OrderSpec("BTC/USDT", Side.SELL, OrderType.STOP, Decimal(1), stop_price=Decimal("90.00"))
    return PlaceOrder("main", client_order_id, spec, b"body")


async def test_a_stop_that_cannot_be_written_keeps_what_it_shall_keep(house: House, disk: Disk) -> None:
    """The journal fails; `keep_protective_stops` holds for what is cancelled unwritten too."""
    street = house.broker
    await house.gateway.place_order(place("a"))
    await house.gateway.place_order(stop_order("protects"))
    street.told.put_nowait([street.fill("a", "1", ends=True)])
    await house.gateway.place_order(place("b"))
    disk.fails = True
    command = EmergencyStop((), "fire", keep_protective_stops=True)
    with pytest.raises(GatewayError) as told:
        await house.gateway.emergency_stop(command, request("s1"))
    assert told.value.reason is ErrorReason.OUTCOME_UNKNOWN
    assert street.orders["b"].state is OrderState.CANCELED
    assert street.orders["protects"].state is OrderState.NEW


async def test_a_disagreement_and_the_stop_for_it_are_one_commit() -> None:
    """A gateway that dies after the one has the other: nobody would latch it again."""
    async with living(policy=AccountPolicy(stop_on=frozenset({StopCause.DISCREPANCY}))) as house:
        commits: list[tuple[bool, bool]] = []

        def look(_: object) -> None:
            found = house.journal.discrepancies("main", False, None, 9)
            commits.append((bool(found), house.journal.account_setting("main", "stop") is not None))

        end = house.journal.on_commit(look)
        house.broker.positions["BTC/USDT"] = position("BTC/USDT", "7")
        await house.clock.advance(70)
        end()
        assert (True, True) in commits
        assert all(found == stopped for found, stopped in commits)


async def test_a_batch_of_cancels_that_found_the_broker_away_is_not_kept() -> None:
    """What was held back is cancelled, the rest is told to try again; trying again under the same request_id does."""
    async with living(policy=AccountPolicy(queue_max_age_ns=600_000_000_000)) as house:
        await house.gateway.place_order(place("a"))
        house.broker.reachable = False
        house.broker.lose()
        await house.clock.advance(1)
        await house.gateway.place_order(place("held"))
        command = CancelAllOrders("main")
        first = await house.gateway.cancel_all_orders(command, request("r1"))
        assert b"OrderFailure" in first
        assert house.order("held").state is OrderState.CANCELED
        house.broker.reachable = True
        await house.clock.advance(90)
        second = await house.gateway.cancel_all_orders(command, request("r1"))
        assert house.order("a").state is OrderState.CANCELED
        assert b"OrderFailure" not in second
        assert await house.gateway.cancel_all_orders(command, request("r1")) == second


async def test_a_repeated_cancel_of_a_symbol_is_answered_though_the_broker_is_away() -> None:
    """Known ids are looked up first: after a restart nobody knows the broker's instruments yet."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        command = CancelAllOrders("main", symbol="BTC/USDT")
        first = await house.gateway.cancel_all_orders(command, request("r1"))
        house.broker.reachable = False
        await house.again(1)
        assert await house.gateway.cancel_all_orders(command, request("r1")) == first


async def test_a_replace_that_a_stop_overtakes_is_refused_for_good() -> None:
    """The stop is latched between the commit of the request and its sending: it is not sent, and a repeat, after
    trading was resumed too, gets the same refusal."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        commit = house.journal.commit_now

        async def stopped_meanwhile(account_id: str | None = None) -> None:
            await commit(account_id)
            house.journal.commit_now = commit  # type: ignore[method-assign]
            house.broker.queries_fail = True
            await house.gateway.emergency_stop(EmergencyStop((), "now"), request("s1"))
            await house.gateway.resume_trading(ResumeTrading((), "no"), request("s2"))
            await house.gateway.emergency_stop(EmergencyStop((), "yes"), request("s3"))

        house.journal.commit_now = stopped_meanwhile  # type: ignore[method-assign]
        command = ReplaceOrder("main", OrderRef(client_order_id="a"), 1, quantity=Decimal(2))
        with pytest.raises(GatewayError) as refused:
            await house.gateway.replace_order(command, request("r1"))
        assert refused.value.reason is ErrorReason.TRADING_STOPPED
        assert house.order("a").action(PendingActionKind.REPLACE) is None
        await house.gateway.resume_trading(ResumeTrading((), "all is well"), request("s4"))
        with pytest.raises(GatewayError) as again:
            await house.gateway.replace_order(command, request("r1"))
        assert again.value.message == refused.value.message


class SilentStreet(Street):
    """Takes cancels, and tells what came of them when the test says so."""

    async def cancel_order(self, order: Order) -> Outcome:
        self.cancelled.append(order)
        return Accepted(order.broker_order_id)


async def test_a_cancel_that_the_broker_has_just_taken_is_not_doubted() -> None:
    """A stop looks again and again within the second; the broker has a quiet period to tell what came of a cancel."""
    house = House(SilentStreet())
    await house.open()
    await house.gateway.place_order(place("a"))
    await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s1"))
    await house.clock.advance(1.5)
    assert len(house.broker.cancelled) == 1
    assert "UNCERTAIN" not in house.order_events()
    await house.clock.advance(10)
    assert "UNCERTAIN" in house.order_events()
    await house.gateway.close()


LOSING = AccountPolicy(
    stop_on=frozenset({StopCause.DAILY_LOSS}),
    risk=RiskLimits(max_daily_loss=Money(Decimal(50), "USDT")),
)


def quote(house: House, price: str) -> None:
    """BTC/USDT is worth so much."""
    bid = Decimal(price)
    house.broker.quotes["BTC/USDT"] = QuoteView(
        "BTC/USDT", bid, Decimal(9), bid, Decimal(9), 1, house.clock.now_ns()
    )


async def test_whoever_resumes_after_the_days_loss_can_close_positions() -> None:
    """The loss stops the account once; resumed, it stays so over a restart, and the limit itself goes on refusing what
    opens a position and letting pass what reduces one."""
    async with living(policy=LOSING) as house:
        quote(house, "100")
        await house.gateway.place_order(place("a"))
        house.broker.told.put_nowait([house.broker.fill("a", "1", ends=True)])
        await house.clock.advance(2)
        quote(house, "40")
        await house.clock.advance(2)
        (state,) = house.gateway.trading_states("main")
        assert state.state is TradingState.STOPPED
        await house.gateway.resume_trading(ResumeTrading((), "closing by hand"), request("r1"))
        await house.clock.advance(5)
        await house.again(5)
        (state,) = house.gateway.trading_states("main")
        assert state.state is TradingState.ACTIVE
        assert (await house.gateway.place_order(place("b"))).order.reject_reason is ErrorReason.RISK_LIMIT
        closing = await house.gateway.place_order(place("c", side=Side.SELL))
        assert closing.order.state is OrderState.NEW


class Broken(dict[str, QuoteView]):
    """Quotes that cannot be read."""

    def get(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("a price of nothing")


async def test_a_look_at_the_loss_that_fails_is_not_the_last() -> None:
    """Whatever goes wrong with a price, the next look tells; and it is seen in the log."""
    async with living(policy=LOSING) as house:
        quote(house, "100")
        await house.gateway.place_order(place("a"))
        house.broker.told.put_nowait([house.broker.fill("a", "1", ends=True)])
        await house.clock.advance(2)
        house.broker.quotes = Broken()
        await house.clock.advance(2)
        assert ("loss of the day not told",) in house.log
        house.broker.quotes = {}
        quote(house, "40")
        await house.clock.advance(2)
        (state,) = house.gateway.trading_states("main")
        assert state.state is TradingState.STOPPED


async def test_the_fills_of_a_broker_are_counted() -> None:
    """Those that it told and those that were found by a poll; each once."""
    async with living() as house:
        for name in ("a", "b"):
            await house.gateway.place_order(place(name))
        told = house.broker.fill("a", "1", ends=True)
        house.broker.told.put_nowait([told, told])
        house.broker.fill("b", "1", ends=True)
        await house.clock.advance(70)
        (view,) = house.gateway.brokers()
        assert view.metrics.fills == 2
