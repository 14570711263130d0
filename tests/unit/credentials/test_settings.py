"""`BrokerCredentials` from variables, files and the keyring, in their precedence."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from brokergate.credentials import BrokerCredentials, CredentialsError, keyrings
from brokergate.credentials.secret import MAX_SECRET_BYTES
from brokergate.credentials.variables import DEFAULTS, FLAT

PAIRS = ["alpaca", "binance", "kraken", "bybit"]


def plain(secret: SecretStr | None) -> str | None:
    """What a secret is."""
    return None if secret is None else secret.get_secret_value()


def test_without_anything_every_account_is_for_trying_out() -> None:
    """Paper and testnet are true, IB's port is the paper one's, and nobody has anything."""
    found = BrokerCredentials()
    assert found.alpaca_paper
    assert found.binance_testnet
    assert found.kraken_testnet
    assert found.bybit_testnet
    assert found.oanda_practice
    assert found.tradier_sandbox
    assert (found.ib_host, found.ib_port, found.ib_client_id) == ("127.0.0.1", 7497, 1)
    assert not any(getattr(found, f"has_{name}")() for name in (*PAIRS, "ib", "oanda", "tradier"))
    assert not any(found.is_live(broker) for broker in DEFAULTS)
    assert found.accounts == {}


def test_every_flat_setting_is_a_field() -> None:
    """What the lookup knows of and what is documented are the same."""
    assert {*BrokerCredentials.model_fields} - {"accounts"} == FLAT
    assert all(field.description for field in BrokerCredentials.model_fields.values())


@pytest.mark.parametrize("broker", PAIRS)
def test_a_key_and_its_secret(monkeypatch: pytest.MonkeyPatch, broker: str) -> None:
    """Both are needed."""
    monkeypatch.setenv(f"{broker.upper()}_API_KEY", "k")
    assert not getattr(BrokerCredentials(), f"has_{broker}")()
    monkeypatch.setenv(f"{broker.upper()}_API_SECRET", "s")
    found = BrokerCredentials()
    assert getattr(found, f"has_{broker}")()
    assert plain(getattr(found, f"{broker}_api_key")) == "k"
    assert {name: plain(value) for name, value in found.default(broker).items()} == {
        "api_key": "k",
        "api_secret": "s",
    }


def test_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """IB has no secret; OANDA and Tradier want an account; Binance's private key stands for a secret."""
    for name, value in {
        "IB_PORT": "4002",
        "OANDA_API_KEY": "t",
        "OANDA_ACCOUNT_ID": "101",
        "TRADIER_API_KEY": "t",
        "TRADIER_ACCOUNT_ID": "VA1",
        "BINANCE_API_KEY": "k",
        "BINANCE_PRIVATE_KEY": "pem",
        "ALPACA_PAPER": "false",
    }.items():
        monkeypatch.setenv(name, value)
    found = BrokerCredentials()
    assert found.ib_port == 4002
    assert found.has_ib()
    assert found.has_oanda()
    assert found.has_tradier()
    assert found.has_binance()
    assert plain(found.default("ibkr")["port"]) == "4002"
    assert found.is_live("alpaca")
    assert not found.is_live("ibkr")
    assert found.address("ibkr") == {"host": "127.0.0.1", "port": 4002, "client_id": 1}
    assert found.address("alpaca") == {}


@pytest.mark.parametrize("port", ["7496", "4001"])
def test_a_tws_is_live_by_its_port(port: str) -> None:
    assert BrokerCredentials.of({"IB_PORT": port}).is_live("ibkr")


