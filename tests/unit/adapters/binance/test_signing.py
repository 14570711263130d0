"""Signatures, against published ones."""

from __future__ import annotations

import base64
import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from pydantic import SecretStr

from brokergate.adapters.binance import wire
from brokergate.adapters.binance.signing import Ed25519Signer, HmacSigner, signer_of

SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
TAIL = [
    ("side", "BUY"),
    ("type", "LIMIT"),
    ("timeInForce", "GTC"),
    ("quantity", "1"),
    ("price", "0.1"),
]


def pem(key: Ed25519PrivateKey | rsa.RSAPrivateKey) -> SecretStr:
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return SecretStr(text.decode())


@pytest.mark.parametrize(
    ("symbol", "signature"),
    [
        ("LTCBTC", "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"),
        (
            "\uff11\uff12\uff13\uff14\uff15\uff16",
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
        ),
    ],
)
def test_a_request_is_signed_as_the_documentation_shows(symbol: str, signature: str) -> None:
    """rest-api.md, "HMAC Keys", and its example of a symbol that is not ASCII: encoded before it is signed."""
    signer = HmacSigner(SecretStr("key"), SecretStr(SECRET))
    query = wire.signed_query([("symbol", symbol), *TAIL], 1499827319559, 5000, signer)
    assert query.endswith(f"&recvWindow=5000&timestamp=1499827319559&signature={signature}")


def test_an_ed25519_signature_is_base64_and_percent_encoded() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    query = wire.signed_query([("symbol", "A B")], 1, 5000, Ed25519Signer(SecretStr("key"), pem(key)))
    payload, _, signature = query.partition("&signature=")
    assert payload == "symbol=A%20B&recvWindow=5000&timestamp=1"
    assert not {"+", "/", "="} & set(signature)
    raw = base64.b64decode(signature.replace("%2B", "+").replace("%2F", "/").replace("%3D", "="))
    key.public_key().verify(raw, payload.encode())


def test_the_websocket_api_signs_by_name_and_without_encoding() -> None:
    """web-socket-api.md, "SIGNED request security"."""
    signer = HmacSigner(SecretStr("key"), SecretStr(SECRET))
    params = wire.signed_params({"symbol": "\uff11"}, 1645423376532, 5000, signer)
    payload = "apiKey=key&recvWindow=5000&symbol=\uff11&timestamp=1645423376532"
    assert params["signature"] == signer.sign(payload.encode())


def test_a_private_key_may_have_its_line_breaks_written_out() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    text = SecretStr(pem(key).get_secret_value().replace("\n", "\\n"))
    one, other = Ed25519Signer(SecretStr("k"), text), Ed25519Signer(SecretStr("k"), pem(key))
    assert one.sign(b"x") == other.sign(b"x")


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        ({}, "has no credential api_key; add it"),
        ({"api_key": SecretStr("k")}, "has an api_key alone; add api_secret"),
        (
            {"api_key": SecretStr("k"), "api_secret": SecretStr("s"), "private_key": SecretStr("p")},
            "has both api_secret and private_key; keep",
        ),
        (
            {"api_key": SecretStr("k"), "private_key": SecretStr("zzz-secret")},
            "private_key that cannot be read, and no private_key_passphrase",
        ),
        ({"api_key": SecretStr("k"), "api_token": SecretStr("t")}, "does not know (api_token)"),
    ],
)
def test_credentials_that_cannot_be_are_named(credentials: dict[str, SecretStr], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        signer_of(credentials)
    assert "zzz" not in str(refused.value)


def test_an_encrypted_key_is_read_with_its_passphrase_alone() -> None:
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    encryption = BestAvailableEncryption(b"open-sesame")
    text = SecretStr(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode())
    credentials = {"api_key": SecretStr("k"), "private_key": text}
    with pytest.raises(ValueError, match="no private_key_passphrase"):
        signer_of(credentials)
    signer = signer_of({**credentials, "private_key_passphrase": SecretStr("open-sesame")})
    assert signer.sign(b"x") == Ed25519Signer(SecretStr("k"), pem(key)).sign(b"x")


def test_a_key_of_another_kind_is_refused() -> None:
    key = rsa.generate_private_key(65537, 2048)
    with pytest.raises(ValueError, match="of another kind than Ed25519; make an Ed25519 key"):
        signer_of({"api_key": SecretStr("k"), "private_key": pem(key)})


def test_no_repr_shows_a_secret() -> None:
    signer = HmacSigner(SecretStr("the-key"), SecretStr("the-secret"))
    assert "the-" not in f"{signer!r} {vars(signer)!r}"
