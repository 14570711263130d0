"""One emulator for all tests of this folder, a new account for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.emulators.client import Emulator

KEY, SECRET = "hmac-key", "the-secret-of-the-emulator"
ED25519_KEY = "ed25519-key"
BOOK = {"symbol": "BTCUSDT", "bids": [("50000.00", "1")], "asks": [("50010.00", "1"), ("50020.00", "2")]}


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An Ed25519 key of a client, as PEM."""

    private: str
    public: str


@pytest.fixture(scope="session")
def key_pair() -> KeyPair:
    """A new one."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return KeyPair(pem, public)


@pytest.fixture(scope="session")
def process() -> Iterator[Emulator]:
    """The process."""
    emulator = Emulator.start("binance", key=KEY, secret=SECRET)
    yield emulator
    emulator.close()


@pytest.fixture
def venue(process: Emulator, key_pair: KeyPair) -> Emulator:
    """A new account with the usual balances, a book in BTCUSDT, and a key of each kind."""
    process.do("reset")
    process.do("add_key", key=ED25519_KEY, public=key_pair.public)
    process.do("show", **BOOK)
    return process
