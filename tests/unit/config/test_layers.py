"""Where a value comes from when several say it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from brokergate.config import (
    AccountConfig,
    ConfigError,
    LogFormat,
    LogLevel,
    Overrides,
    Profile,
    TradingConfig,
)
from brokergate.domain.accounts import Environment
from tests.unit.config.paper import PaperSection, balance, load

ONE_ACCOUNT = "accounts: {paper: {broker: paper}}\n"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder without a `.env`."""
    empty = tmp_path / "cwd"
    empty.mkdir()
    monkeypatch.chdir(empty)


def write(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_without_a_file_there_is_one_paper_account() -> None:
    """The embedded default: `paper`, on loopback, with its data in ./data."""
    config = load()
    assert list(config.accounts) == ["paper"]
    account = config.accounts["paper"]
    assert (account.broker, account.environment, account.trading_enabled) == (
        "paper",
        Environment.PAPER,
        True,
    )
    assert [listener.address for listener in config.server.listen] == ["127.0.0.1:50051"]
    assert config.server.data_dir == Path("data")
    assert config.server.tokens_path == Path("data/tokens.json")
    assert account.settings(PaperSection) == PaperSection()


def test_a_later_file_is_laid_over_an_earlier_one(tmp_path: Path) -> None:
    """Mappings merge at every depth; values and lists replace."""
    first = write(
        tmp_path / "1.yaml",
        "server: {listen: [127.0.0.1:1, 127.0.0.1:2], log: {level: debug, format: json}}\n"
        "accounts: {a: {broker: paper, paper: {initial_balance: {USD: 1, EUR: 2}}}, b: {broker: paper}}\n",
    )
    second = write(
        tmp_path / "2.yaml",
        "server: {listen: [127.0.0.1:3], log: {level: warning}}\n"
        "accounts: {a: {paper: {initial_balance: {USD: 3}}}}\n",
    )
    config = load(first, second)
    assert [listener.address for listener in config.server.listen] == ["127.0.0.1:3"]
    assert (config.server.log.level, config.server.log.format) == (LogLevel.WARNING, LogFormat.JSON)
    assert balance(config, "a") == {"USD": Decimal(3), "EUR": Decimal(2)}
    assert list(config.accounts) == ["a", "b"]


def test_the_order_of_the_files_counts(tmp_path: Path) -> None:
    """The last file wins, whichever it is."""
    one = write(tmp_path / "1.yaml", ONE_ACCOUNT + "profile: testing\n")
    two = write(tmp_path / "2.yaml", "profile: production\n")
    assert load(one, two).profile is Profile.PRODUCTION
    assert load(two, one).profile is Profile.TESTING


def test_the_environment_wins_over_the_env_file_and_that_over_the_default(tmp_path: Path) -> None:
    """process environment > .env > the default in the file."""
    file = write(tmp_path / "c.yaml", ONE_ACCOUNT + "server: {drain_grace_s: '${GRACE:-1}'}\n")
    assert load(file).server.drain_grace_s == 1
    write(tmp_path / ".env", "GRACE=2\n")
    assert load(file).server.drain_grace_s == 2
    assert load(file, environment={"GRACE": "3"}).server.drain_grace_s == 3


def test_an_empty_variable_of_the_process_hides_the_env_file(tmp_path: Path) -> None:
    """Set but empty is the user's word, and the default stands in for it."""
    file = write(tmp_path / "c.yaml", ONE_ACCOUNT + "server: {drain_grace_s: '${GRACE:-1}'}\n")
    write(tmp_path / ".env", "GRACE=2\n")
    assert load(file, environment={"GRACE": ""}).server.drain_grace_s == 1


def test_the_env_file_lies_beside_the_first_file(tmp_path: Path) -> None:
    """Neither the current folder's nor a later file's is read."""
    (tmp_path / "second").mkdir()
    first = write(tmp_path / "c.yaml", ONE_ACCOUNT + "server: {drain_grace_s: '${GRACE:-1}'}\n")
    second = write(tmp_path / "second" / "c.yaml", "profile: testing\n")
    write(Path(".env"), "GRACE=7\n")
    write(tmp_path / "second" / ".env", "GRACE=8\n")
    assert load(first, second).server.drain_grace_s == 1
    write(tmp_path / ".env", "GRACE=9\n")
    assert load(first, second).server.drain_grace_s == 9


def test_a_variable_that_is_overlaid_need_not_be_set(tmp_path: Path) -> None:
    """Variables are expanded after the files are laid over one another."""
    first = write(tmp_path / "1.yaml", ONE_ACCOUNT + "server: {data_dir: '${NOWHERE}'}\n")
    second = write(tmp_path / "2.yaml", "server: {data_dir: here}\n")
    assert load(first, second).server.data_dir == Path("here")
    with pytest.raises(ConfigError, match="NOWHERE"):
        load(first)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("${A}", "x"),
        ("a${A}b${A}c", "axbxc"),
        ("${A:-d}", "x"),
        ("${EMPTY:-d}", "d"),
        ("${NONE:-d:-e}", "d:-e"),
        ("$${A}", "${A}"),
        ("$A", "$A"),
        ("${NESTED}", "${A}"),
    ],
)
def test_expansion(tmp_path: Path, written: str, expected: str) -> None:
    """References are replaced once, defaults are taken as they stand, `$${` is a plain `${`."""
    file = write(tmp_path / "c.yaml", ONE_ACCOUNT + f"server: {{data_dir: '{written}'}}\n")
    variables = {"A": "x", "EMPTY": "", "NESTED": "${A}"}
    assert load(file, environment=variables).server.data_dir == Path(expected)