def test_the_environment_hides_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Variable by variable, an empty one too; names are found however they are written."""
    (tmp_path / ".env").write_text(
        "ALPACA_API_KEY=from-dotenv\nalpaca_api_secret='a$b'\nKRAKEN_API_KEY=hidden\nOTHER=x\n"
    )
    monkeypatch.setenv("ALPACA_API_KEY", "from-environment")
    monkeypatch.setenv("KRAKEN_API_KEY", "")
    found = BrokerCredentials()
    assert plain(found.alpaca_api_key) == "from-environment"
    assert plain(found.alpaca_api_secret) == "a$b"
    assert found.kraken_api_key is None


def test_a_file_for_a_mounted_secret(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its line's end is not of it; a file of the environment hides a value of `.env`, and the other way round."""
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "key.pem").write_text("-----BEGIN\nabc\n-----END\n")
    (tmp_path / ".env").write_text("ALPACA_API_SECRET=x\nBYBIT_API_KEY_FILE=/nowhere\n")
    monkeypatch.setenv("ALPACA_API_SECRET_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("BINANCE_PRIVATE_KEY_FILE", str(tmp_path / "key.pem"))
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__SECOND__API_KEY_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("BYBIT_API_KEY", "k")
    found = BrokerCredentials()
    assert plain(found.alpaca_api_secret) == "s3cret"
    assert plain(found.binance_private_key) == "-----BEGIN\nabc\n-----END"
    assert plain(found.account("second")["api_key"]) == "s3cret"
    assert plain(found.bybit_api_key) == "k"


def test_named_accounts_beside_the_flat_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several of a broker; an id's capitals and hyphens make no difference."""
    monkeypatch.setenv("BINANCE_API_KEY", "default")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__BINANCE_MAIN__API_KEY", "main")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__Two__API_KEY", "0123")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__2_1__X_Y_Z", "1e5")
    found = BrokerCredentials()
    assert plain(found.binance_api_key) == "default"
    assert plain(found.account("binance-main")["api_key"]) == "main"
    assert plain(found.account("Binance_Main")["api_key"]) == "main"
    assert plain(found.account("two")["api_key"]) == "0123"
    assert plain(found.account("2-1")["x_y_z"]) == "1e5"
    assert found.account("three") == {}
    assert {name: plain(value) for name, value in found.default("plugin").items()} == {}


