"""What an account's settings mean to the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokergate.app import retention_of
from brokergate.config import AccountConfig, policy_of
from brokergate.domain.policy import AccountPolicy, StopCause
from brokergate.journal.sqlite.retention import Retention
from tests.unit.config.paper import load


def policy(folder: Path, account: str) -> AccountPolicy:
    """Of an account whose settings are `account`."""
    file = folder / "brokergate.yaml"
    file.write_text(f"accounts: {{x: {account}}}\n")
    return policy_of(load(file).accounts["x"])


def test_an_account_of_few_words_is_what_the_engine_takes_by_itself(tmp_path: Path) -> None:
    """The defaults of the settings are those of the policy that a paper account made at run time has."""
    assert policy(tmp_path, "{broker: paper}") == AccountPolicy()


def test_everything_that_is_set_arrives(tmp_path: Path) -> None:
    """Seconds and milliseconds become nanoseconds, words become what they mean."""
    found = policy(
        tmp_path,
        "{broker: paper, durability: full, ownership: exclusive, "
        "connection: {poll_interval_ms: 250, quiet_period_ms: 0}, "
        "trading: {enabled: false, when_disconnected: queue, queue_max_age_s: 86400, "
        "stop_on: [discrepancy, account_suspended, discrepancy]}, "
        "risk_limits: {max_open_orders: 7}}",
    )
    assert not found.trading_enabled
    assert found.queue_max_age_ns == 86_400 * 10**9
    assert found.exclusive
    assert found.durable
    assert found.stop_on == {StopCause.DISCREPANCY, StopCause.ACCOUNT_SUSPENDED}
    assert found.risk.max_open_orders == 7
    assert (found.poll_interval_ns, found.quiet_period_ns) == (250_000_000, 0)


def test_a_queue_has_an_end_where_none_is_named(tmp_path: Path) -> None:
    """A minute, as documented."""
    found = policy(tmp_path, "{broker: paper, trading: {when_disconnected: queue}}")
    assert found.queue_max_age_ns == 60 * 10**9


@pytest.mark.parametrize(
    ("settings", "durable"),
    [
        ({"environment": "live"}, True),
        ({"environment": "testnet"}, False),
        ({"environment": "demo"}, False),
        ({"environment": "live", "durability": "process"}, False),
        ({"environment": "testnet", "durability": "full"}, True),
    ],
)
def test_real_money_waits_for_the_disk(settings: dict[str, str], durable: bool) -> None:
    """A live account is durable unless it says otherwise; any other one is not unless it says so."""
    account = AccountConfig.model_validate({"broker": "somewhere", **settings})
    assert policy_of(account).durable is durable


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ("{}", Retention(30 * 86_400 * 10**9, 10 << 30)),
        ("{max_age_days: 1, max_size_mib: 2}", Retention(86_400 * 10**9, 2 << 20)),
        ("{max_age_days: 0, max_size_mib: 0}", Retention()),
    ],
)
def test_what_is_kept_for_streams(tmp_path: Path, settings: str, kept: Retention) -> None:
    """Days and MiB become what the journal counts in; nought is no limit."""
    file = tmp_path / "brokergate.yaml"
    file.write_text(f"accounts: {{x: {{broker: paper}}}}\nserver: {{retention: {settings}}}\n")
    assert retention_of(load(file)) == kept
