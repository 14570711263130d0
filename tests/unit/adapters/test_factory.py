"""Brokers in one's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.adapters.context import BrokerContext
from brokergate.adapters.factory import BrokerFactory
from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.making import make_paper
from brokergate.adapters.registry import BrokerRegistry, UnknownBrokerError
from brokergate.config.accounts import AccountConfig
from brokergate.config.section import Section, Text
from brokergate.credentials import BrokerCredentials, CredentialsError
from brokergate.domain.accounts import Environment
from brokergate.domain.errors import AuthenticationError, ErrorReason
from brokergate.ports.broker import AbstractBroker, Accepted, Rejected, ReplaceCommand, RestoredState
from tests.unit.adapters.paper.hand_clock import order

TESTNET_AND_LIVE = (Environment.TESTNET, Environment.LIVE)


class HouseConfig(Section):
    """A broker of the house."""

    desk: Text = "1"
    """Which desk. Default 1."""


class HouseBroker(PaperTradingBroker):
    """A paper venue that asks for a key first."""

    def __init__(self, account: AccountConfig, context: BrokerContext) -> None:
        paper = make_paper(AccountConfig(broker="paper"), context)
        super().__init__(paper._config, context.clock)
        self.environment = account.environment
        self.account = account
        self.context = context
        self.closed = 0

    async def connect(self, state: RestoredState) -> None:
        if self.account.credentials["api_key"].get_secret_value() != "good":
            raise AuthenticationError("the key is refused", code="-2015")
        await super().connect(state)

    async def close(self) -> None:
        self.closed += 1
        await super().close()


@pytest.fixture(autouse=True)
def _house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(BrokerRegistry, "_registered", dict(BrokerRegistry._registered))
    monkeypatch.chdir(tmp_path)
    BrokerRegistry.register(
        "house", settings=HouseConfig, environments=TESTNET_AND_LIVE, credentials=[["api_key", "api_secret"]]
    )(HouseBroker)


def credentials(key: str = "good", **more: str) -> BrokerCredentials:
    """Of the default account of the house."""
    name = "BROKERGATE_ACCOUNTS__HOUSE__"
    return BrokerCredentials.of({f"{name}API_KEY": key, f"{name}API_SECRET": "s", **more})


@pytest.fixture
async def factory() -> AsyncIterator[BrokerFactory]:
    async with BrokerFactory(credentials()) as made:
        yield made


async def test_a_default_account_is_connected_and_trades(factory: BrokerFactory) -> None:
    """By its broker's name alone."""
    broker = await factory.create_broker("house")
    assert isinstance(broker, HouseBroker)
    assert broker.environment is Environment.TESTNET
    assert broker.context.account_id == "house"
    assert [item.symbol for item in await broker.list_instruments()]
    await factory.close()
    assert broker.closed == 1


async def test_a_paper_account_needs_nothing(factory: BrokerFactory) -> None:
    """It is the broker that is always there."""
    paper = await factory.create_broker("paper")
    assert isinstance(paper, PaperTradingBroker)
    assert isinstance(await paper.place_order(order("BTC/USDT", 1, "1", limit="1")), Accepted)


async def test_configured_accounts_with_their_own_settings() -> None:
    """As models, or as a file has them."""
    made = AccountConfig(broker="paper", environment=Environment.PAPER)
    accounts: dict[str, AccountConfig | Mapping[str, object]] = {
        "desk": {
            "broker": "house",
            "credentials": {"api_key": "good", "api_secret": "x"},
            "house": {"desk": "9"},
        },
        "model": made,
    }
    async with BrokerFactory(credentials("bad"), accounts=accounts) as factory:
        desk = await factory.create_broker("desk")
        assert isinstance(desk, HouseBroker)
        assert desk.account.settings(HouseConfig).desk == "9"
        assert isinstance(await factory.create_broker("model"), PaperTradingBroker)


async def test_files_as_the_gateway_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__DESK__API_KEY", "good")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__DESK__API_SECRET", "s")
    (tmp_path / "b.yaml").write_text("accounts: {desk: {broker: house}}\n")
    async with BrokerFactory.of_files(tmp_path / "b.yaml") as factory:
        assert isinstance(await factory.create_broker("desk"), HouseBroker)


