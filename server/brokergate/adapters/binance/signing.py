"""Signatures of requests: HMAC-SHA256 and Ed25519. Pure.

Source: rest-api.md and web-socket-api.md, "SIGNED request security", of binance/binance-spot-api-docs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr


class Signer(Protocol):
    """One API key."""

    api_key: SecretStr

    def sign(self, payload: bytes) -> str:
        """The signature of `payload`, not percent-encoded."""
        ...


class HmacSigner:
    """A key with a shared secret: signatures are hexadecimal."""

    def __init__(self, api_key: SecretStr, secret: SecretStr) -> None:
        self.api_key = api_key
        self._secret = secret

    def sign(self, payload: bytes) -> str:
        """The HMAC-SHA256 of `payload`, in hexadecimal digits."""
        return hmac.new(self._secret.get_secret_value().encode(), payload, hashlib.sha256).hexdigest()


class Ed25519Signer:
    """A key of which Binance has the public half: signatures are base64."""

    def __init__(self, api_key: SecretStr, pem: SecretStr, passphrase: SecretStr | None = None) -> None:
        self.api_key = api_key
        self._key = _private_key(pem, passphrase)

    def sign(self, payload: bytes) -> str:
        """The Ed25519 signature of `payload`, in base64."""
        return base64.b64encode(self._key.sign(payload)).decode("ascii")


def _private_key(pem: SecretStr, passphrase: SecretStr | None) -> Ed25519PrivateKey:
    # A variable of the environment often holds the line breaks as the two characters \ and n.
    text = pem.get_secret_value().replace("\\n", "\n")
    password = None if passphrase is None else passphrase.get_secret_value().encode()
    try:
        key = load_pem_private_key(text.encode(), password)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        encrypted = (
            "with a private_key_passphrase that is not its own"
            if password
            else "and no private_key_passphrase"
        )
        raise ValueError(
            f"has a private_key that cannot be read, {encrypted}; give the text that begins with "
            "-----BEGIN PRIVATE KEY-----, or the passphrase of one that is encrypted"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(
            "has a private_key of another kind than Ed25519; make an Ed25519 key, or use an HMAC key's api_secret"
        )
    return key


def signer_of(credentials: Mapping[str, SecretStr]) -> Signer:
    """What signs the account's requests. `ValueError` says which credential is missing or cannot be."""
    unknown = sorted(set(credentials) - {"api_key", "api_secret", "private_key", "private_key_passphrase"})
    if unknown:
        raise ValueError(f"has credentials that Binance does not know ({', '.join(unknown)}); remove them")
    api_key = credentials.get("api_key")
    if api_key is None:
        raise ValueError("has no credential api_key; add it, and api_secret or private_key")
    secret, pem = credentials.get("api_secret"), credentials.get("private_key")
    if secret is not None and pem is not None:
        raise ValueError(
            "has both api_secret and private_key; keep the one that belongs to the key: api_secret for HMAC, "
            "private_key for Ed25519"
        )
    if pem is not None:
        return Ed25519Signer(api_key, pem, credentials.get("private_key_passphrase"))
    if secret is None:
        raise ValueError(
            "has an api_key alone; add api_secret (an HMAC key) or private_key (an Ed25519 key in PEM)"
        )
    return HmacSigner(api_key, secret)


def check_credentials(credentials: Mapping[str, SecretStr]) -> None:
    """For `brokergate check`: `ValueError` for credentials that can sign nothing."""
    signer_of(credentials)
