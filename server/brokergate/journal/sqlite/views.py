"""What is looked up by key: orders, executions, positions and balances, as their events left them.

All of it follows from the events, so a commit need not write it. It is kept here and written behind them, some
hundred changes at a time in one go: a commit then touches the end of one b-tree in place of a page of each of ten,
and an order that changes three times in a row is written once. What is here is lost with the process and made again
from the events after `accounts.indexed`, which are never more than a few hundred.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from brokergate.codec.encode.account import balance_bytes, position_bytes
from brokergate.codec.encode.order import order_bytes
from brokergate.domain.accounts import BrokerBalance, BrokerPosition
from brokergate.domain.events import (
    BalanceChanged,
    EventKind,
    EventPayload,
    FillBooked,
    FillFeesKnown,
    OrderChanged,
    PositionChanged,
)
from brokergate.domain.fills import Fill, Money
from brokergate.domain.orders import Order
from brokergate.journal.sqlite.facts import multiplier_text
from brokergate.journal.sqlite.ids import number_of
from brokergate.journal.sqlite.schema import SEQUENCE_BITS

FillKey = tuple[str, str, str]

_UPSERT_ORDER = """
INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (position) DO UPDATE SET broker_order_id = excluded.broker_order_id, symbol = excluded.symbol,
    state = excluded.state, fingerprint = coalesce(excluded.fingerprint, fingerprint), body = excluded.body
"""


class OrderRow:
    """An order that is still to be written."""

    __slots__ = ("caller", "created_ns", "fingerprint", "order")

    def __init__(self, order: Order, created_ns: int) -> None:
        self.order = order
        self.created_ns = created_ns
        self.fingerprint: bytes | None = None
        """None where the order was registered before and its row has it; so is the caller."""
        self.caller: int | None = None


class AccountViews:
    """One account's views: what is not yet written, and all of its positions and balances."""

    def __init__(self, number: int, account_id: str) -> None:
        self.number = number
        self.base = number << SEQUENCE_BITS
        self.account_id = account_id
        self.last_order = 0
        """The highest number of an order, and below of a fill, that was ever staged."""
        self.last_fill = 0
        self.positions: dict[str, BrokerPosition] = {}
        self.balances: dict[str, BrokerBalance] = {}
        self.orders: dict[int, OrderRow] = {}
        self.by_client: dict[str, int] = {}
        self.by_broker: dict[str, int] = {}
        self.fills: dict[FillKey, tuple[int, Fill]] = {}
        self.later_fees: dict[str, tuple[int, tuple[Money, ...]]] = {}
        """By an execution's id, the sequence of the event that told its fees, and these."""
        self.changed_positions: set[str] = set()
        self.changed_balances: set[str] = set()

    def apply(self, sequence: int, time_ns: int, payload: EventPayload, number: int) -> None:
        """Takes one event in; `number` is that of its order's or its fill's id. Never fails."""
        if isinstance(payload, OrderChanged):
            self._apply_order(time_ns, payload.order, number)
        elif isinstance(payload, FillBooked):
            fill = payload.fill
            self.fills[fill.key] = (sequence, fill)
            if number > self.last_fill:
                self.last_fill = number
        elif isinstance(payload, PositionChanged):
            self.positions[payload.position.symbol] = payload.position
            self.changed_positions.add(payload.position.symbol)
        elif isinstance(payload, BalanceChanged):
            self.balances[payload.balance.currency] = payload.balance
            self.changed_balances.add(payload.balance.currency)
        elif isinstance(payload, FillFeesKnown):
            self.later_fees[payload.fill_id] = (sequence, payload.fees)

    def _apply_order(self, time_ns: int, order: Order, number: int) -> None:
        row = self.orders.get(number)
        if row is None:
            self.orders[number] = OrderRow(order, time_ns)
            if order.client_order_id:
                self.by_client[order.client_order_id] = number
            if number > self.last_order:
                self.last_order = number
        else:
            row.order = order
        if order.broker_order_id:
            self.by_broker[order.broker_order_id] = number

    def register(self, client_order_id: str, fingerprint: bytes, caller: int | None) -> None:
        """The fingerprint and the caller of a new order that `apply` has taken in."""
        row = self.orders[self.by_client[client_order_id]]
        row.fingerprint, row.caller = fingerprint, caller

    def write(self, connection: sqlite3.Connection, indexed: int) -> None:
        """Writes all of it, up to the sequence `indexed`, within the caller's transaction."""
        account, base = self.number, self.base
        connection.executemany(
            _UPSERT_ORDER,
            [
                (
                    base | number,
                    account,
                    row.order.client_order_id or None,
                    row.order.broker_order_id or None,
                    row.order.spec.symbol,
                    int(row.order.state),
                    row.created_ns,
                    multiplier_text(row.order.multiplier),
                    row.fingerprint,
                    order_bytes(row.order),
                    row.caller,
                )
                for number, row in sorted(self.orders.items())
            ],
        )
        connection.executemany(
            "INSERT INTO fills VALUES (?, ?, ?, ?, ?, ?)",
            [
                (base | sequence, account, *key, base | (number_of(fill.order_id) if fill.order_id else 0))
                for key, (sequence, fill) in self.fills.items()
            ],
        )
        connection.executemany(
            "INSERT OR REPLACE INTO later_fees VALUES (?, ?, ?)",
            [(account, fill_id, base | sequence) for fill_id, (sequence, _) in self.later_fees.items()],
        )
        connection.executemany("INSERT OR REPLACE INTO holdings VALUES (?, ?, ?, ?, ?)", self._holdings())
        connection.execute("UPDATE accounts SET indexed = ? WHERE number = ?", (indexed, account))

    def _holdings(self) -> Sequence[tuple[int, int, str, str | None, bytes]]:
        account, account_id = self.number, self.account_id
        rows: list[tuple[int, int, str, str | None, bytes]] = []
        for symbol in sorted(self.changed_positions):
            position = self.positions[symbol]
            body = position_bytes(account_id, position)
            rows.append((account, EventKind.POSITION, symbol, multiplier_text(position.multiplier), body))
        for currency in sorted(self.changed_balances):
            body = balance_bytes(account_id, self.balances[currency])
            rows.append((account, EventKind.BALANCE, currency, None, body))
        return rows

    def written(self) -> None:
        """What was written is committed: forget it."""
        self.orders.clear()
        self.by_client.clear()
        self.by_broker.clear()
        self.fills.clear()
        self.later_fees.clear()
        self.changed_positions.clear()
        self.changed_balances.clear()
