"""Credentials of accounts: those of the file, those taken from elsewhere, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from brokergate.config import ConfigError, GatewayConfig, Section, load_config
from brokergate.config.brokers import BrokerKind
from brokergate.credentials.variables import CredentialsError
from brokergate.domain.accounts import Environment

SECRET = "hunter2"


class Anything(Section):
    """Settings of a stand-in."""


def kind(name: str, *sets: tuple[str, ...], optional: tuple[str, ...] = ()) -> BrokerKind:
    """A broker of which nothing but its configuration is there."""
    worlds = (Environment.TESTNET, Environment.DEMO, Environment.LIVE)
    return BrokerKind(name, Anything, "nowhere:make", worlds, sets, optional)


BROKERS = {
    item.name: item
    for item in (
        kind("binance", ("api_key", "api_secret"), ("api_key", "private_key"), optional=("passphrase",)),
        kind("acme", ("token",)),
        kind("gratis", ()),
    )
}
NO_KEYRING: Mapping[str, Mapping[str, str]] = {}


def load(
    tmp_path: Path,
    text: str,
    environment: Mapping[str, str] | None = None,
    keyring: Mapping[str, Mapping[str, str]] = NO_KEYRING,
) -> GatewayConfig:
    """The configuration of a text."""
    file = tmp_path / "c.yaml"
    file.write_text(text)
    return load_config(
        [file],
        brokers=BROKERS,
        environment=environment or {},
        keyring=lambda account: keyring.get(account, {}),
    )


def problems(
    tmp_path: Path,
    text: str,
    environment: Mapping[str, str] | None = None,
    keyring: Mapping[str, Mapping[str, str]] = NO_KEYRING,
) -> str:
    """What is wrong with it; the secret is never in it."""
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, text, environment, keyring)
    told = str(refused.value)
    assert SECRET not in told
    return told.replace(f"{tmp_path}/", "")


def plain(config: GatewayConfig, account: str = "a") -> dict[str, str]:
    """An account's credentials."""
    credentials = config.accounts[account].credentials
    return {name: value.get_secret_value() for name, value in credentials.items()}