@pytest.mark.parametrize("trading_enabled", [None, False, True])
async def test_a_live_account_is_read_only_unless_it_says_otherwise(trading_enabled: bool | None) -> None:
    """A factory is no way around `trading.enabled`."""
    trading = {} if trading_enabled is None else {"trading": {"enabled": trading_enabled}}
    accounts = {"desk": {"broker": "house", "environment": "live", **trading}}
    own = {"BROKERGATE_ACCOUNTS__DESK__API_KEY": "good", "BROKERGATE_ACCOUNTS__DESK__API_SECRET": "s"}
    async with BrokerFactory(credentials(**own), accounts=accounts) as factory:
        broker = await factory.create_broker("desk")
        asked = order("BTC/USDT", 1, "1", limit="1")
        outcome = await broker.place_order(asked)
        if trading_enabled:
            assert isinstance(outcome, Accepted)
            return
        assert isinstance(outcome, Rejected)
        assert outcome.reason is ErrorReason.TRADING_DISABLED
        assert "account 'desk' is only read; set trading.enabled: true" in outcome.message
        replaced = await broker.replace_order(ReplaceCommand(asked, asked.spec, Decimal(1)))
        assert isinstance(replaced, Rejected)
        assert replaced.reason is ErrorReason.TRADING_DISABLED
        assert await broker.get_balances()
        assert await broker.list_instruments()


async def test_a_refused_key_names_the_account_and_leaves_nothing_open() -> None:
    async with BrokerFactory(credentials("hunter2")) as factory:
        with pytest.raises(AuthenticationError) as refused:
            await factory.create_broker("house")
        assert str(refused.value) == "account 'house' (house, testnet): the key is refused"
        assert refused.value.code == "-2015"
        assert factory._brokers == []


async def test_what_cannot_be_made() -> None:
    async with BrokerFactory(
        BrokerCredentials.of({"BINANCE_API_KEY": "k"}),
        accounts={
            "wrong": {"broker": "house", "environment": "demo"},
            "typo": {"broker": "house", "credentials": {"api_key": "hunter2"}, "trading": {"enabeld": True}},
            "half": {"broker": "house", "credentials": {"api_key": "hunter2"}},
            "model": AccountConfig(broker="house", environment=Environment.PAPER),
        },
    ) as factory:
        for name, error, says in (
            (
                "nobody",
                UnknownBrokerError,
                "no account and no broker 'nobody'; there are half, house, model, paper",
            ),
            (
                "house",
                CredentialsError,
                "account 'house' lacks api_key and api_secret; house takes {api_key, api",
            ),
            ("wrong", ValueError, "account 'wrong': demo is no environment of house; write live or testnet"),
            ("model", ValueError, "account 'model': paper is no environment of house"),
            ("typo", ValueError, "accounts.typo.trading.enabeld: Extra inputs are not permitted"),
            ("half", CredentialsError, "account 'half' lacks api_secret"),
        ):
            with pytest.raises(error) as refused:
                await factory.create_broker(name)
            assert says in str(refused.value).replace("alpaca, ", "").replace("binance, ", "").replace(
                "ibkr, ", ""
            )
            assert "hunter2" not in str(refused.value)


def test_a_default_account_lives_where_its_switch_says() -> None:
    """A broker of ours; its adapter is not loaded for that."""
    broker = next((name for name in ("binance", "alpaca") if name in BrokerRegistry.names()), None)
    if broker is None:
        pytest.skip("no broker of ours has a live environment yet")
    prefix = broker.upper()
    flag = {"BINANCE": "TESTNET", "ALPACA": "PAPER"}[prefix]
    keys = {f"{prefix}_API_KEY": "k", f"{prefix}_API_SECRET": "s"}
    trying = BrokerFactory(BrokerCredentials.of(keys)).account(broker)
    assert trying.environment is not Environment.LIVE
    assert trying.trading_enabled
    live = BrokerFactory(BrokerCredentials.of(keys | {f"{prefix}_{flag}": "false"})).account(broker)
    assert live.environment is Environment.LIVE
    assert not live.trading_enabled
    enabled = BrokerFactory(BrokerCredentials.of(keys | {f"{prefix}_{flag}": "false"}), trading_enabled=True)
    assert enabled.account(broker).trading_enabled


def test_every_method_of_the_port_is_passed_on() -> None:
    """A method that the port gets and the wrapper forgets would answer for a broker that has its own."""
    from brokergate.adapters.read_only import ReadOnlyBroker

    own = {"place_order", "unsaved"}  # made of place_orders; of a venue that a journal keeps
    port = {
        name for name in vars(AbstractBroker) if callable(getattr(AbstractBroker, name)) and name[0] != "_"
    }
    assert port - own <= vars(ReadOnlyBroker).keys()


async def test_an_account_that_is_only_read_says_of_itself_what_its_broker_says() -> None:
    """Where a person trades by hand and the gateway looks on, their trades are no sign of a stream that is mute."""
    from brokergate.adapters.ibkr.broker import InteractiveBrokersBroker
    from brokergate.adapters.read_only import ReadOnlyBroker
    from tests.unit.adapters.ibkr.house import Account

    made = Account(1).broker
    wrapped = ReadOnlyBroker(made, "no")
    assert isinstance(made, InteractiveBrokersBroker)
    assert (
        (wrapped.in_process, wrapped.tells_of_others)
        == (made.in_process, made.tells_of_others)
        == (False, False)
    )
