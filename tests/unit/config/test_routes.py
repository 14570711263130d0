"""Routes of a configuration: which are refused, and which accounts they go on without."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokergate.config import ConfigError, GatewayConfig, Overrides, load_config, missing_accounts
from brokergate.config.brokers import BrokerKind
from brokergate.domain.accounts import Environment
from tests.unit.config.paper import PaperSection

ACCOUNTS = """
accounts:
  real: {broker: street, environment: live}
  other: {broker: street, environment: live}
  tried: {broker: street}
  paper: {broker: paper}
"""
KINDS = {
    "paper": BrokerKind("paper", PaperSection, "nowhere:make", (Environment.PAPER,)),
    "street": BrokerKind("street", PaperSection, "nowhere:make", (Environment.TESTNET, Environment.LIVE)),
}


def load(folder: Path, routes: str) -> GatewayConfig:
    file = folder / "gateway.yaml"
    file.write_text(ACCOUNTS + routes)
    return load_config([file], brokers=KINDS, environment={}, overrides=Overrides())


@pytest.mark.parametrize("names", ["[real, other]", "[tried, paper]", "[paper]"])
def test_a_route_is_live_or_it_is_not(tmp_path: Path, names: str) -> None:
    """All accounts of a route are live, or none is."""
    assert list(load(tmp_path, f"routes: {{way: {names}}}").routes) == ["way"]


@pytest.mark.parametrize(
    ("names", "place", "says"),
    [
        ("[real, paper]", 1, "('paper') is not live, and 'real' is"),
        ("[real, other, tried]", 2, "('tried') is not live, and 'real' is"),
        ("[tried, real]", 1, "('real') is live, and 'tried' is not"),
    ],
)
def test_a_live_route_never_falls_back_to_paper(tmp_path: Path, names: str, place: int, says: str) -> None:
    """A route that mixes what is live with what is not is refused, whichever comes first, an environment by default
    among them."""
    with pytest.raises(ConfigError) as error:
        load(tmp_path, f"routes: {{way: {names}}}")
    (problem,) = error.value.problems
    assert (problem.key, problem.line) == (f"routes.way[{place}]", 7)
    assert problem.text == says
    assert "make one route of the live accounts" in problem.way_out


def test_a_missing_account_is_a_warning(tmp_path: Path) -> None:
    """What a route goes on without is told, with the name that was perhaps meant."""
    config = load(tmp_path, "routes: {way: [reall, real]}")
    (warning,) = missing_accounts(config)
    assert warning.startswith("routes.way[0]: 'reall' is not an account")
    assert warning.endswith("did you mean real?")
