"""Credentials of a Binance account, as `brokergate check` looks at them: nothing is asked of Binance."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from brokergate.adapters.registry import BROKERS
from brokergate.config import ConfigError, load_config
from brokergate.credentials import BrokerCredentials, CredentialsError

PASSPHRASE = b"hunter2"


def pem(encryption: KeySerializationEncryption) -> str:
    """An Ed25519 key."""
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


PLAIN, ENCRYPTED = pem(NoEncryption()), pem(BestAvailableEncryption(PASSPHRASE))
RSA = (
    generate_private_key(65537, 2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)


def check(tmp_path: Path, **variables: str) -> None:
    """Checks an account that takes what it needs from the default account's variables."""
    file = tmp_path / "b.yaml"
    file.write_text("accounts:\n  desk: {broker: binance}\n")
    named = {f"BINANCE_{name.upper()}": value for name, value in variables.items()}
    load_config([file], brokers=BROKERS, environment={"BINANCE_API_KEY": "k", **named})


@pytest.mark.parametrize(
    "variables",
    [
        {"api_secret": "s"},
        {"private_key": PLAIN},
        {"private_key": PLAIN.replace("\n", "\\n")},
        {"private_key": ENCRYPTED, "private_key_passphrase": PASSPHRASE.decode()},
    ],
)
def test_what_can_sign(tmp_path: Path, variables: dict[str, str]) -> None:
    """HMAC, Ed25519, in one line, encrypted."""
    check(tmp_path, **variables)


@pytest.mark.parametrize(
    ("variables", "says", "way_out"),
    [
        (
            {"private_key": "hunter2"},
            "has a private_key that cannot be read, and no private_key_pass",
            "give the text",
        ),
        (
            {"private_key": ENCRYPTED},
            "has a private_key that cannot be read, and no private_key_pass",
            "passphrase of",
        ),
        (
            {"private_key": ENCRYPTED, "private_key_passphrase": "hunter3"},
            "has a private_key that cannot be read, with a private_key_passphrase that is not its own",
            "passphrase of one that is encrypted",
        ),
        ({"private_key": RSA}, "has a private_key of another kind than Ed25519", "make an Ed25519 key"),
        (
            {"private_key": PLAIN, "api_secret": "hunter2"},
            "has both api_secret and private_key",
            "keep the one",
        ),
    ],
)
def test_what_cannot(tmp_path: Path, variables: dict[str, str], says: str, way_out: str) -> None:
    """By account and cause, and without a word of the key."""
    with pytest.raises(ConfigError) as refused:
        check(tmp_path, **variables)
    told = str(refused.value)
    assert f"b.yaml:2: accounts.desk.credentials {says}" in told
    assert way_out in told
    lines = {line for value in variables.values() for line in value.splitlines() if "-----" not in line}
    assert not [line for line in lines if line in told]
    from brokergate.adapters.factory import BrokerFactory

    named = {f"BINANCE_{name.upper()}": value for name, value in variables.items()}
    factory = BrokerFactory(BrokerCredentials.of({"BINANCE_API_KEY": "k", **named}))
    with pytest.raises(CredentialsError, match="account 'binance': credentials has"):
        factory.account("binance")
