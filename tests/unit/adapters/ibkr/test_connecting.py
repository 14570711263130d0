"""The adapter against an emulated TWS: connections that are not there, that are refused, and that are lost."""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

import pytest

from brokergate.adapters.factory import BrokerFactory
from brokergate.adapters.ibkr.library import LIBRARIES
from brokergate.credentials import BrokerCredentials
from brokergate.domain.accounts import Environment
from brokergate.domain.errors import (
    AuthenticationError,
    BrokerError,
    FinalError,
    RecoverableError,
    TemporaryConnectionError,
)
from tests.emulators.client import Emulator
from tests.unit.adapters.ibkr.house import FIRST, SECOND, Account, House, sent


async def failure(account: Account) -> BrokerError:
    """Why it does not connect."""
    try:
        with pytest.raises(BrokerError) as caught:
            await account.connect()
    finally:
        await account.close()
        await account.house.connections.close()
    return caught.value


async def test_where_no_tws_is_the_error_says_what_to_start() -> None:
    error = await failure(Account(1))
    assert isinstance(error, TemporaryConnectionError)
    assert "no TWS or IB Gateway at 127.0.0.1:1 (Connection refused)" in str(error)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("accept_then_close", "enable its API"), ("silent_accept", "says nothing in 0.7 s")],
)
async def test_a_tws_that_takes_a_connection_and_no_more_is_told_apart(
    venue: Emulator, fault: str, words: str
) -> None:
    """Trap 8: the library makes a TimeoutError of all of these."""
    await venue.fault(fault)
    error = await failure(Account(venue.port, request_timeout_ms=700))
    assert isinstance(error, TemporaryConnectionError)
    assert words in str(error)


async def test_a_client_id_that_is_taken_is_named_and_at_once(venue: Emulator) -> None:
    async with Account(venue.port):
        error = await failure(Account(venue.port, request_timeout_ms=60_000))
    assert isinstance(error, FinalError)
    assert "another connection with the client id 1 (326)" in str(error)


async def test_after_a_loss_a_client_id_that_is_still_taken_is_tried_again(venue: Emulator) -> None:
    async with Account(venue.port) as account:
        await venue.fault("restart", seconds=0.05, stuck=2)
        await account.until(lambda: account.ended)
        await account.again()
        assert await account.broker.list_open_orders() == []


async def test_an_api_that_only_reads_is_refused_with_the_way_out(venue: Emulator) -> None:
    await venue.fault("read_only")
    error = await failure(Account(venue.port))
    assert isinstance(error, AuthenticationError)
    assert "clear 'Read-Only API' in its API settings" in str(error)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"account": "DU7777777"}, f"logged in to {FIRST}, {SECOND} and not to DU7777777"),
        ({"account": None}, f"logged in to 2 accounts ({FIRST}, {SECOND})"),
        ({"environment": "live"}, f"{FIRST} is a paper account, and its environment is live"),
    ],
)
async def test_an_account_that_is_not_the_logins_is_refused(
    venue: Emulator, settings: dict[str, str], words: str
) -> None:
    error = await failure(Account(venue.port, **settings))  # type: ignore[arg-type]
    assert isinstance(error, AuthenticationError)
    assert words in str(error)


async def test_a_question_that_is_not_answered_while_connecting_is_no_success(venue: Emulator) -> None:
    """Trap 3: the library connects although a part of what it asks for timed out."""
    await venue.fault("answer_lost_after_accept", on="open_orders", how="hang", count=1)
    account = Account(venue.port, request_timeout_ms=500)
    error = await failure(account)
    assert isinstance(error, TemporaryConnectionError)
    assert "connected and mute" in str(error)


async def test_a_question_that_fails_raises_and_is_no_empty_list(venue: Emulator) -> None:
    """Trap 4."""
    async with Account(venue.port) as account:
        await venue.fault("error", on="open_orders", code=321, text="Error validating request")
        with pytest.raises(BrokerError, match="321"):
            await account.broker.list_open_orders()


async def test_questions_of_one_kind_wait_for_each_other(venue: Emulator) -> None:
    """Trap 5: the library forgets the first of two for ever."""
    async with Account(venue.port) as account:
        placed, _ = await account.place()
        lists = await asyncio.gather(*(account.broker.list_open_orders() for _ in range(4)))
        assert [[order.broker_order_id for order in each] for each in lists] == [[placed.broker_order_id]] * 4


async def test_a_late_answer_is_not_taken_for_the_next_ones(venue: Emulator) -> None:
    async with Account(venue.port, request_timeout_ms=400) as account:
        await account.place()
        await venue.fault("delay", on="open_orders", seconds=0.6, count=1)
        with pytest.raises(RecoverableError):
            await account.broker.list_open_orders()
        assert account.ended is not None or not account.broker._line.connected
        await account.again()
        assert len(await account.broker.list_open_orders()) == 1


