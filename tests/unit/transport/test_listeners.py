from __future__ import annotations

from pathlib import Path

import pytest

from brokergate.transport.listeners import ListenError, check_listeners
from brokergate.transport.settings import ListenerSettings, TlsSettings, TransportSettings, is_loopback

TLS = TlsSettings(Path("c.pem"), Path("k.pem"))
MTLS = TlsSettings(Path("c.pem"), Path("k.pem"), Path("ca.pem"))


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        ("127.0.0.1:1", True),
        ("127.9.9.9:1", True),
        ("[::1]:1", True),
        ("localhost:1", True),
        ("unix:/run/x", True),
        ("0.0.0.0:1", False),
        ("[::]:1", False),
        ("192.168.0.1:1", False),
        ("localhost.example.org:1", False),
        ("example.org:1", False),
        (":1", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(address: str, loopback: bool) -> None:
    """An address counts as loopback only where nobody else can connect to it."""
    assert is_loopback(address) is loopback


@pytest.mark.parametrize(
    ("listener", "tokens", "says"),
    [
        (ListenerSettings("0.0.0.0:1"), True, "no TLS.*--insecure"),
        (ListenerSettings("0.0.0.0:1", insecure=True), False, "token new"),
        (ListenerSettings("0.0.0.0:1", TLS), False, "token new.*client_ca"),
    ],
)
def test_a_listener_that_lets_strangers_in_is_refused(
    listener: ListenerSettings, tokens: bool, says: str
) -> None:
    """Off loopback a listener wants TLS, and tokens or client certificates; the refusal names the way out."""
    with pytest.raises(ListenError, match=f"(?s)0.0.0.0:1.*{says}"):
        check_listeners(TransportSettings(listeners=(ListenerSettings("127.0.0.1:1"), listener)), tokens)


@pytest.mark.parametrize(
    ("listener", "tokens"),
    [
        (ListenerSettings("127.0.0.1:1"), False),
        (ListenerSettings("0.0.0.0:1", insecure=True), True),
        (ListenerSettings("0.0.0.0:1", TLS), True),
        (ListenerSettings("0.0.0.0:1", MTLS), False),
    ],
)
def test_a_listener_that_asks_who_is_there_is_taken(listener: ListenerSettings, tokens: bool) -> None:
    """Loopback needs nothing; elsewhere tokens or mTLS are enough, and clear text needs a word."""
    check_listeners(TransportSettings(listeners=(listener,)), tokens)


def test_a_server_without_a_listener_is_refused() -> None:
    """No address at all is an error, not a server that nobody can reach."""
    with pytest.raises(ListenError, match="names no address"):
        check_listeners(TransportSettings(listeners=()), True)
