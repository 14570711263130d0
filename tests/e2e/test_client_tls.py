"""The Python client and the people's commands over TLS and mTLS."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from brokergate_client import Gateway, Tls, UnavailableError
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess, run_brokergate
from tests.unit.transport.certificates import Authority, Pair


@dataclass(frozen=True)
class Secured:
    """A server that wants a certificate of its clients, and what belongs to it."""

    server: ServerProcess
    authority: Authority
    client: Pair

    @property
    def tls(self) -> Tls:
        """What a client of it needs."""
        return Tls(self.authority.certificate, self.client.certificate, self.client.key)


@pytest.fixture
def secured(start_server: StartServer, tmp_path: Path) -> Secured:
    """A server with mTLS."""
    authority = Authority(tmp_path)
    own, client = authority.sign("gateway"), authority.sign("strategy")
    config = tmp_path / "tls.yaml"
    config.write_text(
        "server:\n"
        "  listen:\n"
        "    address: 127.0.0.1:0\n"
        f"    tls: {{certificate: {own.certificate}, key: {own.key}, client_ca: {authority.certificate}}}\n"
        "accounts:\n"
        "  paper: {broker: paper, trading: {enabled: true}, paper: {initial_balance: {USDT: '1000'}, "
        "feed: {synthetic: {seed: 7}}}}\n"
    )
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(), client.key.read_bytes(), client.certificate.read_bytes()
    )
    return Secured(start_server("--config", config, credentials=credentials), authority, client)


async def test_a_client_with_a_certificate_is_let_in(secured: Secured) -> None:
    """Both sides prove who they are."""
    async with Gateway.connect(secured.server.address, tls=secured.tls) as gateway:
        assert [account.account_id for account in await gateway.accounts()] == ["paper"]


@pytest.mark.parametrize("what", ["no TLS", "another authority", "no certificate"])
async def test_a_connection_that_cannot_be_trusted_is_an_error_in_time(
    secured: Secured, tmp_path: Path, what: str
) -> None:
    """It does not hang, and no call goes through."""
    (tmp_path / "other").mkdir()
    tls = {
        "no TLS": None,
        "another authority": Tls(
            Authority(tmp_path / "other").certificate, secured.client.certificate, secured.client.key
        ),
        "no certificate": Tls(secured.authority.certificate),
    }[what]
    with pytest.raises(UnavailableError):
        async with Gateway.connect(secured.server.address, tls=tls, connect_timeout_s=0.5):
            pass


def test_the_commands_speak_tls(secured: Secured) -> None:
    """By options or by the environment, as the image's health check would."""
    files = {
        "BROKERGATE_CA_FILE": str(secured.authority.certificate),
        "BROKERGATE_CERTIFICATE_FILE": str(secured.client.certificate),
        "BROKERGATE_KEY_FILE": str(secured.client.key),
    }
    address = {"BROKERGATE_ADDRESS": secured.server.address}
    done = run_brokergate("health", env=address | files)
    assert (done.returncode, done.stdout) == (0, "SERVING\n"), done.stderr
    options = [
        part
        for name, value in files.items()
        for part in (f"--{name.removeprefix('BROKERGATE_').lower().replace('_', '-')}", value)
    ]
    assert run_brokergate("balances", *options, env=address).returncode == 0
    refused = run_brokergate("balances", env=address)
    assert refused.returncode == 3
    assert re.fullmatch(r"brokergate: .*UNAVAILABLE.*\n", refused.stderr)
