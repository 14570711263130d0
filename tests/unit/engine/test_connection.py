"""Where a connection stands, how it comes back, and how one that is mute is found."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from brokergate.domain.accounts import ConnectionState
from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    BrokerTimeoutError,
    GatewayError,
    RateLimitError,
    TemporaryConnectionError,
)
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import OrderState
from brokergate.domain.policy import AccountPolicy
from brokergate.domain.values import changed
from brokergate.engine.silence import REST_NS
from brokergate.engine.supervisor import STEADY_S
from brokergate.ports.broker import FillPage, OrderReport, RestoredState
from tests.unit.adapters.paper.hand_clock import settle
from tests.unit.engine.street import House, Street, living, place, request

POLL_S, QUIET_S = 30, 2
LAST_WAIT_S = 60


def states(house: House) -> list[str]:
    return [
        ConnectionState(event.connection.state).name
        for event in house.events()
        if event.HasField("connection")
    ]


def gaps(house: House) -> list[str]:
    return [event.gap.message for event in house.events() if event.HasField("gap")]


class Counted(Street):
    """Counts the attempts to connect, and fails them as the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.attempts: list[float] = []
        self.failure: BrokerError | None = None
        self.house: House | None = None

    async def connect(self, state: RestoredState) -> None:
        assert self.house is not None
        self.attempts.append(self.house.clock.monotonic_ns() / 1e9)
        if self.failure is not None:
            raise self.failure
        await super().connect(state)


async def counted(policy: AccountPolicy | None = None) -> tuple[House, Counted]:
    broker = Counted()
    house = House(broker, policy or AccountPolicy())
    broker.house = house
    await house.open()
    return house, broker


async def end(house: House) -> None:
    await house.gateway.close()
    house.journal.close()


# States


async def test_every_transition_of_the_five_states_is_an_event() -> None:
    """And the journal has them in their order, to the end."""
    house, broker = await counted()
    assert states(house) == ["CONNECTING", "CONNECTED"]
    broker.lose()
    await settle()
    broker.failure = TemporaryConnectionError("refused")
    await house.clock.advance(1)
    assert states(house)[2:] == ["RECONNECTING", "RECONNECTING", "ERROR"]
    broker.failure = None
    await house.clock.advance(3)
    assert states(house)[5:] == ["RECONNECTING", "CONNECTED"]
    await house.gateway.close()
    assert states(house)[7:] == ["DISCONNECTED"]
    assert house.log.count(("connection",)) == len(states(house))
    house.journal.close()


async def test_what_is_lost_comes_back_and_what_is_refused_is_an_error() -> None:
    """A stream that breaks is RECONNECTING, with the reason; a key that is no longer good is an ERROR."""
    async with living() as house:
        connection = house.gateway.account("main").connection

        async def fails(watermark: str) -> FillPage:
            raise failure

        good = house.broker.list_fills
        failure: BrokerError = TemporaryConnectionError("the venue closed the stream with 1001")
        house.broker.list_fills = fails  # type: ignore[method-assign]
        await house.clock.advance(POLL_S + 1)
        assert (connection.state, connection.message) == (
            ConnectionState.RECONNECTING,
            "the venue closed the stream with 1001",
        )
        house.broker.list_fills = good  # type: ignore[method-assign]
        await house.clock.advance(2)
        assert house.connected()
        failure = AuthenticationError("the key was revoked")
        house.broker.list_fills = fails  # type: ignore[method-assign]
        await house.clock.advance(POLL_S)
        assert (connection.state, connection.message) == (ConnectionState.ERROR, "the key was revoked")


# Waits


async def test_pain_5_a_venue_that_drops_each_connection_is_not_stormed() -> None:
    """Connections that last a moment each wait longer and longer; one that held begins anew."""
    house, broker = await counted()
    for _ in range(600):
        await house.clock.advance(1)
        broker.lose()
    waits = [later - sooner for sooner, later in pairwise(broker.attempts)]
    assert len(waits) < 20
    assert max(waits) <= LAST_WAIT_S + 1
    assert min(waits[-3:]) >= LAST_WAIT_S / 2
    await house.clock.advance(LAST_WAIT_S)
    assert house.connected()
    await house.clock.advance(STEADY_S + 1)
    attempts = len(broker.attempts)
    broker.lose()
    await house.clock.advance(1)
    assert len(broker.attempts) == attempts + 1
    await end(house)


