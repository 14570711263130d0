"""Requests to the emulator byte by byte, signed by hand: what no SDK would send."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tests.emulators.client import Emulator

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Any
    """Parsed, where it is JSON; bytes otherwise."""

    @property
    def code(self) -> int | None:
        """The venue's own code; None where it is none of its errors."""
        return self.body.get("code") if isinstance(self.body, dict) else None


@dataclass(slots=True)
class Raw:
    """A client of one emulator. `private` is a PEM for an Ed25519 key."""

    venue: Emulator
    key: str = ""
    private: str = ""

    def sign(self, payload: str) -> str:
        """The signature as it goes into a query."""
        if self.private:
            key = load_pem_private_key(self.private.encode(), None)
            assert isinstance(key, Ed25519PrivateKey)
            return quote(base64.b64encode(key.sign(payload.encode())).decode(), safe="")
        return hmac.new(self.venue.secret.encode(), payload.encode(), hashlib.sha256).hexdigest()

    def call(self, method: str, path: str, **parameters: Any) -> Answer:
        """A signed request, all of it in the query."""
        query = urlencode({"timestamp": now_ms()} | parameters)
        return self.send(method, f"{path}?{query}&signature={self.sign(query)}")

    def ask(self, method: str, path: str, **parameters: Any) -> Answer:
        """A request without signature."""
        return self.send(method, f"{path}?{urlencode(parameters)}" if parameters else path)

    def place(self, **parameters: Any) -> Answer:
        """A new order: a GTC limit order to buy BTCUSDT unless something else is said; None leaves a parameter out."""
        usual = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "quantity": "1"}
        if parameters.get("type", "LIMIT") in ("LIMIT", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"):
            usual["timeInForce"] = "GTC"
        wanted = {name: value for name, value in (usual | parameters).items() if value is not None}
        return self.call("POST", "/api/v3/order", **wanted)

    def send(
        self, method: str, target: str, body: str | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """A request as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.venue.port, timeout=30)
        try:
            key = self.key or self.venue.key
            connection.request(method, target, body, {"X-MBX-APIKEY": key} | dict(headers or {}))
            response = connection.getresponse()
            text = response.read()
            told = {name.lower(): value for name, value in response.getheaders()}
        finally:
            connection.close()
        is_json = "json" in told.get("content-type", "")
        return Answer(response.status, told, orjson.loads(text) if is_json else text)


def now_ms() -> int:
    """The machine's time."""
    return time.time_ns() // 1_000_000


def shown(venue: Emulator) -> dict[str, dict[str, Any]]:
    """Every order of the venue as it shows it, by client id."""
    return {order["client_order_id"]: order["native"] for order in venue.do("orders")}
