"""AccountService: accounts and their money."""

from __future__ import annotations

import asyncio

from brokergate.codec.decode.account import decode_account
from brokergate.codec.decode.lists import decode_list_ledger_entries
from brokergate.codec.encode.account import encode_account, encode_as_of, encode_balance
from brokergate.codec.encode.response import ledger_page_bytes
from brokergate.engine.gateway import Gateway
from brokergate.transport.auth import require_account
from brokergate.transport.clients import Client
from brokergate.transport.pages import fit
from brokergate.v1 import account_pb2


class AccountService:
    """See `account_service.proto`."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def list_accounts(
        self, request: account_pb2.ListAccountsRequest, client: Client
    ) -> account_pb2.ListAccountsResponse:
        allowed = [
            account_id for account_id in self._gateway.account_ids if client.principal.allows(account_id)
        ]
        # A broker that is slow to answer holds up nobody else's.
        shown = await asyncio.gather(*map(self._gateway.get_account, allowed))
        return account_pb2.ListAccountsResponse(accounts=[encode_account(account) for account in shown])

    async def get_account(
        self, request: account_pb2.GetAccountRequest, client: Client
    ) -> account_pb2.GetAccountResponse:
        account_id = decode_account(request)
        require_account(client.principal, account_id)
        account = await self._gateway.get_account(account_id)
        return account_pb2.GetAccountResponse(
            account=encode_account(account), cursor=self._gateway.cursor(account_id)
        )

    async def list_balances(
        self, request: account_pb2.ListBalancesRequest, client: Client
    ) -> account_pb2.ListBalancesResponse:
        account_id = decode_account(request)
        require_account(client.principal, account_id)
        shown = await self._gateway.list_balances(account_id)
        return account_pb2.ListBalancesResponse(
            balances=[encode_balance(account_id, balance) for balance in shown.value],
            cursor=self._gateway.cursor(account_id),
            as_of=encode_as_of(shown.as_of_ns),
            stale=shown.stale,
        )

    async def list_ledger_entries(
        self, request: account_pb2.ListLedgerEntriesRequest, client: Client
    ) -> bytes:
        page = decode_list_ledger_entries(request)
        require_account(client.principal, page.account_id)
        kinds = frozenset(int(kind) for kind in page.which)
        rows = self._gateway.list_ledger_entries(page.account_id, kinds, page.place, page.limit + 1)
        bodies, token = fit(rows, page.limit, lambda row: row[1], lambda row: page.next_token(row[0]))
        return ledger_page_bytes(bodies, token, self._gateway.cursor(page.account_id))