async def test_waits_are_as_long_as_the_account_says() -> None:
    house, broker = await counted(AccountPolicy(reconnect_max_ns=5_000_000_000))
    broker.failure = TemporaryConnectionError("refused")
    broker.lose()
    await house.clock.advance(120)
    waits = [later - sooner for sooner, later in pairwise(broker.attempts[4:])]
    assert all(2.5 <= wait <= 5 for wait in waits)
    await end(house)


async def test_a_key_that_is_refused_is_not_tried_again_at_once() -> None:
    """Nothing makes it good by itself, and some venues count the attempts; a person need not wait."""
    house, broker = await counted()
    broker.failure = AuthenticationError("no such key")
    broker.lose()
    await house.clock.advance(1)
    attempts = len(broker.attempts)
    await house.clock.advance(LAST_WAIT_S / 2 - 1)
    assert len(broker.attempts) == attempts
    broker.failure = None
    await house.gateway.reconnect("main", request("r"))
    assert house.connected()
    await end(house)


async def test_reconnect_broker_makes_another_connection() -> None:
    """It returns when the other one stands, or when the attempt has failed."""
    house, broker = await counted()
    await house.gateway.reconnect("main", request("r1"))
    assert (house.connected(), len(broker.attempts)) == (True, 2)
    broker.failure = TemporaryConnectionError("refused")
    with pytest.raises(GatewayError, match="the broker is ERROR: refused"):
        await house.gateway.reconnect("main", request("r2"))
    assert (house.connected(), len(broker.attempts)) == (False, 3)
    await end(house)


# Polls


async def test_pain_4_a_frame_lost_on_a_healthy_socket_is_found_by_the_next_poll() -> None:
    """And the stream that kept it back is given up, with a Gap that says so (pain 5)."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        house.broker.fill("a", "1", ends=True)
        await house.clock.advance(POLL_S)
        assert house.order("a").state is OrderState.FILLED
        assert (house.connected(), gaps(house)) == (True, [])
        await house.clock.advance(QUIET_S)
        (gap,) = gaps(house)
        assert "connected and mute: it did not tell fill BTC/USDT X1" in gap
        await house.clock.advance(1)
        assert house.connected()
        assert states(house)[-3:] == ["RECONNECTING", "RECONNECTING", "CONNECTED"]
        assert gaps(house) == [gap]


async def test_the_end_of_an_order_that_the_stream_does_not_tell_is_found() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a"))
        house.broker.orders["a"] = changed(house.broker.orders["a"], state=OrderState.EXPIRED)
        await house.clock.advance(POLL_S + QUIET_S)
        assert house.order("a").state is OrderState.EXPIRED
        assert "it did not tell the end of order" in gaps(house)[0]


async def test_a_stream_that_tells_a_little_later_is_not_given_up() -> None:
    """A poll may well be faster than the stream."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        await house.gateway.place_order(place("b"))
        report = house.broker.fill("a", "1", ends=True)
        house.broker.orders["b"] = changed(house.broker.orders["b"], state=OrderState.CANCELED)
        await house.clock.advance(POLL_S + QUIET_S - 0.1)
        await house.broker.tell(
            (report,), (OrderReport(OrderEventType.CANCELED, "b", house.order("b").broker_order_id, 9),)
        )
        await house.clock.advance(POLL_S)
        assert (gaps(house), states(house)) == ([], ["CONNECTING", "CONNECTED"])


async def test_what_the_stream_told_first_is_nothing_that_it_kept_back() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a"))
        report = house.broker.fill("a", "1", ends=True)
        await house.broker.tell((report,))
        await house.clock.advance(3 * POLL_S)
        assert (gaps(house), states(house)) == ([], ["CONNECTING", "CONNECTED"])


