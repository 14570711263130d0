"""Binance on a bad day: what a command's outcome is, and whether more was sent than may be."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from brokergate.adapters.binance.broker import BinanceBroker
from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    ErrorReason,
    ExchangeMaintenanceError,
    RateLimitError,
    TemporaryConnectionError,
)
from brokergate.ports.broker import Absent, Accepted, Failed, Found, Outcome, Rejected, Unknown
from tests.conformance.binance import EMPTY, account, context, emulator, until
from tests.unit.adapters.binance.house import House, open_house

R = ErrorReason


def reason(outcome: Outcome) -> ErrorReason:
    assert isinstance(outcome, Rejected), outcome
    return outcome.reason


async def there(house: House) -> int:
    """Orders that the venue took."""
    return len(await house.venue.orders())


# Connecting


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("secret", "check api_secret or private_key"),
        ("key", "the key is unknown here, expired, lacks a permission"),
        ("revoked", "the key is unknown here"),
        ("address", "this machine's address is not on its list"),
    ],
)
async def test_a_key_that_is_refused_is_named_with_the_way_out(spoil: str, words: str) -> None:
    async with open_house(connect=False) as house:
        if spoil == "revoked":
            await house.venue.fault("key_revoked")
        if spoil == "address":
            await house.venue.ask("permissions", this_address=False)
        given = account(house.venue)
        credentials: dict[str, SecretStr] = dict(given.credentials)
        if spoil in ("secret", "key"):
            credentials[f"api_{spoil}"] = SecretStr("wrong-one")
        parts = context("named")
        broker = BinanceBroker(given.model_copy(update={"credentials": credentials}), parts)
        with pytest.raises(AuthenticationError, match=words) as refused:
            await broker.connect(EMPTY)
        assert "wrong-one" not in str(refused.value)
        await broker.close()
        await parts.connections.close()


async def test_a_venue_that_is_away_is_a_connection_that_fails() -> None:
    given = account(emulator()).model_copy(deep=True)
    nowhere = given.binance.model_copy(update={"rest_url": "http://127.0.0.1:9"})
    parts = context("named")
    broker = BinanceBroker(given.model_copy(update={"binance": nowhere}), parts)
    with pytest.raises(TemporaryConnectionError, match="nothing was sent"):
        await broker.connect(EMPTY)
    await parts.connections.close()


async def test_maintenance_is_one() -> None:
    async with open_house(connect=False) as house:
        await house.venue.fault("maintenance")
        with pytest.raises((ExchangeMaintenanceError, TemporaryConnectionError)):
            await house.broker.connect(EMPTY)


# Answers


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("status", {"code": 500, "accept": True}),
        ("status", {"code": 502, "accept": True}),
        ("status", {"code": 503, "accept": True}),
        ("status", {"code": 504, "accept": True}),
        ("html", {"accept": True}),
        ("html", {"accept": True, "code": 502}),
        ("partial_json", {}),
        ("answer_lost_after_accept", {}),
    ],
)
async def test_an_order_that_was_taken_and_not_answered_is_unknown_and_found(
    fault: str, arguments: dict[str, Any]
) -> None:
    async with open_house() as house:
        await house.venue.fault(fault, on="place", **arguments)
        order, outcome = await house.place()
        assert isinstance(outcome, Unknown)
        found = await house.broker.find_order(order)
        assert isinstance(found, Found)
        assert found.order.client_order_id == order.client_order_id
        assert len(await house.requests("place")) == await there(house) == 1


@pytest.mark.parametrize(
    ("fault", "arguments"),
    [
        ("status", {"code": 500}),
        ("status", {"code": 503}),
        ("html", {}),
        ("answer_lost_before_accept", {}),
    ],
)
async def test_an_order_that_was_not_taken_and_not_answered_is_unknown_and_absent(
    fault: str, arguments: dict[str, Any]
) -> None:
    async with open_house() as house:
        await house.venue.fault(fault, on="place", **arguments)
        order, outcome = await house.place()
        assert isinstance(outcome, Unknown)
        assert isinstance(await house.broker.find_order(order), Absent)
        assert len(await house.requests("place")) == 1
        assert await there(house) == 0


@pytest.mark.parametrize("status", [403, 418, 429])
async def test_an_order_that_the_limits_refuse_is_rejected_and_not_sent_again(status: int) -> None:
    async with open_house() as house:
        await house.venue.fault("status", on="place", code=status, retry_after=1)
        _, outcome = await house.place()
        assert reason(outcome) is R.RATE_LIMITED
        assert len(await house.requests("place")) == 1
        assert await there(house) == 0


async def test_a_ban_is_honoured_by_cancels_and_questions_too() -> None:
    """Nothing leaves for as long as Binance wants silence, and what cannot wait so long fails at once."""
    async with open_house() as house:
        order, _ = await house.place()
        await house.venue.fault("status", on="place", code=418, retry_after=30)
        await house.place()
        sent = len(await house.venue.log())
        assert reason((await house.place())[1]) is R.RATE_LIMITED
        assert reason(await house.broker.cancel_order(order)) is R.RATE_LIMITED
        assert isinstance(await house.broker.find_order(order), Failed)
        with pytest.raises(RateLimitError):
            await house.broker.list_open_orders()
        assert len(await house.venue.log()) == sent
        assert (await house.venue.ask("used"))["bans"] == 0


async def test_too_many_orders_hold_back_orders_alone() -> None:
    async with open_house() as house:
        order, _ = await house.place()
        await house.venue.fault("status", on="place", code=429, error=-1015, retry_after=30)
        assert reason((await house.place())[1]) is R.RATE_LIMITED
        sent = len(await house.requests("place"))
        assert reason((await house.place())[1]) is R.RATE_LIMITED
        assert len(await house.requests("place")) == sent
        assert len(await house.broker.list_open_orders()) == 1
        assert isinstance(await house.broker.cancel_order(order), Accepted)


async def test_silence_that_the_websocket_api_asks_for_is_kept() -> None:
    async with open_house(connect=False) as house:
        await house.venue.fault("status", on="subscribe", code=429, retry_after=30)
        with pytest.raises(RateLimitError):
            await house.broker.connect(EMPTY)
        sent = len(await house.venue.log())
        with pytest.raises(RateLimitError):
            await house.broker.connect(EMPTY)
        assert len(await house.venue.log()) == sent


@pytest.mark.parametrize("fault", ["html", "partial_json", "status"])
@pytest.mark.parametrize("question", ["open_orders", "account"])
async def test_a_question_that_fails_is_no_empty_answer(fault: str, question: str) -> None:
    async with open_house() as house:
        await house.place()
        await house.venue.fault(fault, on=question)
        with pytest.raises(BrokerError):
            await (
                house.broker.list_open_orders() if question == "open_orders" else house.broker.get_balances()
            )
        assert len(await house.broker.list_open_orders()) == 1


async def test_pages_of_executions_that_fail_are_no_page() -> None:
    async with open_house() as house:
        await house.place(limit="10200")
        await house.venue.fault("partial_json", on="fills")
        with pytest.raises(BrokerError):
            await house.broker.list_fills("")
        page = await house.broker.list_fills("")
        assert [fill.quantity for fill in page.fills] == [Decimal(1)]


# The clock


async def test_a_clock_that_is_off_from_the_beginning_is_no_matter() -> None:
    async with open_house(connect=False) as house:
        await house.venue.fault("clock_off", ms=-30_000)
        await house.connect()
        _, outcome = await house.place()
        assert isinstance(outcome, Accepted)


async def test_a_clock_that_jumps_is_measured_anew() -> None:
    """The refused order is rejected by Binance's word and sent once; the next one passes, and a cancel is repeated."""
    async with open_house() as house:
        await house.venue.fault("clock_off", ms=20_000)
        _, outcome = await house.place()
        assert reason(outcome) is R.BROKER_AUTHENTICATION
        assert "clock is away" in str(outcome)
        assert len(await house.requests("place")) == 1
        order, outcome = await house.place()
        assert isinstance(outcome, Accepted)
        await house.venue.fault("clock_off", ms=-20_000)
        assert isinstance(await house.broker.cancel_order(order), Accepted)
        assert len(await house.requests("cancel")) == 2


