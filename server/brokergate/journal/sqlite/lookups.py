"""What is found by key: orders by each of their ids, executions, answers, tombstones and settings.

All of these see what is staged, and wait for no disk. Who answers with what was found here waits for the commit first.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from brokergate.codec.restore import restore_fill, restore_money
from brokergate.domain.fills import Fill
from brokergate.domain.values import changed
from brokergate.journal.sqlite import queries
from brokergate.journal.sqlite.account import Account
from brokergate.journal.sqlite.answers import refusal_of
from brokergate.journal.sqlite.ids import number_of
from brokergate.journal.sqlite.opened import Opened, stored_order
from brokergate.journal.sqlite.schema import SEQUENCE_MASK
from brokergate.journal.sqlite.venue import split_steps
from brokergate.ports.broker import VenueHistory
from brokergate.ports.journal import StoredAnswer, StoredOrder
from brokergate.v1 import event_pb2


class Lookups(Opened):
    """The look-ups by key."""

    def find_order(self, account_id: str, client_order_id: str) -> StoredOrder | None:
        account = self._accounts[account_id]
        if client_order_id in account.views.by_client:
            self._commits.commit_group()
            number = account.views.by_client.get(client_order_id)
            if number is not None:
                return self._unwritten(account, number)
        row = self._store.row(queries.ORDER_BY_CLIENT, (account.number, client_order_id))
        if row is None:
            self._writer.absent.add((account.number, client_order_id))
            return None
        return stored_order(row)

    def find_orders(self, account_id: str, client_order_ids: Sequence[str]) -> dict[str, StoredOrder]:
        if len(client_order_ids) == 1:
            (name,) = client_order_ids
            one = self.find_order(account_id, name)
            return {} if one is None else {name: one}
        account = self._accounts[account_id]
        if any(name in account.views.by_client for name in client_order_ids):
            self._commits.commit_group()
        found: dict[str, StoredOrder] = {}
        rest: list[str] = []
        for name in client_order_ids:
            number = account.views.by_client.get(name)
            if number is None:
                rest.append(name)
            else:
                found[name] = self._unwritten(account, number)
        for row in (
            self._store.rows(queries.ORDERS_BY_CLIENT, (json.dumps(rest), account.number)) if rest else ()
        ):
            stored = stored_order(row)
            found[stored.order.client_order_id] = stored
        for name in rest:
            if name not in found:
                self._writer.absent.add((account.number, name))
        return found

    def get_order(self, account_id: str, order_id: str) -> StoredOrder | None:
        account = self._accounts[account_id]
        try:
            number = number_of(order_id)
        except ValueError:
            return None
        if not 0 < number <= account.views.last_order:
            return None
        stored = self._by_number(account, number)
        return stored if stored is not None and stored.order.order_id == order_id else None

    def find_broker_order(self, account_id: str, broker_order_id: str) -> StoredOrder | None:
        account = self._accounts[account_id]
        number = account.views.by_broker.get(broker_order_id)
        if number is not None:
            stored = self._by_number(account, number)
        else:
            row = self._store.row(queries.ORDER_BY_BROKER, (account.number, broker_order_id))
            # Its row may be behind: a replace that is not written yet has given it another id.
            stored = self._by_number(account, row[0] & SEQUENCE_MASK) if row else None
        return stored if stored is not None and stored.order.broker_order_id == broker_order_id else None

    def _by_number(self, account: Account, number: int) -> StoredOrder | None:
        if number in account.views.orders:
            self._commits.commit_group()
            if number in account.views.orders:
                return self._unwritten(account, number)
        row = self._store.row(queries.ORDER_BY_NUMBER, (account.base | number,))
        return stored_order(row) if row else None

    def _unwritten(self, account: Account, number: int) -> StoredOrder:
        """An order whose row is still to be written."""
        row = account.views.orders[number]
        if row.fingerprint is None:
            stored = self._store.row(queries.ORDER_BY_NUMBER, (account.base | number,))
            row.fingerprint = (stored[2] if stored else None) or b""
        return StoredOrder(row.order, row.fingerprint, number)

    def is_tombstoned(self, account_id: str, client_order_id: str) -> bool:
        account = self._accounts[account_id]
        number = account.number
        if number not in self._writer.tombstoned:
            return False
        if self._writer.has_staged_tombstone(account, client_order_id):
            return True
        return self._store.row(queries.IS_TOMBSTONED, (number, client_order_id)) is not None

    def find_routed(self, route_id: str, client_order_id: str) -> str | None:
        return self._writer.routed(route_id, client_order_id)

    def has_fill(self, account_id: str, key: tuple[str, str, str]) -> bool:
        account = self._accounts[account_id]
        if key in account.views.fills:
            return True
        if self._store.row(queries.HAS_FILL, (account.number, *key)) is not None:
            return True
        self._writer.absent.add((account.number, *key))
        return False

    def find_fill(self, account_id: str, key: tuple[str, str, str]) -> Fill | None:
        account = self._accounts[account_id]
        staged = account.views.fills.get(key)
        if staged is not None:
            _, fill = staged
        else:
            row = self._store.row(queries.FILL_BY_KEY, (account.number, *key))
            if row is None:
                return None
            fill = restore_fill(event_pb2.Event.FromString(row[0]).fill.fill)
        return fill if fill.fees_final else self._with_later_fees(account, fill)

    def _with_later_fees(self, account: Account, fill: Fill) -> Fill:
        staged = account.views.later_fees.get(fill.fill_id)
        if staged is not None:
            _, fees = staged
        else:
            row = self._store.row(queries.LATER_FEES, (account.number, fill.fill_id))
            if row is None:
                return fill
            told = event_pb2.Event.FromString(row[0]).fill_fees
            fees = tuple(restore_money(fee) for fee in told.fees)
        return changed(fill, fees=fees, fees_final=True)

    def counts(self, account_id: str) -> tuple[int, int]:
        views = self._accounts[account_id].views
        return views.last_order, views.last_fill

    def find_answer(self, account_id: str, request_id: str) -> StoredAnswer | None:
        account = self._accounts[account_id]
        staged = self._writer.staged_answer(account, request_id)
        if staged is not None:
            return staged
        row = self._store.row(queries.FIND_ANSWER, (account.number, request_id))
        if row is None:
            self._writer.absent.add((account.number, "request", request_id))
            return None
        method, fingerprint, body, refusal = row
        return StoredAnswer(method, fingerprint, body, refusal_of(refusal))

    def account_setting(self, account_id: str, key: str) -> str | None:
        place = (self._accounts[account_id].number, key)
        staged = self._commits.group.account_settings
        if place in staged:
            return staged[place]
        row = self._store.row(queries.ACCOUNT_SETTING, place)
        return str(row[0]) if row else None

    def settings(self, prefix: str) -> dict[str, str]:
        self._commits.commit_group()
        return dict(self._store.rows(queries.SETTINGS, (prefix, prefix + "\U0010ffff")))

    def venue_history(self, account_id: str) -> VenueHistory | None:
        self._commits.commit_group()
        account = self._accounts[account_id]
        snapshot = self._store.row(queries.VENUE_SNAPSHOT, (account.number,))
        bounds = (account.base, account.base | SEQUENCE_MASK)
        steps = [
            step
            for (joined,) in self._store.rows(queries.VENUE_STEPS, bounds)
            for step in split_steps(joined)
        ]
        if snapshot is None and not steps:
            return None
        return VenueHistory(snapshot[0] if snapshot else None, steps)
