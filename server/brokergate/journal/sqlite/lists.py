"""What is shown page by page: orders, fills, ledger entries, holdings, disagreements, and the audit.

All of it is committed, and on the disk where the account asks for that, before it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from brokergate.codec.restore import restore_discrepancy
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.control import AuditRecord, Discrepancy
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.opened import Opened, first_at, stored_order
from brokergate.journal.sqlite.schema import SEQUENCE_MASK
from brokergate.journal.sqlite.writer import COMMAND_BITS
from brokergate.ports.journal import AuditFilter, FillFilter, OrderFilter, StoredOrder
from brokergate.v1 import event_pb2, fill_pb2, order_pb2, trading_control_pb2


class Lists(Opened):
    """The lists."""

    def _settled(self, account_id: str) -> Account:
        """The account, when everything that is staged can be shown."""
        self._commits.settle()
        return self._accounts[account_id]

    def open_orders(self, account_id: str) -> Sequence[StoredOrder]:
        account = self._settled(account_id)
        return [stored_order(row) for row in self._store.rows(queries.OPEN_ORDERS, (account.number,))]

    def list_orders(
        self, account_id: str, which: OrderFilter, before: int | None, limit: int
    ) -> Sequence[StoredOrder]:
        account = self._settled(account_id)
        low, high = 0, SEQUENCE_MASK if before is None else before
        if which.start_time_ns is not None:
            low = self._order_at(account, which.start_time_ns)
        if which.end_time_ns is not None:
            high = min(high, self._order_at(account, which.end_time_ns))
        states = json.dumps(sorted(which.states))
        bounds = (account.base | low, account.base | high, states, states, limit)
        if which.open_only:
            rows = self._store.rows(
                queries.LIST_OPEN_ORDERS, (account.number, which.symbol, which.symbol, *bounds)
            )
        elif which.symbol:
            rows = self._store.rows(queries.LIST_ORDERS_OF_SYMBOL, (account.number, which.symbol, *bounds))
        else:
            rows = self._store.rows(queries.LIST_ORDERS, bounds)
        return [stored_order(row) for row in rows]

    def _order_at(self, account: Account, time_ns: int) -> int:
        """The number of the first order that was created at or after a time; one past the last if there is none."""

        def time_of(low: int, high: int) -> tuple[int, int] | None:
            row = self._store.row(queries.ORDER_AT_OR_ABOVE, (account.base | low, account.base | high))
            return (row[0] & SEQUENCE_MASK, row[1]) if row else None

        return first_at(time_of, 1, account.views.last_order, time_ns)

    def list_fills(
        self, account_id: str, which: FillFilter, before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        account = self._settled(account_id)
        low, high = 0, SEQUENCE_MASK if before is None else before
        if which.start_time_ns is not None:
            low = self.sequence_at(account_id, which.start_time_ns) + 1
        if which.end_time_ns is not None:
            high = min(high, self.sequence_at(account_id, which.end_time_ns) + 1)
        bounds = (account.base | low, account.base | high, limit)
        if which.order_id:
            stored = self.get_order(account_id, which.order_id)
            if stored is None:
                return ()
            order = (account.base | stored.number, which.symbol, which.symbol)
            rows = self._store.rows(queries.LIST_FILLS_OF_ORDER, (*order, *bounds))
        elif which.symbol:
            rows = self._store.rows(queries.LIST_FILLS_OF_SYMBOL, (account.number, which.symbol, *bounds))
        else:
            rows = self._store.rows(queries.LIST_FILLS, bounds)
        return [
            (position & SEQUENCE_MASK, self._fill_bytes(account, event_pb2.Event.FromString(body).fill.fill))
            for position, body in rows
        ]

    def _fill_bytes(self, account: Account, fill: fill_pb2.Fill) -> bytes:
        """With the fees that were told later."""
        if not fill.fees_final:
            row = self._store.row(queries.LATER_FEES, (account.number, fill.fill_id))
            if row is not None:
                del fill.fees[:]
                fill.fees.extend(event_pb2.Event.FromString(row[0]).fill_fees.fees)
                fill.fees_final = True
        return fill.SerializeToString()

    def list_ledger_entries(
        self, account_id: str, kinds: frozenset[int], before: int | None, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        self._commits.flush()
        account = self._accounts[account_id]
        below = SEQUENCE_MASK if before is None else before
        found: list[tuple[int, bytes]] = []
        while len(found) < limit:
            rows = self._store.rows(queries.LEDGER_EVENTS_BEFORE, (account.base | below, account.base, limit))
            for position, body in rows:
                entry = event_pb2.Event.FromString(body).ledger_entry.entry
                if not kinds or entry.kind in kinds:
                    found.append((position & SEQUENCE_MASK, entry.SerializeToString()))
            if len(rows) < limit:
                break
            below = rows[-1][0] & SEQUENCE_MASK
        return found[:limit]

    def positions(self, account_id: str) -> Sequence[BrokerPosition]:
        self._commits.flush()
        positions = self._accounts[account_id].views.positions
        return [positions[symbol] for symbol in sorted(positions)]

    def balances(self, account_id: str) -> Sequence[BrokerBalance]:
        self._commits.flush()
        balances = self._accounts[account_id].views.balances
        return [balances[currency] for currency in sorted(balances)]

    def discrepancies(
        self, account_id: str, include_resolved: bool, before: int | None, limit: int
    ) -> Sequence[tuple[int, Discrepancy]]:
        self._commits.flush()
        account = self._accounts[account_id]
        query = queries.LIST_DISCREPANCIES if include_resolved else queries.LIST_OPEN_DISCREPANCIES
        below = SEQUENCE_MASK if before is None else before
        return [
            (
                position & SEQUENCE_MASK,
                restore_discrepancy(trading_control_pb2.Discrepancy.FromString(body)),
            )
            for position, body in self._store.rows(query, (account.base, account.base | below, limit))
        ]

    def audit(
        self, account_id: str, which: AuditFilter, before: int | None, limit: int
    ) -> Sequence[AuditRecord]:
        account = self._settled(account_id)
        below = 1 << 63 if before is None else before
        found: list[AuditRecord] = []
        # Each actor's commands lie together; there are as many actors as there are tokens.
        for actor in self._callers.actors(which.actor):
            found.extend(self._audited_orders(account, actor, which, below, limit))
            found.extend(self._audited_answers(account, actor, which, below, limit))
        found.sort(key=lambda record: record.number, reverse=True)
        return found[:limit]

    def _audited_orders(
        self, account: Account, actor: int, which: AuditFilter, below: int, limit: int
    ) -> list[AuditRecord]:
        low, high = 0, min(-(-below >> COMMAND_BITS), SEQUENCE_MASK)
        if which.start_time_ns is not None:
            low = self._order_at(account, which.start_time_ns)
        if which.end_time_ns is not None:
            high = min(high, self._order_at(account, which.end_time_ns))
        bounds = (account.number, actor, account.base | low, account.base | high, limit)
        return [
            AuditRecord(
                (position & SEQUENCE_MASK) << COMMAND_BITS,
                account.account_id,
                created_ns,
                actor_name,
                peer,
                client,
                method,
                "",
                client_order_id,
                order_pb2.Order.FromString(body).order_id,
            )
            for position, created_ns, actor_name, peer, client, method, client_order_id, body in self._store.rows(
                queries.AUDIT_ORDERS, bounds
            )
        ]

    def _audited_answers(
        self, account: Account, actor: int, which: AuditFilter, below: int, limit: int
    ) -> list[AuditRecord]:
        def time_of(low: int, high: int) -> tuple[int, int] | None:
            row = self._store.row(queries.ANSWER_FROM, (account.number, actor, low, high))
            return (row[0], row[1]) if row else None

        low, high = 0, min(below, account.commands + 1)
        if which.start_time_ns is not None:
            low = first_at(time_of, 0, account.commands, which.start_time_ns)
        if which.end_time_ns is not None:
            high = min(high, first_at(time_of, 0, account.commands, which.end_time_ns))
        return [
            AuditRecord(
                number, account.account_id, time_ns, actor_name, peer, client, method, request_id, "", ""
            )
            for number, time_ns, actor_name, peer, client, method, request_id in self._store.rows(
                queries.AUDIT_ANSWERS, (account.number, actor, low, high, limit)
            )
        ]
