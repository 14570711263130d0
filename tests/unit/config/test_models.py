"""The settings themselves: each is documented, and the documentation is what the models say."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from decimal import Decimal
from enum import Enum
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from brokergate.adapters.registry import BROKERS
from brokergate.config import GatewayConfig, LimitsConfig, Section, gateway_model
from brokergate.config.fields import Setting, is_secret, names_at, settings
from brokergate.domain.fills import Money
from brokergate.domain.policy import RiskLimits
from brokergate.transport.settings import TransportSettings
from tests.unit.config.paper import load

MODEL = gateway_model(BROKERS)
ALL = list(settings(MODEL))


def test_the_walk_finds_every_section() -> None:
    """Those in maps, in lists and of the brokers."""
    paths = {setting.path for setting in ALL}
    assert len(paths) == len(ALL) > 50
    assert {
        "profile",
        "server.listen[].tls.client_ca",
        "server.limits.max_subscribers",
        "accounts.<id>.trading.enabled",
        "accounts.<id>.risk_limits.max_order_notional.currency",
        "accounts.<id>.paper.feed.synthetic.seed",
        "routes",
    } <= paths


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.path)
def test_every_setting_is_documented(setting: Setting) -> None:
    """With at least a sentence; a setting that has a default says so."""
    description = setting.field.description or ""
    assert description.rstrip().endswith("."), f"{setting.path} has no docstring below it"
    if not setting.field.is_required() and not setting.sections:
        assert "efault" in description, f"{setting.path} does not say its default"


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.path)
def test_the_default_that_is_documented_is_the_default(setting: Setting) -> None:
    """For values that have one way to be written."""
    default = setting.field.default
    if default is PydanticUndefined or default is None:
        return
    if isinstance(default, Enum):
        written = default.value if isinstance(default, str) else default.name.lower()
        assert f"`{written}`" in (setting.field.description or "")
    elif isinstance(default, bool):
        assert f"Default {str(default).lower()}" in (setting.field.description or "")
    elif isinstance(default, int):
        described = " ".join((setting.field.description or "").split())
        assert f"Default {default}" in described


def test_every_section_is_documented_and_closed() -> None:
    """It has a docstring, refuses unknown keys and cannot be changed."""
    sections: set[type[BaseModel]] = {section for setting in ALL for section in setting.sections}
    for section in sections | {MODEL}:
        assert issubclass(section, Section)
        assert (section.__doc__ or "").strip(), section
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["frozen"] is True
        assert section.model_config["hide_input_in_errors"] is True


def test_the_documentation_is_what_the_models_say(project_root: Path) -> None:
    """docs/configuration.md is written by tools/configuration_docs.py, and is up to date."""
    done = subprocess.run(
        [sys.executable, project_root / "tools" / "configuration_docs.py", "--check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_limits_are_the_transports() -> None:
    """Same names, same defaults: what the configuration documents is what a server without a file does."""
    transport = {
        field.name: field.default
        for field in dataclasses.fields(TransportSettings)
        if field.name in LimitsConfig.model_fields
    }
    assert LimitsConfig().model_dump() == transport
    assert {field.name for field in dataclasses.fields(TransportSettings)} - set(transport) == {
        "listeners",
        "client_scopes",
        "default_client_scope",
        "reflection",
        "drain_grace_ms",
    }


def test_where_secrets_are() -> None:
    """In `credentials`, and nowhere else."""
    assert is_secret(MODEL, ("accounts", "x", "credentials"))
    assert is_secret(MODEL, ("accounts", "x", "credentials", "api_key"))
    assert is_secret(MODEL, ("accounts", "x", "credentials", "api_key", "file"))
    assert not is_secret(MODEL, ("accounts", "x", "broker"))
    assert not is_secret(MODEL, ("nowhere",))


def test_names_of_a_section() -> None:
    """For suggestions, also within lists and where a list was written as its only item."""
    assert "listen" in names_at(MODEL, ("server",))
    assert "address" in names_at(MODEL, ("server", "listen", 0))
    assert "address" in names_at(MODEL, ("server", "listen"))
    assert "feed" in names_at(MODEL, ("accounts", "any", "paper"))
    assert names_at(MODEL, ("server", "nothing")) == []


def test_risk_limits_reach_the_engine_as_they_are_written(tmp_path: Path) -> None:
    """Amounts to the last digit, a collar in per cent, ages in nanoseconds; what is not set is no limit."""
    file = tmp_path / "brokergate.yaml"
    file.write_text(
        "accounts:\n  none: {broker: paper}\n  all:\n    broker: paper\n    risk_limits:\n"
        "      instruments: [BTC/USDT, 'EUR/USD']\n      max_order_quantity: {BTC/USDT: 0.10}\n"
        "      max_order_notional: {amount: 50000.01, currency: USDT}\n"
        "      max_position_quantity: {BTC/USDT: 2}\n      max_position_notional: {amount: 1, currency: EUR}\n"
        "      max_open_orders: 50\n      price_collar_percent: 2.5\n      max_orders_per_second: 20\n"
        "      max_daily_loss: {amount: 1000, currency: USD}\n"
        "      daily_loss_time_zone: America/New_York\n      quote_max_age_ms: 1500\n"
    )
    accounts = load(file).accounts
    assert accounts["all"].risk_limits.policy() == RiskLimits(
        instruments=frozenset({"BTC/USDT", "EUR/USD"}),
        max_order_quantity={"BTC/USDT": Decimal("0.10")},
        max_order_notional=Money(Decimal("50000.01"), "USDT"),
        max_position_quantity={"BTC/USDT": Decimal(2)},
        max_position_notional=Money(Decimal(1), "EUR"),
        max_open_orders=50,
        price_collar_percent=Decimal("2.5"),
        max_orders_per_second=20,
        max_daily_loss=Money(Decimal(1000), "USD"),
        daily_loss_time_zone="America/New_York",
        quote_max_age_ns=1_500_000_000,
    )
    assert accounts["none"].risk_limits.policy() == RiskLimits()
    assert not RiskLimits()


def test_a_configuration_made_in_code_is_held_to_the_same_rules() -> None:
    """With Python's values in place of texts."""
    config = GatewayConfig.model_validate(
        {"accounts": {"a": {"broker": "paper"}}, "server": {"drain_grace_s": 3, "reflection": True}}
    )
    assert (config.server.drain_grace_s, config.server.reflection) == (3, True)