def test_a_variable_is_never_read_as_yaml(tmp_path: Path) -> None:
    """What it holds stays one text."""
    file = write(tmp_path / "c.yaml", ONE_ACCOUNT + "server: {data_dir: '${A}'}\n")
    assert load(file, environment={"A": "x\nprofile: testing"}).server.data_dir == Path("x\nprofile: testing")


@pytest.mark.parametrize("written", ["0.1", "'0.1'", "00.1", "0.10"])
def test_a_decimal_is_taken_by_its_text(tmp_path: Path, written: str) -> None:
    """0.1 never passes through a binary float."""
    file = write(
        tmp_path / "c.yaml",
        f"accounts: {{paper: {{broker: paper, paper: {{initial_balance: {{USD: {written}}}}}}}}}",
    )
    assert balance(load(file)) == {"USD": Decimal("0.1")}


def test_a_decimal_keeps_every_digit(tmp_path: Path) -> None:
    """38 digits, more than a float or Python's default context holds."""
    digits = "12345678901234567890.123456789012345678"
    file = write(
        tmp_path / "c.yaml",
        f"accounts: {{paper: {{broker: paper, paper: {{initial_balance: {{USD: {digits}}}}}}}}}",
    )
    assert str(balance(load(file))["USD"]) == digits


def test_yaml_1_1_makes_nothing_of_words_and_numbers(tmp_path: Path) -> None:
    """An account may be called `no`, `on` or `0123`; a port is no sexagesimal number."""
    file = write(
        tmp_path / "c.yaml",
        "accounts: {no: {broker: paper}, on: {broker: paper}, 0123: {broker: paper}, 1_0: {broker: paper}}\n",
    )
    assert list(load(file).accounts) == ["no", "on", "0123", "1_0"]


def test_aliases_are_followed(tmp_path: Path) -> None:
    """What is written once may be used twice."""
    file = write(
        tmp_path / "c.yaml",
        "accounts: {a: &common {broker: paper, paper: {initial_balance: {USD: 5}}}, b: *common}\n",
    )
    config = load(file)
    assert config.accounts["b"] == config.accounts["a"]
    assert balance(config, "b") == {"USD": Decimal(5)}


