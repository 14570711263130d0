"""Brokers by name."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from brokergate.adapters.context import BrokerContext
from brokergate.adapters.registry import BROKERS, BrokerRegistry, UnknownBrokerError, create_broker
from brokergate.config.accounts import AccountConfig
from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Section, Text
from brokergate.domain.accounts import Environment
from brokergate.ports.broker import AbstractBroker
from tests.context import broker_context

PAPER = (Environment.PAPER,)


class HouseConfig(Section):
    """A broker of the house."""

    desk: Text = "1"
    """Which desk. Default 1."""


def seven(account: AccountConfig, context: BrokerContext) -> int:
    """What is no broker."""
    return 7


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is gone after it."""
    monkeypatch.setattr(BrokerRegistry, "_registered", dict(BrokerRegistry._registered))


def test_a_registered_broker_is_made_for_accounts_that_name_it_with_its_own_section() -> None:
    @BrokerRegistry.register("house", settings=HouseConfig, environments=[Environment.DEMO])
    def make(account: AccountConfig, context: BrokerContext) -> AbstractBroker:
        desk = account.settings(HouseConfig).desk
        raise LookupError(f"asked for {account.broker} with {desk} as {context.account_id}")

    assert "house" in BrokerRegistry.names()
    assert BrokerRegistry.get("house") is BROKERS["house"]
    assert BROKERS["house"].environments == (Environment.DEMO,)
    with pytest.raises(LookupError, match="asked for house with 1 as test"):
        create_broker(AccountConfig(broker="house"), broker_context())


@pytest.mark.parametrize("name", ["paper", "house"])
def test_a_name_is_given_once(name: str) -> None:
    BrokerRegistry.add(BrokerKind("house", HouseConfig, "x:y", PAPER))
    with pytest.raises(ValueError, match=f"there is a broker '{name}' already"):
        BrokerRegistry.add(BrokerKind(name, HouseConfig, "x:y", PAPER))


def test_a_name_that_nobody_has() -> None:
    with pytest.raises(UnknownBrokerError, match=r"no broker 'nobody'; there are .*paper"):
        BrokerRegistry.get("nobody")
    assert "nobody" not in BROKERS


def test_a_factory_that_makes_no_broker() -> None:
    BrokerRegistry.add(BrokerKind("house", HouseConfig, seven, PAPER))
    with pytest.raises(ValueError, match="the factory of 'house' made a int and no broker"):
        create_broker(AccountConfig(broker="house"), broker_context())


def test_a_factory_that_is_not_there() -> None:
    BrokerRegistry.add(BrokerKind("house", HouseConfig, "json:nothing", PAPER))
    with pytest.raises(ValueError, match="the broker 'house' has no factory at 'json:nothing'"):
        create_broker(AccountConfig(broker="house"), broker_context())


@pytest.mark.parametrize("broker", BrokerRegistry.names())
def test_every_broker_of_ours_has_its_section_and_a_factory(broker: str) -> None:
    kind = BrokerRegistry.get(broker)
    assert kind.name == broker
    assert issubclass(kind.settings, Section)
    assert callable(kind.load())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BrokerKind("House", HouseConfig, "x:y", PAPER), "is no name for a broker"),
        (lambda: BrokerKind("house", HouseConfig, "x:y", ()), "has no environment"),
        (
            lambda: BrokerKind("house", HouseConfig, "x:y", (Environment.LIVE, Environment.PAPER)),
            "defaults to live; put another environment first",
        ),
    ],
)
def test_a_kind_that_cannot_be(make: Callable[[], BrokerKind], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        make()


def test_a_configuration_is_read_without_loading_what_trades() -> None:
    """The command line starts fast: the settings of the brokers come without the brokers and what they speak with."""
    program = (
        "import sys; from brokergate.adapters.registry import BROKERS; list(BROKERS.values());"
        "print([name for name in sys.modules if name in ('aiohttp', 'websockets', 'keyring', 'pydantic_settings',"
        " 'brokergate.adapters.paper.broker')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
