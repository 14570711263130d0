"""Who may ask: signatures, timestamps, keys (rest-api.md "Request security")."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import orjson
import pytest

from tests.e2e.process import ROOT
from tests.emulators.binance.conftest import ED25519_KEY, KeyPair
from tests.emulators.binance.errors import ApiError
from tests.emulators.binance.keys import ApiKey
from tests.emulators.binance.raw import FORM, Raw, now_ms
from tests.emulators.client import Emulator

VECTORS = ROOT / "../shared/data/vectors/published_signatures.json"
ORDER = {
    "symbol": "BTCUSDT",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1",
    "price": "49000.5",
}
PATH = "/api/v3/order/test"


def vectors() -> list[dict[str, str]]:
    """The venue's own published signatures."""
    if not Path(VECTORS).exists():
        return []
    return [vector for vector in orjson.loads(VECTORS.read_bytes()) if vector["venue"] == "binance"]


@pytest.mark.skipif(not VECTORS.exists(), reason="../shared/data is missing")
def test_published_signatures_are_good_and_no_others() -> None:
    assert len(vectors()) == 2
    for vector in vectors():
        key = ApiKey("key", vector["secret"])
        key.check(vector["payload"], vector["signature"])
        key.check(vector["payload"], vector["signature"].upper())
        with pytest.raises(ApiError) as refused:
            key.check(vector["payload"] + "1", vector["signature"])
        assert refused.value.code == -1022


@pytest.fixture(params=["hmac", "ed25519"])
def raw(request: pytest.FixtureRequest, venue: Emulator, key_pair: KeyPair) -> Raw:
    """A client with a key of each kind."""
    return Raw(venue, ED25519_KEY, key_pair.private) if request.param == "ed25519" else Raw(venue)


def test_parameters_may_come_in_the_query_or_the_form_or_both(raw: Raw) -> None:
    pairs = [f"{name}={value}" for name, value in (ORDER | {"timestamp": str(now_ms())}).items()]
    whole, first, rest = "&".join(pairs), "&".join(pairs[:4]), "&".join(pairs[4:])
    form = {"Content-Type": FORM}
    in_query = raw.send("POST", f"{PATH}?{whole}&signature={raw.sign(whole)}")
    in_json_request = raw.send(
        "POST", f"{PATH}?{whole}&signature={raw.sign(whole)}", headers={"Content-Type": "application/json"}
    )
    in_form = raw.send("POST", PATH, f"{whole}&signature={raw.sign(whole)}", form)
    # Nothing stands between what the query and the body have of it.
    both = raw.send("POST", f"{PATH}?{first}", f"{rest}&signature={raw.sign(first + rest)}", form)
    joined = raw.send("POST", f"{PATH}?{first}", f"{rest}&signature={raw.sign(first + '&' + rest)}", form)
    assert [answer.status for answer in (in_query, in_json_request, in_form, both)] == [200] * 4
    assert joined.code == -1022


def test_what_is_signed_is_what_is_sent(raw: Raw) -> None:
    query = urlencode(ORDER | {"timestamp": now_ms()})
    signature = raw.sign(query)
    turned = "&".join(reversed(query.split("&")))
    assert raw.send("POST", f"{PATH}?{turned}&signature={signature}").code == -1022
    assert raw.send("POST", f"{PATH}?signature={signature}&{query}").status == 200
    assert raw.send("POST", f"{PATH}?{query}").code == -1102


def test_a_payload_is_percent_encoded_before_it_is_signed(raw: Raw) -> None:
    stamp = now_ms()
    plain = f"symbol=\uff11\uff12&timestamp={stamp}"
    encoded = f"symbol=%EF%BC%91%EF%BC%92&timestamp={stamp}"
    path = "/api/v3/openOrders"
    signed_after = raw.send("GET", f"{path}?{encoded}&signature={raw.sign(encoded)}")
    signed_before = raw.send("GET", f"{path}?{encoded}&signature={raw.sign(plain)}")
    assert signed_after.code == -1100, "understood, and no symbol"
    assert signed_before.code == -1022


@pytest.mark.parametrize(
    ("off_ms", "window", "code"),
    [
        (0, None, None),
        (900, None, None),
        (1500, None, -1021),
        (-2000, None, None),
        (-6000, None, -1021),
        (-6000, "20000", None),
        (-6000, "30000.125", None),
        (-500, "100", -1021),
        (0, "60001", -1131),
        (0, "5000.1234", -1100),
    ],
)
def test_a_request_comes_in_its_time(raw: Raw, off_ms: int, window: str | None, code: int | None) -> None:
    more = {} if window is None else {"recvWindow": window}
    assert raw.call("POST", PATH, **ORDER, timestamp=now_ms() + off_ms, **more).code == code


def test_a_timestamp_may_count_microseconds(raw: Raw) -> None:
    assert raw.call("POST", PATH, **ORDER, timestamp=now_ms() * 1000).status == 200
    assert raw.call("POST", PATH, **ORDER, timestamp=(now_ms() - 6000) * 1000).code == -1021


def test_the_venue_s_clock_is_what_counts(raw: Raw) -> None:
    raw.venue.do("fault", kind="clock_off", ms=6000)
    assert raw.call("POST", PATH, **ORDER).code == -1021
    off = raw.ask("GET", "/api/v3/time").body["serverTime"] - now_ms()
    assert 4000 < off < 8000
    assert raw.call("POST", PATH, **ORDER, timestamp=now_ms() + off).status == 200
    raw.venue.do("clear_faults")
    assert raw.call("POST", PATH, **ORDER).status == 200


def test_days_that_pass_leave_the_clock_of_clients_right(raw: Raw) -> None:
    raw.venue.do("advance", seconds=86_400)
    assert raw.call("POST", PATH, **ORDER).status == 200


def test_keys_are_checked_before_anything_else(venue: Emulator, key_pair: KeyPair) -> None:
    raw = Raw(venue)
    assert Raw(venue, "a key").call("POST", PATH, **ORDER).code == -2014
    unknown = Raw(venue, "key-of-another-environment").call("POST", PATH, **ORDER)
    assert (unknown.status, unknown.code) == (401, -2015)
    venue.do("permissions", trade=False)
    assert raw.call("POST", PATH, **ORDER).code == -2015
    assert raw.call("GET", "/api/v3/account").status == 200
    venue.do("permissions", trade=True, this_address=False)
    assert raw.call("GET", "/api/v3/account").code == -2015
    venue.do("permissions", this_address=True)
    other = Raw(venue, ED25519_KEY)
    assert other.call("POST", PATH, **ORDER).code == -1022, "an HMAC signature of an Ed25519 key"
    assert Raw(venue, private=key_pair.private).call("POST", PATH, **ORDER).code == -1100


def test_a_revoked_key_is_no_key(raw: Raw) -> None:
    raw.venue.do("fault", kind="key_revoked")
    assert raw.call("GET", "/api/v3/account").code == -2015
    assert raw.ask("GET", "/api/v3/ping").status == 200
