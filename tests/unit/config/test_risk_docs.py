"""The page on risk limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brokergate.config import Section, load_config
from brokergate.config.accounts import RiskLimits
from brokergate.config.brokers import BrokerKind
from brokergate.config.overrides import Overrides
from brokergate.domain.accounts import Environment

LIMITS = sorted(RiskLimits.model_fields)


class Anything(Section):
    """A broker without settings."""


@pytest.fixture
def page(project_root: Path) -> str:
    """docs/risk.md."""
    return (project_root / "docs" / "risk.md").read_text("utf-8")


@pytest.mark.parametrize("limit", LIMITS)
def test_every_limit_is_explained(page: str, limit: str) -> None:
    """By its name in the configuration."""
    assert f"`{limit}`" in page


def test_the_example_is_a_configuration_with_every_limit(page: str, tmp_path: Path) -> None:
    """It loads, and leaves none out."""
    found = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    file = tmp_path / "brokergate.yaml"
    file.write_text(found[1], "utf-8")
    kind = BrokerKind("paper", Anything, "nowhere:make", (Environment.PAPER,))
    config = load_config([file], brokers={"paper": kind}, environment={}, overrides=Overrides())
    limits = config.accounts["desk"].risk_limits
    assert sorted(limits.model_fields_set) == LIMITS
    assert limits.policy()