async def test_a_peer_that_is_gone_without_a_word_is_found(venue: Emulator) -> None:
    """Trap 9."""
    async with Account(venue.port, request_timeout_ms=400, quiet_timeout_ms=200) as account:
        await venue.fault("half_open")
        await account.until(lambda: account.ended)
        assert "connected and mute" in str(account.ended)


@pytest.mark.parametrize("state", ["lost", "restored", "restored_data_lost"])
async def test_what_tws_says_of_its_own_connection_ends_ours(venue: Emulator, state: str) -> None:
    """What happened meanwhile is told to nobody who does not ask (LEAN#249)."""
    async with Account(venue.port) as account:
        await venue.fault("connectivity", state=state)
        await account.until(lambda: account.ended)
        assert isinstance(account.ended, TemporaryConnectionError)
        assert "Interactive Brokers says 110" in str(account.ended)


async def test_market_data_farms_that_come_and_go_are_no_outage(venue: Emulator) -> None:
    async with Account(venue.port) as account:
        await venue.fault("farm_flap", times=3)
        await account.broker.list_open_orders()
        assert account.ended is None


async def test_a_message_that_cannot_be_read_ends_the_connection(venue: Emulator) -> None:
    """The library logs it and goes on, as if nothing had been said."""
    async with Account(venue.port) as account:
        socket = account.broker._line.live()
        socket._client.decoder.interpret(["3", "x", "Submitted", "", "", "", "", "", "", "", "", ""])
        await account.until(lambda: account.ended)
        assert "cannot be read" in str(account.ended)


async def test_accounts_of_one_login_share_the_connection(venue: Emulator) -> None:
    house = House()
    one = Account(venue.port, house=house)
    other = Account(venue.port, house=house, account_id="second", account=SECOND)
    await asyncio.gather(one.connect(), other.connect())
    assert len(await sent(venue, "logon")) == 1
    placed, _ = await one.place()
    await one.until(lambda: one.told)
    assert not other.told
    assert len(await one.broker.list_open_orders()) == 1
    assert await other.broker.list_open_orders() == []
    await one.close()
    # The other goes on, and hears of its own.
    await other.market("c2")
    await other.until(lambda: other.filled("c2"))
    assert [position.symbol for position in await other.broker.get_positions()] == ["AAPL"]
    await one.again(placed)
    assert await one.broker.get_positions() == []
    # Who connects again may have found it mute: the connection is made anew, for the other too.
    await other.until(lambda: other.ended)
    await other.again()
    assert len(await other.broker.get_positions()) == 1
    assert len(await sent(venue, "logon")) == 2
    await one.close()
    await other.close()
    await house.connections.close()


async def test_the_default_account_is_where_its_variables_say() -> None:
    """Without a configuration: what TWS has, and nothing is listed to be traded."""
    elsewhere = Emulator.start("tws", "--accounts", FIRST)
    variables = {"IB_PORT": str(elsewhere.port), "IB_CLIENT_ID": "9"}
    try:
        await elsewhere.add_fill("ESZ6", "buy", 1, 6000)
        async with BrokerFactory(BrokerCredentials.of(variables)) as factory:
            broker = await factory.create_broker("ibkr")
            assert broker.environment is Environment.PAPER
            (held,) = await broker.get_positions()
            assert (held.symbol, held.quantity, held.multiplier) == ("ESZ6", Decimal(1), Decimal(50))
            assert await broker.list_instruments() == []
        log = await elsewhere.log()
        assert {entry["parameters"]["client_id"] for entry in log if entry["kind"] == "logon"} == {9}
    finally:
        elsewhere.close()


async def test_without_a_library_the_error_says_what_to_install(
    venue: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in LIBRARIES:
        monkeypatch.setitem(sys.modules, name, None)
    error = await failure(Account(venue.port))
    assert isinstance(error, FinalError)
    assert "pip install 'brokergate[ib]'" in str(error)


async def test_a_message_that_nobody_asked_for_is_passed_over(venue: Emulator) -> None:
    """What a later TWS may say beside what its protocol has."""
    async with Account(venue.port) as account:
        socket = account.broker._line.live()
        socket._client.decoder.interpret(["999", "1", "news of some kind"])
        await account.broker.list_open_orders()
        assert account.ended is None


async def test_a_position_without_a_price_is_no_message_that_cannot_be_read(venue: Emulator) -> None:
    """Of what does not trade TWS writes the number that stands for none: the account is not lost for that."""
    unset = "1.7976931348623157E308"
    contract = ["265598", "AAPL", "STK", "", "0", "0", "", "NASDAQ", "USD", "AAPL", "NMS"]
    async with Account(venue.port) as account:
        socket = account.broker._line.live()
        socket._client.decoder.interpret(["7", "8", *contract, "1", unset, unset, "90", unset, unset, FIRST])
        await account.broker.list_open_orders()
        assert account.ended is None
