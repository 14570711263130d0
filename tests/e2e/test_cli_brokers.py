"""`brokergate brokers` and `brokergate init BROKER`, as a user runs them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from brokergate.adapters.registry import BROKERS, BrokerRegistry
from tests.e2e.console import brokergate
from tests.emulators.client import Emulator

needed = re.compile(r"^[^#\n]*\$\{([A-Z_]+)\}", re.MULTILINE).findall


@pytest.mark.parametrize("broker", BrokerRegistry.names())
def test_a_brokers_template_is_a_configuration(tmp_path: Path, broker: str) -> None:
    """With the variables that it names, and these alone; without them each is asked for by its name."""
    printed = brokergate("init", broker, cwd=tmp_path)
    assert (printed.status, printed.stderr) == (0, "")
    (tmp_path / "b.yaml").write_bytes(printed.stdout)
    names = needed(printed.text)
    assert bool(names) == bool(BROKERS[broker].credential_names)
    if names:
        without = brokergate("check", "b.yaml", cwd=tmp_path)
        assert without.status == 1
        assert all(f"needs the variable {name}, which is not set" in without.stderr for name in names)
    checked = brokergate("check", "b.yaml", cwd=tmp_path, env=dict.fromkeys(names, "x"))
    assert (checked.status, checked.stderr) == (0, "")
    world = BROKERS[broker].environments[0].name.lower()
    assert f"account   {broker}-main: {broker}, {world}, trading\n" in checked.text


def test_a_template_that_nobody_has(tmp_path: Path) -> None:
    """Those there are, told."""
    done = brokergate("init", "binanse", cwd=tmp_path)
    assert done.status == 2
    assert done.stderr.startswith(
        "brokergate: no template 'binanse'; there are development, testing, production,"
    )


def test_the_list(tmp_path: Path) -> None:
    """Names, environments, and what each wants to see."""
    done = brokergate("brokers", "list", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.text.splitlines()] == list(BrokerRegistry.names())


def test_a_paper_account_is_tried(tmp_path: Path) -> None:
    """By its configuration, or as the broker's default account; for people and for programs."""
    (tmp_path / "b.yaml").write_text(
        "accounts: {desk: {broker: paper, trading: {enabled: false}, paper: {initial_balance: {USD: 5}}}}\n"
    )
    desk = brokergate("brokers", "test", "desk", "paper", "--config", "b.yaml", "--json", cwd=tmp_path)
    assert (desk.status, desk.stderr) == (0, "")
    first, second = (json.loads(line) for line in desk.text.splitlines())
    assert (first["account"], first["broker"], first["environment"]) == ("desk", "paper", "paper")
    assert first["orders"] == "not taken: trading.enabled is false"
    assert first["balances"] == ["5 USD"]
    assert second["account"] == "paper"
    shown = brokergate("brokers", "test", "paper", cwd=tmp_path)
    assert (shown.status, shown.stderr) == (0, "")
    assert "broker       paper\n" in shown.text
    assert not (tmp_path / "data").exists()


def test_an_account_that_is_none(tmp_path: Path) -> None:
    """Beside one that is: the other is tried all the same."""
    done = brokergate("brokers", "test", "nobody", "paper", cwd=tmp_path)
    assert done.status == 1
    assert "brokergate: no account and no broker 'nobody'; there are " in done.stderr
    assert "account      paper\n" in done.text


def test_a_configuration_that_cannot_be_used(tmp_path: Path) -> None:
    """Is told as 'check' tells it."""
    (tmp_path / "b.yaml").write_text("accounts: {desk: {broker: papr}}\n")
    done = brokergate("brokers", "test", "desk", "--config", "b.yaml", cwd=tmp_path)
    assert done.status == 2
    assert "b.yaml:1: accounts.desk.broker ('papr') is not the name of a broker" in done.stderr


def test_each_warning_has_a_line(tmp_path: Path) -> None:
    """What is wrong with one symbol does not run into what is wrong with the next."""
    tws = Emulator.start("tws")
    try:
        ibkr = f"{{port: {tws.port}, instruments: [AAPL, NOPE, NONE.A]}}"
        (tmp_path / "b.yaml").write_text(f"accounts: {{desk: {{broker: ibkr, ibkr: {ibkr}}}}}\n")
        tried = brokergate("brokers", "test", "desk", "--config", "b.yaml", cwd=tmp_path)
    finally:
        tws.close()
    assert (tried.status, tried.stderr) == (0, "")
    first, second = tried.text.splitlines()[-2:]
    assert first.startswith("warnings     Interactive Brokers knows no contract for 'NOPE'")
    assert second.startswith("             Interactive Brokers knows no contract for 'NONE.A'")
