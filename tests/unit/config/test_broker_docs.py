"""The pages on brokers, docs/brokers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from brokergate.adapters.registry import BROKERS
from brokergate.config import load_config
from brokergate.config.overrides import Overrides

PAGES = sorted((Path(__file__).resolve().parents[3] / "docs" / "brokers").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_shows_is_a_configuration(page: Path, tmp_path: Path) -> None:
    """Each YAML block of it loads, with the variables that it names set."""
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        file = tmp_path / "brokergate.yaml"
        file.write_text(block, "utf-8")
        environment = dict.fromkeys(re.findall(r"\$\{(\w+)\}", block), "something")
        config = load_config([file], brokers=BROKERS, environment=environment, overrides=Overrides())
        assert page.stem in {account.broker for account in config.accounts.values()}
