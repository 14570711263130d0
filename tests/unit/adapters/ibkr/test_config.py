"""What `brokergate check` says of accounts at Interactive Brokers: file, line, key, value, and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokergate.adapters.ibkr.config import InteractiveBrokersConfig
from brokergate.adapters.registry import BROKERS
from brokergate.config.loading import load_config
from brokergate.config.problems import ConfigError

TWO = """\
accounts:
  one:
    broker: ibkr
    ibkr: {instruments: [AAPL], account: DU1001}
  other:
    broker: ibkr
    ibkr: {instruments: [AAPL], account: DU2002}
"""


def said(tmp_path: Path, text: str) -> list[str]:
    """The problems of a configuration, without its file's name."""
    file = tmp_path / "gate.yaml"
    file.write_text(text, "utf-8")
    try:
        load_config([file], brokers=BROKERS, environment={})
    except ConfigError as error:
        return [str(problem).removeprefix(f"{file}:") for problem in error.problems]
    return []


def test_accounts_of_one_login_are_told_apart_by_their_numbers(tmp_path: Path) -> None:
    assert said(tmp_path, TWO) == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "account: DU2002}",
            "account: DU1001}",
            "7: accounts.other.ibkr.account ('DU1001') is account 'one' already; name another account, or remove one",
        ),
        (
            ", account: DU2002}",
            "}",
            "7: accounts.other.ibkr.account is missing, and account 'one' has the same host, port and client_id; write",
        ),
        (
            "account: DU2002}",
            "account: DU2002, time_zone: Europe/London}",
            "7: accounts.other.ibkr.time_zone ('Europe/London') differs from that of account 'one', which shares its "
            "connection: America/New_York; write the same in both, or give one of them a client_id of its own",
        ),
        (
            "account: DU2002}",
            "account: DU2002}\n    connection: {request_timeout_ms: 100}",
            "8: accounts.other.connection.request_timeout_ms ('100') differs from that of account 'one'",
        ),
        (
            "account: DU2002}",
            "account: U2002}",
            "7: accounts.other.ibkr.account ('U2002') is a live account, and the environment is paper; write "
            "environment: live, or name another account",
        ),
        (
            "account: DU2002}",
            "account: DU2002}\n    environment: live",
            "7: accounts.other.ibkr.account ('DU2002') is a paper account, and the environment is live; write",
        ),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, old: str, new: str, problem: str) -> None:
    (told,) = said(tmp_path, TWO.replace(old, new))
    assert told.startswith(problem)


def test_an_account_that_is_only_read_needs_no_instruments(tmp_path: Path) -> None:
    assert said(tmp_path, "accounts:\n  ib:\n    broker: ibkr\n    trading: {enabled: false}\n") == []


def test_a_client_id_of_its_own_is_another_connection(tmp_path: Path) -> None:
    apart = TWO.replace(
        "account: DU2002}", "client_id: 2, messages_per_second: 10, time_zone: Europe/London}"
    )
    assert said(tmp_path, apart) == []


@pytest.mark.parametrize(
    ("section", "problem"),
    [
        (
            "",
            "accounts.ib.ibkr.instruments is missing, and Interactive Brokers has no list of all that there is",
        ),
        ("    ibkr: {instruments: []}\n", "names no instrument; name some"),
        ("    ibkr: {contracts: {VOD.L: {}}}\n", "says nothing of the contract; write a con_id"),
        ("    ibkr: {instruments: [AAPL], account: hunter2}\n", "accounts.ib.ibkr.account ('hunter2')"),
        ("    ibkr: {instruments: [AAPL], port: 70000}\n", "accounts.ib.ibkr.port ('70000')"),
        ("    ibkr: {instruments: [AAPL], client_id: -1}\n", "accounts.ib.ibkr.client_id ('-1')"),
        ("    ibkr: {instruments: [AAPL], host: 'tcp://x'}\n", "accounts.ib.ibkr.host ('tcp://x')"),
        (
            "    ibkr: {instruments: [AAPL], host: 'localhost:7497'}\n",
            "4: accounts.ib.ibkr.host ('localhost:7497') has a port in it; write host: localhost, and port: 7497",
        ),
        (
            "    credentials: {username: me, password: hunter2}\n    ibkr: {instruments: [AAPL]}\n",
            "4: accounts.ib.credentials are none of this account's: TWS is logged in to by a person, or a program of "
            "theirs; remove them",
        ),
        ("    ibkr: {instruments: [AAPL], time_zone: Mars}\n", "is not the name of a time zone"),
        (
            "    ibkr: {instruments: [AAPL], market_data_type: late}\n",
            "accounts.ib.ibkr.market_data_type ('late')",
        ),
        (
            "    ibkr: {instruments: [AAPL], market_data_lines: 0}\n",
            "accounts.ib.ibkr.market_data_lines ('0')",
        ),
        ("    ibkr: {instruments: [AAPL], messages_per_second: 0}\n", "messages_per_second ('0')"),
        ("    ibkr: {contracts: {X: {kind: BOND}}}\n", "accounts.ib.ibkr.contracts.X.kind ('BOND')"),
        (
            "    environment: demo\n    ibkr: {instruments: [AAPL]}\n",
            "is no environment of ibkr; write paper or live",
        ),
    ],
)
def test_each_setting_says_what_is_wrong_with_it(tmp_path: Path, section: str, problem: str) -> None:
    told = said(tmp_path, f"accounts:\n  ib:\n    broker: ibkr\n{section}")
    assert len(told) == 1, told
    assert problem in told[0]
    assert told[0][0].isdigit()


def test_a_description_adds_to_what_the_notation_says() -> None:
    described = InteractiveBrokersConfig.model_validate(
        {
            "contracts": {
                "VOD.L": {"symbol": "VOD", "primary_exchange": "LSE", "currency": "GBP"},
                "ESZ6": {"exchange": "CME"},
                "X": {"con_id": "123"},
            }
        }
    ).described()
    london, future, numbered = described["VOD.L"], described["ESZ6"], described["X"]
    assert (london.sec_type, london.symbol, london.exchange) == ("STK", "VOD", "SMART")
    assert (london.primary_exchange, london.currency) == ("LSE", "GBP")
    assert (future.sec_type, future.local_symbol, future.exchange) == ("FUT", "ESZ6", "CME")
    assert (numbered.con_id, numbered.symbol, numbered.sec_type) == (123, "", "")