ONE = "accounts:\n  a:\n    broker: binance\n"
NAMED = {"BROKERGATE_ACCOUNTS__A__API_KEY": "named-k", "BROKERGATE_ACCOUNTS__A__API_SECRET": "named-s"}
DEFAULT = {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": "s"}
RING = {"a": {"api_key": "ring-k", "api_secret": "ring-s"}}
BROKER_RING = {"binance": {"api_key": "all-k", "api_secret": "all-s"}}


@pytest.mark.parametrize(
    ("environment", "keyring", "found"),
    [
        (NAMED | DEFAULT, RING | BROKER_RING, "named-"),
        (DEFAULT, RING | BROKER_RING, "ring-"),
        (DEFAULT, BROKER_RING, ""),
        ({}, BROKER_RING, "all-"),
    ],
)
def test_an_account_without_credentials_takes_them_from_the_first_place_that_has_any(
    tmp_path: Path,
    environment: Mapping[str, str],
    keyring: Mapping[str, Mapping[str, str]],
    found: str,
) -> None:
    """All of them from there."""
    config = load(tmp_path, ONE, environment, keyring)
    assert plain(config) == {"api_key": f"{found}k", "api_secret": f"{found}s"}
    assert config.accounts["a"].environment is Environment.TESTNET


def test_what_the_file_says_is_all(tmp_path: Path) -> None:
    """Nothing is taken from elsewhere to complete it."""
    text = ONE + "    credentials: {api_key: x}\n"
    assert (
        "c.yaml:4: accounts.a.credentials lacks api_secret; add it; binance takes {api_key, api_secret} or"
        in problems(tmp_path, text, NAMED | DEFAULT, RING)
    )


def test_a_key_never_meets_the_secret_of_another(tmp_path: Path) -> None:
    """The first place is incomplete: that is an error, not a reason to look further."""
    told = problems(tmp_path, ONE, {"BROKERGATE_ACCOUNTS__A__API_KEY": SECRET} | DEFAULT)
    assert "accounts.a.credentials as taken from BROKERGATE_ACCOUNTS__A__* lacks api_secret" in told


def test_the_dotenv_beside_the_file(tmp_path: Path) -> None:
    """And a private key from its file, with its passphrase."""
    (tmp_path / "key.pem").write_text("PEM\n")
    (tmp_path / ".env").write_text(
        f"BROKERGATE_ACCOUNTS__A__API_KEY=k\nBROKERGATE_ACCOUNTS__A__PRIVATE_KEY_FILE={tmp_path}/key.pem\n"
        "BROKERGATE_ACCOUNTS__A__PASSPHRASE=p\nBROKERGATE_ACCOUNTS__A__STRANGE=s\n"
    )
    assert plain(load(tmp_path, ONE)) == {"api_key": "k", "private_key": "PEM", "passphrase": "p"}


def test_nobody_has_any(tmp_path: Path) -> None:
    """All ways there are, told."""
    assert problems(tmp_path, ONE) == (
        'c.yaml:3: accounts.a.credentials is missing; write \'credentials: {api_key: "${BINANCE_API_KEY}", '
        'api_secret: "${BINANCE_API_SECRET}"}\', set BROKERGATE_ACCOUNTS__A__API_KEY and '
        "BROKERGATE_ACCOUNTS__A__API_SECRET, or run 'brokergate keyring set a api_key api_secret'"
    )


@pytest.mark.parametrize(
    ("environment", "flag", "says"),
    [
        (
            "live",
            {},
            "has the environment live, and BINANCE_* is of no live account (BINANCE_TESTNET is true)",
        ),
        (
            "testnet",
            {"BINANCE_TESTNET": "false"},
            "has the environment testnet, and BINANCE_* is of a live account (BINANCE_TESTNET is false)",
        ),
    ],
)
def test_a_default_key_goes_to_no_account_of_the_other_kind(
    tmp_path: Path, environment: str, flag: Mapping[str, str], says: str
) -> None:
    """A key of the testnet on a live account, and the other way round."""
    told = problems(tmp_path, f"{ONE}    environment: {environment}\n", {**DEFAULT, **flag})
    assert told.startswith(f"c.yaml:3: accounts.a {says}; set BINANCE_TESTNET=")
    assert "\n" not in told


def test_a_live_account_with_its_switch(tmp_path: Path) -> None:
    """Of the variables, or of the keyring's entry; it still does not trade by itself."""
    text = f"{ONE}    environment: live\n"
    config = load(tmp_path, text, DEFAULT | {"BINANCE_TESTNET": "false"})
    assert plain(config) == {"api_key": "k", "api_secret": "s"}
    assert not config.accounts["a"].trading_enabled
    ring = {"binance": {**BROKER_RING["binance"], "testnet": "no"}}
    assert plain(load(tmp_path, text, keyring=ring))["api_key"] == "all-k"
    assert "is of no live account" in problems(tmp_path, text, keyring=BROKER_RING)


def test_ids_that_variables_cannot_tell_apart(tmp_path: Path) -> None:
    """Neither takes the other's key by accident; with credentials in the file both are fine."""
    text = "accounts: {a-b: {broker: binance}, a_b: {broker: binance}}\n"
    told = problems(tmp_path, text, DEFAULT)
    assert "accounts.a-b has an id that variables cannot tell from a_b; give one of them another" in told


def test_a_name_that_the_broker_does_not_take(tmp_path: Path) -> None:
    """May be a secret in the wrong place: it is not repeated."""
    told = problems(tmp_path, ONE + f"    credentials: {{api_key: x, {SECRET}: y, api_secrt: z}}\n")
    assert told.count("has a name that binance does not take; it takes {api_key, api_secret} or") == 2
    assert "(did you mean api_secret?)" in told


def test_a_broker_of_somebody_else(tmp_path: Path) -> None:
    """Has its default account under its name."""
    text = "accounts: {a: {broker: acme}, free: {broker: gratis, environment: demo}}\n"
    config = load(tmp_path, text, {"BROKERGATE_ACCOUNTS__ACME__TOKEN": "t"})
    assert plain(config) == {"token": "t"}
    assert plain(config, "free") == {}
    told = problems(tmp_path, text)
    assert "set BROKERGATE_ACCOUNTS__A__TOKEN, or run 'brokergate keyring set a token'" in told


def test_variables_that_cannot_be_used(tmp_path: Path) -> None:
    """Are told at the account that wants them."""
    environment = {"BINANCE_API_KEY_FILE": "/nowhere/x", "BINANCE_TESTNET": "true"}
    told = problems(tmp_path, ONE, environment)
    assert "accounts.a the value of BINANCE_API_KEY_FILE is in a file that cannot be read" in told
    told = problems(tmp_path, ONE, {"BINANCE_TESTNET": SECRET})
    assert "accounts.a the variable BINANCE_TESTNET is refused: Input should be a valid boolean" in told


@pytest.mark.parametrize("place", ["file", "variable", "keyring"])
def test_a_credential_that_cannot_be_sent(tmp_path: Path, place: str) -> None:
    """Is refused by its name before anything tries: the error of an attempt holds all of it."""
    broken = SECRET + "\udcff\udcfe"
    text, environment, keyring = ONE, {"X": broken}, NO_KEYRING
    where = "has in the keyring's entry a an api_secret that"
    if place == "file":
        text, where = ONE + '    credentials: {api_key: k, api_secret: "${X}"}\n', "credentials.api_secret"
    elif place == "variable":
        environment = {"BINANCE_API_KEY": "k", "BINANCE_API_SECRET": broken}
        where = "has in BINANCE_* an api_secret that"
    else:
        keyring = {"a": {"api_key": "k", "api_secret": broken}}
    told = problems(tmp_path, text, environment, keyring)
    assert f"{where} is not UTF-8; set it again" in told


def test_a_keyring_that_breaks(tmp_path: Path) -> None:
    """Is asked only where it is needed."""

    def broken(account_id: str) -> Mapping[str, str]:
        raise CredentialsError("the keyring cannot be used (KeyringLocked); unlock it")

    (tmp_path / "c.yaml").write_text(ONE)
    config = load_config([tmp_path / "c.yaml"], brokers=BROKERS, environment=NAMED, keyring=broken)
    assert plain(config)["api_key"] == "named-k"
    with pytest.raises(
        ConfigError, match=r"accounts.a the keyring cannot be used \(KeyringLocked\); unlock it"
    ):
        load_config([tmp_path / "c.yaml"], brokers=BROKERS, environment=DEFAULT, keyring=broken)


@pytest.mark.parametrize("environment", ["paper", "livve"])
def test_an_environment_that_the_broker_does_not_have(tmp_path: Path, environment: str) -> None:
    """By its own name, before anything connects."""
    told = problems(tmp_path, f"{ONE}    environment: {environment}\n", DEFAULT)
    if environment == "paper":
        assert "c.yaml:4: accounts.a.environment ('paper') is no environment of binance" in told
        assert "write testnet or demo or live" in told
    else:
        assert "accounts.a.environment ('livve') is not an environment" in told


def test_a_broker_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Is told at the accounts that name it; no other is touched."""

    class Kinds(dict[str, BrokerKind]):
        def __getitem__(self, name: str) -> BrokerKind:
            if name == "acme":
                raise ValueError("it was made for another gateway; install another version")
            return super().__getitem__(name)

    (tmp_path / "c.yaml").write_text("accounts: {a: {broker: gratis}}\n")
    load_config([tmp_path / "c.yaml"], brokers=Kinds(BROKERS), environment={})
    (tmp_path / "c.yaml").write_text("accounts: {a: {broker: acme}, b: {broker: gratis}}\n")
    with pytest.raises(ConfigError) as refused:
        load_config([tmp_path / "c.yaml"], brokers=Kinds(BROKERS), environment={})
    assert "accounts.a.broker ('acme') cannot be used: it was made for another gateway; install" in str(
        refused.value
    )
    assert len(refused.value.problems) == 1