async def test_what_was_missed_while_the_connection_was_away_is_no_streams_fault() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a"))
        house.broker.lose()
        house.broker.fill("a", "1", ends=True)
        await house.clock.advance(POLL_S + QUIET_S)
        assert house.order("a").state is OrderState.FILLED
        assert gaps(house) == []
        assert house.connected()


async def test_where_another_stream_does_not_help_trading_goes_on() -> None:
    """A stream that never tells is given up now and then, and not at every poll."""
    async with living() as house:
        for number in range(10):
            await house.gateway.place_order(place(f"a{number}"))
            house.broker.fill(f"a{number}", "1", ends=True)
            await house.clock.advance(POLL_S + QUIET_S + 1)
            assert house.order(f"a{number}").state is OrderState.FILLED
            assert house.connected()
        assert len(gaps(house)) == 1
        assert ("mute stream kept",) in house.log
        await house.clock.advance(REST_NS / 1e9)
        await house.gateway.place_order(place("b"))
        house.broker.fill("b", "1", ends=True)
        await house.clock.advance(POLL_S + QUIET_S + 1)
        assert len(gaps(house)) == 2


async def test_a_poll_that_fails_once_ends_no_connection() -> None:
    """A question may be lost; the next one, a second later, is answered, and what the poll was for is found."""
    async with living() as house:
        await house.gateway.place_order(place("a"))
        report = house.broker.fill("a", "1", ends=True)
        good, asked = house.broker.list_fills, 0

        async def once(watermark: str) -> FillPage:
            nonlocal asked
            asked += 1
            if asked == 1:
                raise BrokerTimeoutError("no answer")
            return await good(watermark)

        house.broker.list_fills = once  # type: ignore[method-assign]
        await house.clock.advance(POLL_S)
        assert house.order("a").state is OrderState.NEW
        await house.clock.advance(1)
        assert house.order("a").state is OrderState.FILLED
        await house.broker.tell((report,))
        await house.clock.advance(POLL_S)
        assert states(house) == ["CONNECTING", "CONNECTED"]
        assert ("poll failed",) in house.log


async def test_a_poll_that_has_no_budget_is_put_off() -> None:
    """Requests are needed elsewhere: that is no reason to drop a connection."""
    async with living() as house:
        good = house.broker.list_fills

        async def none_left(watermark: str) -> FillPage:
            raise RateLimitError("no budget before the deadline")

        house.broker.list_fills = none_left  # type: ignore[method-assign]
        await house.clock.advance(3 * POLL_S)
        assert states(house) == ["CONNECTING", "CONNECTED"]
        assert house.log.count(("poll put off",)) == 3
        await house.gateway.place_order(place("a"))
        house.broker.fill("a", "1", ends=True)
        house.broker.list_fills = good  # type: ignore[method-assign]
        await house.clock.advance(POLL_S)
        assert house.order("a").state is OrderState.FILLED


async def test_a_loss_while_the_stream_has_its_time_is_one_loss() -> None:
    async with living() as house:
        await house.gateway.place_order(place("a"))
        house.broker.fill("a", "1", ends=True)
        await house.clock.advance(POLL_S + 1)
        house.broker.lose()
        await house.clock.advance(POLL_S + QUIET_S)
        assert gaps(house) == []
        assert house.connected()


@pytest.mark.parametrize("quiet_ns", [0, 2_000_000_000])
async def test_a_frame_needs_its_way_even_where_no_quiet_period_is_set(quiet_ns: int) -> None:
    broker = Street()
    house = House(broker, AccountPolicy(quiet_period_ns=quiet_ns))
    await house.open()
    await house.gateway.place_order(place("a"))
    report = broker.fill("a", "1", ends=True)
    await house.clock.advance(POLL_S + 0.9)
    telling = asyncio.create_task(broker.tell((report,)))
    await settle()
    assert telling.done()
    await house.clock.advance(5)
    assert gaps(house) == []
    await end(house)
