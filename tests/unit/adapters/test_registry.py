"""Brokers by name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from brokergate.adapters import registry
from brokergate.adapters.settings import SETTINGS
from brokergate.config.accounts import AccountConfig
from brokergate.config.section import Section, Text
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock, SystemClock


class HouseConfig(Section):
    """A broker of the house."""

    desk: Text = "1"
    """Which desk. Default 1."""


def refuse(account: AccountConfig, clock: Clock) -> AbstractBroker:
    raise LookupError(f"asked for {account.broker} with {account.settings(HouseConfig).desk}")


def test_a_registered_broker_is_made_for_accounts_that_name_it_with_its_own_section(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # So that both tables are afterwards as they were.
    monkeypatch.setitem(registry.FACTORIES, "house", refuse)
    monkeypatch.setitem(SETTINGS, "house", HouseConfig)
    del registry.FACTORIES["house"], SETTINGS["house"]
    registry.register("house", refuse, HouseConfig)
    assert SETTINGS["house"] is HouseConfig
    with pytest.raises(LookupError, match="asked for house with 1"):
        registry.create_broker(AccountConfig(broker="house"), SystemClock())


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="there is a broker 'paper' already"):
        registry.register("paper", refuse, HouseConfig)


def test_every_broker_has_a_section_and_the_other_way_round() -> None:
    assert set(SETTINGS) == set(registry.FACTORIES)


def test_a_configuration_is_read_without_loading_what_trades() -> None:
    """The command line starts fast: the sections of the brokers come without the brokers."""
    program = "import sys, brokergate.cli.options; print('brokergate.adapters.paper.broker' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "False"