def both(tmp_path: Path) -> dict[str, str]:
    """The value and a file."""
    return {"ALPACA_API_KEY": "hunter2", "ALPACA_API_KEY_FILE": str(tmp_path / "hunter2")}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        (both, "ALPACA_API_KEY and ALPACA_API_KEY_FILE are both set; keep one"),
        (
            lambda tmp_path: {"ALPACA_API_KEY_FILE": str(tmp_path / "missing")},
            "the value of ALPACA_API_KEY_FILE is in a file that cannot be read (No such file or directory); name",
        ),
        (
            lambda tmp_path: {"ALPACA_API_KEY_FILE": str(tmp_path / "large")},
            f"the value of ALPACA_API_KEY_FILE is in a file larger than {MAX_SECRET_BYTES} bytes",
        ),
    ],
)
def test_what_cannot_be_used_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: Callable[[Path], dict[str, str]], says: str
) -> None:
    """Never by its value, in the traceback neither."""
    (tmp_path / "large").write_text("hunter2" * MAX_SECRET_BYTES)
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(CredentialsError) as refused:
        BrokerCredentials()
    assert says in str(refused.value)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize(
    ("name", "value"), [("ALPACA_PAPER", "hunter2"), ("IB_PORT", "99999"), ("IB_CLIENT_ID", "hunter2")]
)
def test_a_switch_or_a_number_that_is_none(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Is an error: a live account must not come of a slip of the pen."""
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError) as refused:
        BrokerCredentials()
    assert name.lower() in str(refused.value)
    assert value not in str(refused.value)


def test_a_dotenv_that_cannot_be_read(tmp_path: Path) -> None:
    """Is told, and not passed over."""
    (tmp_path / ".env").write_bytes(b"ALPACA_API_KEY=\xff\n")
    with pytest.raises(CredentialsError, match="is not UTF-8"):
        BrokerCredentials()


def test_no_repr_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a dump as JSON, nor a text."""
    monkeypatch.setenv("ALPACA_API_KEY", "hunter2")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__A__API_KEY", "hunter2")
    found = BrokerCredentials()
    shown = [
        repr(found),
        str(found),
        f"{found}",
        found.model_dump_json(),
        repr(found.accounts),
        repr(vars(found)),
    ]
    assert not any("hunter2" in text for text in shown)
    assert pickle.loads(pickle.dumps(found)) == found  # to another process it goes whole


def test_the_keyring_comes_first_for_a_whole_account(
    monkeypatch: pytest.MonkeyPatch, file_keyring: Path
) -> None:
    """What it holds of an account is all of it: no key meets another's secret."""
    keyrings.write("alpaca", {"api_key": "ring-key"})
    keyrings.write("binance", {"api_key": "bk", "api_secret": "bs", "testnet": "false"})
    keyrings.write("binance-main", {"api_key": "mk", "api_secret": "ms"})
    monkeypatch.setenv("ALPACA_API_KEY", "k")
    monkeypatch.setenv("ALPACA_API_SECRET", "of another key")
    monkeypatch.setenv("ALPACA_PAPER", "false")
    monkeypatch.setenv("KRAKEN_API_KEY", "k")
    monkeypatch.setenv("BROKERGATE_ACCOUNTS__BINANCE_MAIN__API_KEY", "hidden")
    found = BrokerCredentials.from_keyring()
    assert plain(found.alpaca_api_key) == "ring-key"
    assert found.alpaca_api_secret is None
    assert not found.alpaca_paper
    assert plain(found.kraken_api_key) == "k"
    assert found.has_binance()
    assert found.is_live("binance")
    assert plain(found.account("binance-main")["api_key"]) == "mk"
    assert plain(BrokerCredentials().alpaca_api_key) == "k"


@pytest.mark.usefixtures("no_keyring")
def test_a_machine_without_a_keyring() -> None:
    """Is told apart from a keyring that is empty, with the way out."""
    with pytest.raises(
        CredentialsError, match=r"this machine has no keyring; set variables or \*_FILE instead"
    ):
        BrokerCredentials.from_keyring()
    assert keyrings.read_if_any("alpaca") == {}


def test_a_keyring_that_breaks(monkeypatch: pytest.MonkeyPatch, file_keyring: Path) -> None:
    """By the class of its error alone."""
    monkeypatch.setenv("TEST_KEYRING", "")
    for act in (
        BrokerCredentials.from_keyring,
        lambda: keyrings.write("a", {"k": "v"}),
        lambda: keyrings.delete("a"),
        lambda: keyrings.read_if_any("a"),
    ):
        with pytest.raises(CredentialsError) as refused:
            act()
        assert "the keyring cannot be used (RuntimeError); unlock it" in str(refused.value)
        assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("text", ["hunter2", '["hunter2"]', '{"api_key": 7}'])
def test_an_entry_that_is_not_ours(file_keyring: Path, text: str) -> None:
    """Somebody may keep something under the same name."""
    import keyring

    keyrings.write("alpaca", {"api_key": "x"})
    keyring.set_password("brokergate", "alpaca", text)
    with pytest.raises(CredentialsError) as refused:
        keyrings.read("alpaca")
    assert "the keyring's entry 'alpaca' of 'brokergate' is not ours" in str(refused.value)
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


def test_entries_are_kept_listed_and_deleted(file_keyring: Path) -> None:
    """Values are merged by their names."""
    keyrings.write("a", {"api_key": "1"})
    keyrings.write("a", {"api_secret": "2"})
    keyrings.write("b", {"token": "3"})
    assert keyrings.read("a") == {"api_key": "1", "api_secret": "2"}
    assert keyrings.names() == {"a": ["api_key", "api_secret"], "b": ["token"]}
    assert keyrings.delete("a")
    assert not keyrings.delete("a")
    assert keyrings.names() == {"b": ["token"]}
