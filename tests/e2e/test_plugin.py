"""A broker from somebody else's package: installed by pip, found by its entry point, and traded through."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path

import pytest

from brokergate_client import (
    Gateway,
    NotPermittedError,
    OrderState,
    Side,
    UnavailableError,
    limit_order,
    market_order,
)
from tests.e2e.conftest import StartServer
from tests.e2e.console import brokergate
from tests.e2e.process import ROOT
from tests.plugin.acme_broker import SYMBOL
from tests.plugin.wheel import install_acme, make_wheel, unpack

TOKEN = "acme-hunter2"
CONFIGURATION = """\
accounts:
  widgets:
    broker: acme
    credentials: {token: "${ACME_TOKEN}"}
    acme: {price: "12.5"}
  refused:
    broker: acme
    credentials: {token: "${BAD_TOKEN}"}
  live:
    broker: acme
    environment: live
    credentials: {token: "${ACME_TOKEN}"}
  paper: {broker: paper}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the package is installed."""
    return install_acme(tmp_path_factory.mktemp("acme"))


def env(site: Path) -> dict[str, str]:
    """A machine that has the package."""
    path = os.pathsep.join(map(str, (ROOT / "server", ROOT / "clients" / "python", site)))
    return {"PYTHONPATH": path, "ACME_TOKEN": TOKEN, "BAD_TOKEN": "hunter3"}


async def test_an_installed_broker_is_traded_through_a_gateway(
    site: Path, tmp_path: Path, start_server: StartServer
) -> None:
    """Without a change here: its section, its credentials, its orders, its refusals; and beside it others go on."""
    (tmp_path / "b.yaml").write_text(CONFIGURATION)
    server = start_server("--config", tmp_path / "b.yaml", env=env(site))
    async with Gateway.connect(server.address) as gateway:
        placed = await gateway.place("widgets", market_order(SYMBOL, Side.BUY, "3"), client_order_id="one")
        assert placed.order.state is OrderState.FILLED
        assert placed.order.average_price == Decimal("12.5")
        again = await gateway.place("widgets", market_order(SYMBOL, Side.BUY, "3"), client_order_id="one")
        assert again.already_existed
        (position,) = await gateway.positions("widgets")
        assert (position.symbol, position.quantity) == (SYMBOL, Decimal(3))
        cheap = await gateway.place("widgets", limit_order(SYMBOL, Side.BUY, "1", "12"))
        assert cheap.order.state is OrderState.REJECTED
        assert "a widget costs 12.5" in cheap.order.reject_message
        with pytest.raises(
            NotPermittedError, match=r"account 'live' is read-only; set accounts\.live\.trading\.enabled"
        ):
            await gateway.place("live", market_order(SYMBOL, Side.BUY, "1"))
        async with Gateway.connect(server.address, timeout_s=1) as hasty:
            with pytest.raises(UnavailableError, match="Acme refuses the token"):
                await hasty.place("refused", market_order(SYMBOL, Side.BUY, "1"))
        assert (await gateway.place("paper", market_order("BTC/USDT", Side.BUY, "0.01"))).order.cum_quantity
    assert "acme is connected" in server.log
    assert "hunter" not in server.log


def test_the_command_line_knows_it(site: Path, tmp_path: Path) -> None:
    """Listed, checked, with a template of its own, and tried."""
    listed = brokergate("brokers", "list", cwd=tmp_path, env=env(site))
    assert "acme        demo, live              {token}\n" in listed.text
    printed = brokergate("init", "acme", cwd=tmp_path, env=env(site))
    assert "token: ${BROKERGATE_ACCOUNTS__ACME__TOKEN}\n" in printed.text
    assert "    #   price:    # What a widget costs\n" in printed.text
    (tmp_path / "b.yaml").write_bytes(printed.stdout)
    with_token = env(site) | {"BROKERGATE_ACCOUNTS__ACME__TOKEN": TOKEN}
    assert brokergate("check", "b.yaml", cwd=tmp_path, env=with_token).status == 0
    tried = brokergate("brokers", "test", "acme-main", "--config", "b.yaml", cwd=tmp_path, env=with_token)
    assert (tried.status, tried.stderr) == (0, "")
    assert "permissions  WIDGETS\n" in tried.text
    assert "balances     1000 USD\n" in tried.text
    wrong = brokergate(
        "brokers",
        "test",
        "acme",
        cwd=tmp_path,
        env=with_token | {"BROKERGATE_ACCOUNTS__ACME__TOKEN": "hunter3"},
    )
    assert wrong.status == 1
    assert wrong.stderr.startswith("brokergate: account 'acme' (acme, demo): Acme refuses the token; check")
    assert "hunter" not in tried.text + tried.stderr + wrong.text + wrong.stderr


def test_without_the_package_the_name_is_nobodys(tmp_path: Path) -> None:
    """And that is told."""
    (tmp_path / "b.yaml").write_text("accounts: {a: {broker: acme}}\n")
    done = brokergate("check", "b.yaml", cwd=tmp_path)
    assert done.status == 1
    assert "b.yaml:1: accounts.a.broker ('acme') is not the name of a broker" in done.stderr


BROKEN = {
    "breaks": (
        "raise RuntimeError('made for another gateway')",
        "its_module:KIND",
        "(RuntimeError: made for another",
    ),
    "nothing": ("KIND = 7", "its_module:KIND", "announces a broker 'nothing' and brings none"),
    "gone": ("", "its_module:KIND", "cannot be loaded (AttributeError"),
    "paper": (
        "KIND = 7",
        "its_module:KIND",
        "is brought by brokergate and other_broker; uninstall all but one",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_package_that_is_wrong(tmp_path: Path, name: str) -> None:
    """Is an error of the accounts that name its broker, and of no others."""
    source, target, says = BROKEN[name]
    unpack(
        make_wheel(tmp_path, "other_broker", "its_module", source, f"{name} = {target}"), tmp_path / "site"
    )
    (tmp_path / "b.yaml").write_text(f"accounts: {{a: {{broker: {name}}}}}\n")
    done = brokergate("check", "b.yaml", cwd=tmp_path, env=env(tmp_path / "site"))
    assert done.status == 1
    assert f"b.yaml:1: accounts.a.broker ('{name}') cannot be used: the broker '{name}'" in done.stderr or (
        f"the package other_broker announces a broker '{name}'" in done.stderr
    )
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    if name != "paper":
        (tmp_path / "b.yaml").write_text("accounts: {a: {broker: paper}}\n")
        assert brokergate("check", "b.yaml", cwd=tmp_path, env=env(tmp_path / "site")).status == 0


def test_a_package_that_registers_by_the_decorator(tmp_path: Path) -> None:
    """Its entry point names the module alone."""
    source = (
        "from brokergate.adapters.registry import BrokerRegistry\n"
        "@BrokerRegistry.register('deco')\n"
        "def make(account, context):\n"
        "    raise NotImplementedError\n"
    )
    unpack(
        make_wheel(tmp_path, "deco_broker", "deco_broker", source, "deco = deco_broker"), tmp_path / "site"
    )
    (tmp_path / "b.yaml").write_text("accounts: {a: {broker: deco}}\n")
    done = brokergate("check", "b.yaml", cwd=tmp_path, env=env(tmp_path / "site"))
    assert (done.status, done.stderr) == (0, "")
    assert "account   a: deco, paper, trading\n" in done.text
