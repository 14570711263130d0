"""Accounts that share a key and accounts that only seem to, against the emulator's process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from brokergate.adapters.factory import BrokerFactory
from brokergate.domain.errors import AuthenticationError
from tests.emulators.client import Emulator

ACCOUNT = """
  {name}:
    broker: binance
    environment: testnet
    credentials: {{api_key: {key}, api_secret: {secret}}}
    binance: {{rest_url: "{url}", websocket_api_url: "{ws_url}/ws-api/v3", stream_url: "{ws_url}"}}
"""


async def test_a_wrong_secret_is_refused_alone(tmp_path: Path) -> None:
    """One key in three accounts, once with a wrong secret, connected in one moment: two do not notice."""
    venue = Emulator.start("binance")
    try:
        secrets = {"bad": "wrong", "good": venue.secret, "twin": venue.secret}
        accounts = [
            ACCOUNT.format(name=name, key=venue.key, secret=secret, url=venue.url, ws_url=venue.ws_url)
            for name, secret in secrets.items()
        ]
        written = tmp_path / "b.yaml"
        written.write_text("accounts:" + "".join(accounts))
        async with BrokerFactory.of_files(written) as brokers:
            bad, good, twin = await asyncio.gather(
                *(brokers.create_broker(name) for name in secrets), return_exceptions=True
            )
            assert isinstance(bad, AuthenticationError)
            assert "account 'bad'" in str(bad)
            for broker in (good, twin):
                assert not isinstance(broker, BaseException), broker
                assert await broker.get_balances()
    finally:
        venue.close()