# The private stream


@pytest.mark.parametrize("cut", ["cut_stream", "key_revoked"])
async def test_a_stream_that_ends_ends_the_events(cut: str) -> None:
    async with open_house() as house:
        await house.venue.fault(cut)
        assert isinstance(await house.until_lost(), TemporaryConnectionError)
        await house.venue.clear_faults()
        await house.close()
        await house.connect()
        order, _ = await house.place()
        await house.hear()
        assert any(order.client_order_id == getattr(said, "client_order_id", "") for said in house.told)


async def test_a_shutdown_that_is_announced_is_not_waited_for() -> None:
    async with open_house() as house:
        await house.venue.ask("shutdown", seconds=0.5)
        assert "about to close" in str(await house.until_lost())


async def test_a_stream_that_is_mute_after_a_command_is_lost() -> None:
    """It is connected, answers pings, and does not tell what an order did."""
    async with open_house(speed=20) as house:
        await house.venue.fault("mute_stream", on="orders")
        await house.place()
        assert "connected and mute" in str(await house.until_lost())


async def test_a_stream_that_tells_is_not_taken_for_mute() -> None:
    async with open_house(speed=20) as house:
        order, _ = await house.place()
        await house.broker.cancel_order(order)
        await house.place(limit="10200")
        await house.hear()
        assert house.broker._connected.stream._awaited == {}


async def test_two_accounts_of_one_key_share_the_stream_and_each_know_their_own() -> None:
    async with open_house() as house:
        other = BinanceBroker(
            account(house.venue), context("other", connections=house.broker._context.connections)
        )
        await other.connect(EMPTY)
        order, _ = await house.place()
        assert (await house.venue.streams()).count("orders") == 1
        shown = {one.broker_order_id: one.client_order_id for one in await other.list_open_orders()}
        assert shown == {order.broker_order_id: ""}
        await other.close()
        second, _ = await house.place()
        await until(
            lambda: any(getattr(said, "broker_order_id", "") == second.broker_order_id for said in house.told)
        )
        assert house.failure is None
