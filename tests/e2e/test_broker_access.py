"""`brokergate brokers test` against the brokers' emulators: what is right is reported, what is wrong is named with its
account, its cause and the way out, and nothing is ever placed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.console import Done, brokergate
from tests.emulators.client import Emulator

SECRET = "hunter2-secret"


@dataclass
class Venue:
    """An emulator and a configuration that names it."""

    emulator: Emulator
    folder: Path

    @property
    def section(self) -> dict[str, str]:
        """Where it is."""
        url, ws_url = self.emulator.url, self.emulator.ws_url
        if self.emulator.venue == "alpaca":
            return {"rest_url": url, "stream_url": f"{ws_url}/stream", "data_url": url}
        return {"rest_url": url, "websocket_api_url": f"{ws_url}/ws-api/v3", "stream_url": ws_url}

    def test(
        self,
        *options: str,
        key: str = "good-key",
        secret: str = SECRET,
        settings: Mapping[str, object] | None = None,
    ) -> Done:
        """Tries the account `desk`."""
        name = self.emulator.venue
        account = {
            "broker": name,
            "credentials": {"api_key": "${KEY}", "api_secret": "${SECRET}"},
            name: self.section,
            "connection": {"request_timeout_ms": 1000},
        }
        (self.folder / "b.yaml").write_text(
            json.dumps({"accounts": {"desk": account | dict(settings or {})}})
        )
        done = brokergate(
            *("brokers", "test", "desk", "--config", "b.yaml", *options),
            cwd=self.folder,
            env={"KEY": key, "SECRET": secret},
        )
        assert secret not in done.text + done.stderr
        assert "Traceback" not in done.stderr
        return done


@pytest.fixture(scope="module", params=["alpaca", "binance"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    """One for all tests of a broker."""
    emulator = Emulator.start(request.param, key="good-key", secret=SECRET)
    yield emulator
    emulator.close()


@pytest.fixture
def venue(emulator: Emulator, tmp_path: Path) -> Iterator[Venue]:
    """A new account at it. Whatever a test did, nothing was placed."""
    emulator.do("reset")
    yield Venue(emulator, tmp_path)
    assert emulator.do("orders") == []


def test_an_account_that_is_well(venue: Venue) -> None:
    """What it may do, and how it stands."""
    done = venue.test("--json")
    assert (done.status, done.stderr) == (0, "")
    report = json.loads(done.text)
    assert (report["account"], report["broker"]) == ("desk", venue.emulator.venue)
    assert report["orders"] == "taken"
    assert report["permissions"]
    assert report["clock offset"].endswith(" ms")
    assert report["instruments"] > 0
    assert report["open orders"] == 0
    assert report["balances"]
    assert "limit" in report["order types"]


def test_one_that_is_only_read(venue: Venue) -> None:
    """By its configuration, whatever the broker allows."""
    done = venue.test(settings={"trading": {"enabled": False}})
    assert (done.status, done.stderr) == (0, "")
    assert "orders       not taken: trading.enabled is false\n" in done.text


@pytest.mark.parametrize(("key", "secret"), [("bad-key", SECRET), ("good-key", "hunter3-wrong")])
def test_a_wrong_key_or_secret(venue: Venue, key: str, secret: str) -> None:
    """The account, that its credentials are refused, and what to check: the environment too."""
    done = venue.test(key=key, secret=secret)
    assert (done.status, done.text) == (1, "")
    assert done.stderr.startswith("brokergate: account 'desk'")
    assert re.search("key|secret", done.stderr.split(":", 2)[2])
    assert "; check" in done.stderr or "; live, testnet and demo have keys of their own" in done.stderr
    assert ("paper" if venue.emulator.venue == "alpaca" else "testnet") in done.stderr


def test_an_account_whose_key_was_revoked(venue: Venue) -> None:
    """Expired, deleted, or not let in from here."""
    venue.emulator.do("fault", kind="key_revoked")
    done = venue.test()
    assert done.status == 1
    assert done.stderr.startswith("brokergate: account 'desk'")
    assert "; " in done.stderr
    assert "key" in done.stderr


def test_a_venue_under_maintenance(venue: Venue) -> None:
    """Is no fault of the account's."""
    venue.emulator.do("fault", kind="maintenance")
    done = venue.test()
    assert done.status == 1
    assert done.stderr.startswith("brokergate: account 'desk'")
    assert "; try again when the broker has ended its maintenance" in done.stderr


def test_a_venue_that_is_not_there(venue: Venue) -> None:
    """A wrong address of the broker's own section."""
    section = {name: url.replace(str(venue.emulator.port), "9") for name, url in venue.section.items()}
    done = venue.test(settings={venue.emulator.venue: section})
    assert done.status == 1
    assert done.stderr.startswith("brokergate: account 'desk'")
    assert "; check the network" in done.stderr


def test_a_venue_that_does_not_answer(venue: Venue) -> None:
    """The whole of it has a bound."""
    venue.emulator.do("fault", kind="delay", seconds=30)
    done = venue.test("--timeout", "3")
    venue.emulator.do("clear_faults")
    assert done.status == 1
    assert done.stderr.startswith("brokergate: account 'desk'")
    assert "; " in done.stderr


@pytest.mark.parametrize("emulator", ["binance"], indirect=True)
def test_a_key_that_may_not_trade(venue: Venue) -> None:
    """On an account that is to trade that is an error; on one that is only read it is a fact."""
    venue.emulator.do("permissions", trade=False)
    done, read = venue.test(), venue.test(settings={"trading": {"enabled": False}})
    venue.emulator.do("permissions", trade=True)
    assert done.status == 1
    assert "orders       refused by the broker\n" in done.text
    assert "lacks a permission" in done.text
    assert "account 'desk': its trading is enabled, and the broker takes no orders with these" in done.stderr
    assert (read.status, read.stderr) == (0, "")
    assert "orders       not taken by the broker\n" in read.text


@pytest.mark.parametrize("emulator", ["alpaca"], indirect=True)
@pytest.mark.parametrize("flag", ["account_blocked", "trading_blocked", "trade_suspended_by_user"])
def test_an_account_that_is_blocked(venue: Venue, flag: str) -> None:
    """By the broker or by its owner."""
    venue.emulator.do("flags", **{flag: True})
    done = venue.test()
    assert (done.status, done.text) == (1, "")
    assert done.stderr.startswith("brokergate: account 'desk': ")
    assert "ask Alpaca's support" in done.stderr or "allow it again in the account's settings" in done.stderr


def test_a_live_account_is_only_read(venue: Venue) -> None:
    """Unless it says otherwise."""
    live = venue.test(settings={"environment": "live"})
    assert (live.status, live.stderr) == (0, "")
    assert "orders       not taken: trading.enabled is false\n" in live.text
    assert "environment  live\n" in live.text
