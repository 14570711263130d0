"""InstrumentService: what can be traded."""

from __future__ import annotations

from brokergate.codec.decode.account import decode_holding
from brokergate.codec.decode.lists import decode_list_instruments
from brokergate.codec.encode.account import encode_as_of
from brokergate.codec.encode.instrument import encode_instrument
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.transport.clients import Client
from brokergate.v1 import instrument_pb2


class InstrumentService:
    """See `instrument_service.proto`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_instruments(
        self, request: instrument_pb2.ListInstrumentsRequest, client: Client
    ) -> instrument_pb2.ListInstrumentsResponse:
        page = decode_list_instruments(request)
        require_account(client.principal, page.account_id)
        listed = self._gateway.list_instruments(page.account_id)
        found = [
            instrument
            for instrument in listed.value
            if instrument.symbol > (page.place or "")
            and instrument.symbol.startswith(page.which.symbol_prefix)
            and (not page.which.kinds or instrument.kind in page.which.kinds)
        ]
        shown = found[: page.limit]
        return instrument_pb2.ListInstrumentsResponse(
            instruments=[encode_instrument(instrument) for instrument in shown],
            next_page_token=page.next_token(shown[-1].symbol) if len(found) > len(shown) else "",
            as_of=encode_as_of(listed.as_of_ns),
            stale=listed.stale,
        )

    async def get_instrument(
        self, request: instrument_pb2.GetInstrumentRequest, client: Client
    ) -> instrument_pb2.GetInstrumentResponse:
        wanted = decode_holding(request)
        account_id, route_id = wanted.target
        if route_id:
            account_id = self._gateway.reader(route_id, (wanted.symbol,))
        require_account(client.principal, account_id)
        instrument = self._gateway.get_instrument(account_id, wanted.symbol)
        return instrument_pb2.GetInstrumentResponse(
            instrument=encode_instrument(instrument), account_id=account_id
        )
