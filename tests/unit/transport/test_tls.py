from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest

from brokergate.domain.access import Scope
from brokergate.tokens import TokenStore
from brokergate.transport.listeners import ListenError
from brokergate.transport.settings import ListenerSettings, TlsSettings, TransportSettings
from brokergate.v1 import (
    order_service_pb2_grpc,
    trading_control_pb2,
    trading_control_service_pb2_grpc,
)
from tests.unit.transport.certificates import Authority, Pair
from tests.unit.transport.conftest import LOOPBACK, Serve, Served
from tests.unit.transport.errors import reason_of
from tests.unit.transport.orders import market
from tests.unit.transport.test_auth import bearer, make_token, reach

PREVIEW = "/brokergate.v1.OrderService/PreviewOrder"
PLACE = "/brokergate.v1.OrderService/PlaceOrder"
CHANNELZ = "/grpc.channelz.v1.Channelz/GetServers"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def listener(server: Pair, client_ca: Path | None = None) -> ListenerSettings:
    return ListenerSettings("127.0.0.1:0", TlsSettings(server.certificate, server.key, client_ca))


def secure(served: Served, authority: Authority, client: Pair | None = None) -> grpc.aio.Channel:
    credentials = grpc.ssl_channel_credentials(
        authority.certificate.read_bytes(),
        client.key.read_bytes() if client else None,
        client.certificate.read_bytes() if client else None,
    )
    channel = grpc.aio.secure_channel(
        served.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)]
    )
    served.channels.append(channel)
    return channel


async def outcome(channel: grpc.aio.Channel, path: str, token: str | None = None) -> str:
    """OK, the reason, or the code of a connection that did not come about."""
    try:
        return await reach(channel, path, token)
    except KeyError:
        return "UNAVAILABLE"


async def test_tls(serve: Serve, authority: Authority) -> None:
    """A listener with a certificate talks TLS, to those who trust its authority, and to nobody in clear text."""
    served = await serve(TransportSettings(listeners=(listener(authority.sign("server")),)))
    stub: Any = order_service_pb2_grpc.OrderServiceStub(secure(served, authority))
    assert (await stub.PlaceOrder(market("c1"), timeout=20)).order.cum_quantity == "1"
    assert await outcome(served.channel(), PREVIEW) == "UNAVAILABLE"


async def test_the_audit_has_the_certificates_name(serve: Serve, authority: Authority) -> None:
    """A client that shows a certificate and no token is in the audit by its common name, with its address and what it
    calls itself."""
    settings = TransportSettings(
        listeners=(listener(authority.sign("server"), authority.certificate),),
        client_scopes={"boss": Scope.ADMIN},
    )
    served = await serve(settings)
    channel = secure(served, authority, authority.sign("boss"))
    stub: Any = order_service_pb2_grpc.OrderServiceStub(channel)
    await stub.PlaceOrder(market("c1"), timeout=20)
    control: Any = trading_control_service_pb2_grpc.TradingControlServiceStub(channel)
    request = trading_control_pb2.ListAuditRecordsRequest(account_id="main")
    (record,) = (await control.ListAuditRecords(request, timeout=20)).records
    assert (record.actor, record.client_order_id) == ("boss", "c1")
    assert record.peer.startswith("ipv4:127.0.0.1:")
    assert record.client_name.startswith("grpc-python-asyncio/")