class TestOptions:
    """The command line's options over the files."""

    def test_listen_keeps_what_else_the_listener_says(self, tmp_path: Path) -> None:
        """Only the address is another."""
        file = write(
            tmp_path / "c.yaml",
            ONE_ACCOUNT + "server: {listen: {address: 127.0.0.1:1, insecure: true}}\n",
        )
        (listener,) = load(file, overrides=Overrides(listen="0.0.0.0:2")).server.listen
        assert (listener.address, listener.insecure) == ("0.0.0.0:2", True)

    def test_listen_without_files(self) -> None:
        """Also over the embedded default."""
        (listener,) = load(overrides=Overrides(listen="[::1]:0")).server.listen
        assert listener.address == "[::1]:0"
        assert listener.loopback

    def test_listen_is_refused_for_several_listeners(self, tmp_path: Path) -> None:
        """It would not be known which one is meant."""
        file = write(tmp_path / "c.yaml", ONE_ACCOUNT + "server: {listen: [127.0.0.1:1, 127.0.0.1:2]}\n")
        with pytest.raises(
            ConfigError, match=r"--listen: server.listen names one address for the 2 listeners"
        ):
            load(file, overrides=Overrides(listen="127.0.0.1:3"))

    def test_a_wrong_listen_is_named_as_the_option(self) -> None:
        """The place of the problem is the option, not a file."""
        with pytest.raises(ConfigError, match=r"^--listen: server\.listen .*'nonsense'.* is not HOST:PORT"):
            load(overrides=Overrides(listen="nonsense"))

    @pytest.mark.parametrize(
        "listen", ["0.0.0.0:1", "[0.0.0.0:1, 127.0.0.1:2]", "{address: 0.0.0.0:1, insecure: false}"]
    )
    def test_insecure_accepts_clear_text_off_loopback(self, tmp_path: Path, listen: str) -> None:
        """--insecure says for all listeners what `insecure: true` says for one."""
        file = write(tmp_path / "c.yaml", ONE_ACCOUNT + f"server: {{listen: {listen}}}\n")
        with pytest.raises(ConfigError, match="no TLS"):
            load(file)
        listeners = load(file, overrides=Overrides(insecure=True)).server.listen
        assert [listener.insecure for listener in listeners] == [
            not listener.loopback for listener in listeners
        ]

    def test_insecure_and_listen_go_together(self) -> None:
        """As behind a proxy that ends TLS."""
        (listener,) = load(overrides=Overrides(listen="0.0.0.0:1", insecure=True)).server.listen
        assert listener.insecure

    def test_insecure_does_not_beat_production(self, tmp_path: Path) -> None:
        """The profile is stronger than the option."""
        file = write(tmp_path / "c.yaml", ONE_ACCOUNT + "profile: production\nserver: {listen: 0.0.0.0:1}\n")
        with pytest.raises(ConfigError, match=r"--insecure: .*production refuses"):
            load(file, overrides=Overrides(insecure=True))

    def test_data_dir_and_log_format_win(self, tmp_path: Path) -> None:
        """Over the files; what stands beside them stays."""
        file = write(
            tmp_path / "c.yaml", ONE_ACCOUNT + "server: {data_dir: a, log: {level: error, format: console}}\n"
        )
        server = load(file, overrides=Overrides(data_dir="b", log_format="json")).server
        assert (server.data_dir, server.log.format, server.log.level) == (
            Path("b"),
            LogFormat.JSON,
            LogLevel.ERROR,
        )


def test_secrets_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    """Each by its own way, and production takes both."""
    write(tmp_path / "secret", "s3cret\n")
    file = write(
        tmp_path / "c.yaml",
        "profile: production\naccounts:\n  paper:\n    broker: paper\n    credentials:\n"
        f"      key: ${{KEY}}\n      secret: {{file: {tmp_path / 'secret'}}}\n",
    )
    credentials = load(file, environment={"KEY": "k3y"}).accounts["paper"].credentials
    assert {name: value.get_secret_value() for name, value in credentials.items()} == {
        "key": "k3y",
        "secret": "s3cret",
    }


def test_a_live_account_is_read_only_by_default() -> None:
    """Orders are taken on a live account only where `trading.enabled` says so."""
    assert not AccountConfig(broker="other", environment=Environment.LIVE).trading_enabled
    assert AccountConfig(
        broker="other", environment=Environment.LIVE, trading=TradingConfig(enabled=True)
    ).trading_enabled
    assert not AccountConfig(broker="paper", trading=TradingConfig(enabled=False)).trading_enabled
