"""API keys, signatures and timestamps (binance-spot-api-docs, rest-api.md "Request security")."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from tests.emulators.binance.errors import ApiError, bad_signature, illegal, missing
from tests.emulators.binance.parameters import Parameters

AHEAD_MS = 1000
DEFAULT_WINDOW_MS = 5000
MAX_WINDOW_MS = 60000
MICROSECONDS_FROM = 10**15
"""A timestamp from here on counts microseconds."""


@dataclass(slots=True)
class ApiKey:
    """One key of the account; `secret` for HMAC, `public` for Ed25519."""

    name: str
    secret: str = ""
    public: Ed25519PublicKey | None = None
    trade: bool = True
    """Whether it may trade. Every key may read."""
    this_address: bool = True
    """Whether its list of addresses has the one that requests come from."""

    def check(self, payload: str, signature: str) -> None:
        """Whether the signature is of this payload."""
        if not payload.isascii():
            # What is signed must have been percent-encoded before (since 2026-01-15).
            raise bad_signature()
        self.check_bytes(payload.encode(), signature)

    def check_bytes(self, payload: bytes, signature: str) -> None:
        """As `check`, of a payload that need not be percent-encoded: the WebSocket API's."""
        if self.public is None:
            if not re.fullmatch(r"[A-Fa-f0-9]{64}", signature):
                raise illegal("signature", "^[A-Fa-f0-9]{64}$")
            expected = hmac.new(self.secret.encode(), payload, hashlib.sha256).hexdigest()
            if not hmac.compare_digest(expected, signature.lower()):
                raise bad_signature()
            return
        try:
            self.public.verify(base64.b64decode(signature, validate=True), payload)
        except (InvalidSignature, binascii.Error, ValueError) as error:
            raise bad_signature() from error


def public_key(text: str) -> Ed25519PublicKey:
    """From PEM, or a file that holds it."""
    pem = text if "BEGIN" in text else Path(text).read_text()
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("the public key is not an Ed25519 one")
    return key


def split_signature(query: str, body: str) -> tuple[str, str | None]:
    """What was signed, and the signature as it was sent: query string and body one after the other, without
    separator, less the pair of the signature."""
    signature: str | None = None
    parts = []
    for text in (query, body):
        kept = []
        for pair in text.split("&"):
            if pair.startswith("signature="):
                signature = pair.removeprefix("signature=")
            else:
                kept.append(pair)
        parts.append("&".join(kept))
    return "".join(parts), signature


def check_time(parameters: Parameters, server_ms: int) -> None:
    """Whether the request comes in time: timestamp < server + 1 s, and server - timestamp ≤ recvWindow."""
    parameters.need("timestamp")
    timestamp = parameters.integer("timestamp")
    if timestamp is None:
        raise missing("timestamp")
    window = parameters.matching("recvWindow", r"^[0-9]{1,5}(\.[0-9]{1,3})?$")
    window_ms = DEFAULT_WINDOW_MS if window is None else float(window)
    if window_ms > MAX_WINDOW_MS:
        raise ApiError(-1131, "recvWindow must be less than 60000.")
    sent_ms = timestamp / 1000 if timestamp >= MICROSECONDS_FROM else timestamp
    if sent_ms >= server_ms + AHEAD_MS:
        raise ApiError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if server_ms - sent_ms > window_ms:
        raise ApiError(-1021, "Timestamp for this request is outside of the recvWindow.")