async def test_a_client_certificate_is_a_principal(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """With mTLS the certificate's common name is the principal: it may trade, or what the settings say of its name.
    Without a certificate, or with one of another authority, there is no connection."""
    settings = TransportSettings(
        listeners=(listener(authority.sign("server"), authority.certificate),),
        client_scopes={"boss": Scope.ADMIN, "viewer": Scope.READ},
    )
    served = await serve(settings)
    allowed = {
        "strategy": (True, True, False),
        "viewer": (True, False, False),
        "boss": (True, True, True),
    }
    for name, expected in allowed.items():
        channel = secure(served, authority, authority.sign(name))
        found = [await outcome(channel, path) != "SCOPE_INSUFFICIENT" for path in (PREVIEW, PLACE, CHANNELZ)]
        assert tuple(found) == expected, name
    assert await outcome(secure(served, authority), PREVIEW) == "UNAVAILABLE"
    stranger = Authority(tmp_path, "stranger").sign("boss")
    assert await outcome(secure(served, authority, stranger), PREVIEW) == "UNAVAILABLE"


async def test_a_token_goes_before_the_certificate(
    serve: Serve, authority: Authority, tokens: TokenStore
) -> None:
    """A call with a token is the token's, whatever the certificate may do; a wrong token is refused all the same."""
    token = make_token(tokens, "reader", Scope.READ)
    settings = TransportSettings(
        listeners=(listener(authority.sign("server"), authority.certificate),),
        client_scopes={"boss": Scope.ADMIN},
    )
    served = await serve(settings, tokens)
    channel = secure(served, authority, authority.sign("boss"))
    assert await outcome(channel, CHANNELZ) == "OK"
    assert await outcome(channel, CHANNELZ, token) == "SCOPE_INSUFFICIENT"
    assert await outcome(channel, CHANNELZ, "wrong") == "TOKEN_INVALID"


async def test_listeners_differ(serve: Serve, authority: Authority) -> None:
    """One server listens in clear text on loopback and with mTLS beside it; each asks what it was told to."""
    mutual = listener(authority.sign("server"), authority.certificate)
    served = await serve(TransportSettings(listeners=(LOOPBACK[0], mutual)))
    assert await outcome(served.channel(), CHANNELZ) == "OK"
    served.address = served.addresses[1]
    assert (
        await outcome(secure(served, authority, authority.sign("strategy")), CHANNELZ) == "SCOPE_INSUFFICIENT"
    )
    assert await outcome(secure(served, authority), CHANNELZ) == "UNAVAILABLE"


async def test_the_clear_listener_wants_a_token_once_there_is_one(
    serve: Serve, authority: Authority, tokens: TokenStore
) -> None:
    """Beside an mTLS listener, the loopback one is closed to callers without a token as soon as one is made."""
    mutual = listener(authority.sign("server"), authority.certificate)
    token = make_token(tokens, "reader", Scope.READ)
    served = await serve(TransportSettings(listeners=(LOOPBACK[0], mutual)), tokens)
    assert await outcome(served.channel(), PREVIEW) == "TOKEN_INVALID"
    assert await outcome(served.channel(), PREVIEW, token) == "INVALID_FIELD"
    stub: Any = order_service_pb2_grpc.OrderServiceStub(served.channel())
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.PlaceOrder(market("c1"), metadata=bearer(token), timeout=20)
    assert reason_of(caught.value) == "SCOPE_INSUFFICIENT"


async def test_files_that_do_not_go_together_are_refused(
    serve: Serve, authority: Authority, tmp_path: Path
) -> None:
    """A missing file, a key of another certificate and a file that is none are told by name before anything listens."""
    one, two = authority.sign("one"), authority.sign("two")
    text = tmp_path / "text.pem"
    text.write_text("nothing")
    for tls, says in (
        (TlsSettings(tmp_path / "missing.pem", one.key), "missing.pem.*No such file"),
        (TlsSettings(one.certificate, two.key), "one.pem.*cannot be used"),
        (TlsSettings(one.certificate, one.key, text), "cannot be used"),
    ):
        with pytest.raises(ListenError, match=f"(?s){says}"):
            await serve(TransportSettings(listeners=(ListenerSettings("127.0.0.1:0", tls),)))


async def test_an_address_that_is_taken_is_told(serve: Serve) -> None:
    """Two servers do not share a port: the second one says which address is taken."""
    served = await serve()
    with pytest.raises(ListenError, match=f"{served.address} cannot be listened on"):
        await serve(TransportSettings(listeners=(ListenerSettings(served.address),)))


async def test_a_socket_in_the_file_system(serve: Serve, tmp_path: Path) -> None:
    """A listener may be a Unix socket; it counts as this machine's own."""
    served = await serve(TransportSettings(listeners=(ListenerSettings(f"unix:{tmp_path}/s"),)))
    assert await outcome(served.channel(), CHANNELZ) == "OK"
