"""What a golden journal holds, and how it is written down: `tools/golden_journal.py` makes one for each release.

This runs against the code of old releases, too: what came later is left out where the release has it not.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

from brokergate.codec.encode.account import balance_bytes, position_bytes
from brokergate.codec.encode.order import order_bytes
from brokergate.domain import events, lifecycle
from brokergate.domain.accounts import (
    BrokerBalance,
    BrokerPosition,
    ConnectionState,
    LedgerEntry,
    LedgerEntryKind,
)
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import EventPayload, OrderChanged, OrderEventType
from brokergate.domain.fills import Money
from brokergate.domain.orders import Order, PendingAction, PendingActionKind
from brokergate.domain.values import changed
from brokergate.ports import journal as port
from brokergate.ports.journal import (
    FillFilter,
    Journal,
    OrderFilter,
    RequestDone,
    StoredAnswer,
    StoredOrder,
    Tombstone,
)
from tests.unit.journal.trading import PRINT, START_NS, Trader

ACCOUNTS = ("paper", "other")
REQUESTS = ("r-1", "r-2", "r-refused", "r-none")
TOMBSTONES = ("t-1", "c-1", "t-none")
SETTINGS = ("watermark", "stop")
HAS_ROUTES = hasattr(port, "Routed")
"""Whether this release keeps which account a route chose (schema 3)."""
HAS_LATER_FEES = hasattr(Journal, "find_fill")
"""Whether this release shows the fees of an execution that were told after it (schema 4)."""
HAS_AUDIT = hasattr(port, "AuditFilter")
"""Whether this release keeps the audit, disagreements, refusals and what a venue keeps (schema 2)."""


def write(journal: Journal) -> None:
    """Fills an empty journal."""
    for account_id in ACCOUNTS:
        journal.open_account(account_id)
    _trade(Trader(journal))
    other = Trader(journal, "other")
    other.fill(other.place("c-1", "AAPL"))
    journal.put_setting("paper-account/other", '{"name": "Zoë"}')
    journal.flush()
    if HAS_AUDIT:
        _later(journal)
    if HAS_ROUTES:
        _routed(journal)
    if HAS_LATER_FEES:
        _priced_later(journal)


def _trade(trader: Trader) -> None:
    journal = trader.journal
    for number in range(12):
        order = trader.place(f"c-{number}", "AAPL" if number % 3 else "BTC/USDT")
        if number % 2:
            order = trader.fill(order)
            fees = (Money(Decimal("0.000000000000000001"), "BNB"),)
            trader.stage(events.FillFeesKnown(f"f-{number}", order.order_id, order.spec.symbol, fees))
        journal.flush()
        if number == 6:
            journal.open_orders(trader.account_id)  # which writes the views: the rest is behind them
    trader.now_ns += 10**9
    rejected = trader.intend("rejected", multiplier=Decimal("0.001"))
    trader.stage(OrderChanged(OrderEventType.INTENT, rejected), new="rejected")
    rejected = lifecycle.reject(rejected, ErrorReason.BROKER_REJECTED, "no: ünkind", trader.now_ns)
    trader.stage(OrderChanged(OrderEventType.REJECTED, rejected))
    replaced = _replace(trader, trader.place("replaced"))
    cancel = PendingAction(PendingActionKind.CANCEL, "r-9", trader.now_ns, True)
    trader.stage(OrderChanged(OrderEventType.CANCEL_REQUESTED, lifecycle.request(replaced, cancel), "r-9"))
    spec = changed(replaced.spec, labels=(("desk", "ä"), ("x", "1")), limit_price=Decimal("0.1"))
    external = changed(lifecycle.acknowledge(trader.intend(""), "E-1", trader.now_ns), spec=spec)
    trader.stage(OrderChanged(OrderEventType.EXTERNAL, external))
    position = BrokerPosition("ESZ6", Decimal(-3), Decimal(-15), "USD", START_NS, multiplier=Decimal(50))
    entry = LedgerEntry(
        "l-1", LedgerEntryKind.FUNDING, Money(Decimal("-0.5"), "USDT"), START_NS, "BTC/USDT", "eight"
    )
    payloads: list[EventPayload] = [
        events.PositionChanged(position),
        events.BalanceChanged(BrokerBalance("BTC", Decimal("0.10"), Decimal("0.01"), START_NS)),
        events.LedgerEntryBooked(entry),
        events.ConnectionChanged(ConnectionState.RECONNECTING, "lost"),
        events.GapFound(START_NS, START_NS + 5, "mute"),
        events.ControlChanged(events.ControlEventType.TAPE, "r-2", "paused", "robot"),
    ]
    records: list[port.Record] = [
        RequestDone("r-1", StoredAnswer("CancelOrder", PRINT, b"\x00\xff")),
        RequestDone("r-2", StoredAnswer("ControlTape", PRINT, b"")),
        Tombstone("t-1"),
    ]
    trader.journal.stage(trader.account_id, trader.now_ns, payloads, records)
    journal.flush()


def _replace(trader: Trader, order: Order) -> Order:
    asked = lifecycle.request(order, PendingAction(PendingActionKind.REPLACE, "r-8", trader.now_ns))
    replaced = lifecycle.replaced(asked, order.spec, Decimal(3), "B-replaced-2", trader.now_ns)
    trader.stage(OrderChanged(OrderEventType.REPLACED, replaced, "r-8"))
    return replaced


def _later(journal: Journal) -> None:
    """What schema 2 brought."""
    from brokergate.domain.access import Caller
    from brokergate.domain.control import Discrepancy, DiscrepancyState
    from brokergate.domain.errors import FieldViolation, GatewayError
    from brokergate.ports.broker import VenueSnapshot, VenueStep

    trader = Trader(journal, now_ns=START_NS + 10**10)
    alice = Caller("alice", "ipv4:127.0.0.1:1", "robot/1")
    order = trader.intend("audited")
    found = Discrepancy(
        journal.next_discrepancy_id("paper"), "paper", "AAPL", "", "1", "2", "differs", START_NS
    )
    ended = changed(
        found,
        discrepancy_id=journal.next_discrepancy_id("paper"),
        state=DiscrepancyState.RESOLVED,
        symbol="X",
    )
    refusal = GatewayError(
        ErrorReason.ORDER_ENDED,
        "it has ended",
        violations=[FieldViolation("order", "ended")],
        metadata={"order_id": "x"},
        retry_after_ms=5,
    )
    journal.stage(
        "paper",
        trader.now_ns,
        [
            OrderChanged(OrderEventType.INTENT, order),
            events.DiscrepancyChanged(found),
            events.DiscrepancyChanged(ended),
        ],
        [
            port.NewOrder("audited", PRINT, alice, "ClosePosition"),
            RequestDone("r-refused", StoredAnswer("ReplaceOrder", PRINT, b"", refusal), alice),
            port.Setting("watermark", "w-1"),
            VenueSnapshot(b"whole"),
            VenueStep(b"one"),
            VenueStep(b""),
        ],
    )
    journal.flush()
    journal.stage("paper", trader.now_ns, [], [VenueStep(b"three")])
    journal.flush()


def _routed(journal: Journal) -> None:
    """What schema 3 brought."""
    trader = Trader(journal, "other", START_NS + 2 * 10**10)
    order = changed(trader.intend("by-route", "AAPL"), route_id="us")
    records: list[port.Record] = [
        port.NewOrder("by-route", PRINT),
        port.Routed("us", "by-route"),
        port.Routed("us", "aside"),
    ]
    journal.stage("other", trader.now_ns, [OrderChanged(OrderEventType.INTENT, order)], records)
    journal.flush()


def _priced_later(journal: Journal) -> None:
    """What schema 4 brought."""
    trader = Trader(journal, "other", START_NS + 3 * 10**10)
    for name in ("dear", "free", "unknown"):
        fill = changed(trader.execution(trader.place(name, "AAPL"), f"X-{name}"), fees=(), fees_final=False)
        trader.stage(events.FillBooked(fill))
        fees = (Money(Decimal("1.25"), "USD"),) if name == "dear" else ()
        if name != "unknown":
            trader.stage(events.FillFeesKnown(fill.fill_id, fill.order_id, "AAPL", fees))
    journal.flush()


def describe(journal: Journal) -> dict[str, Any]:
    """Everything that a journal shows, in JSON's types."""
    shown: dict[str, Any] = {
        "journal_id": journal.journal_id,
        "settings": journal.settings(""),
        "accounts": {account_id: _account(journal, account_id) for account_id in ACCOUNTS},
    }
    if HAS_AUDIT:
        for account_id in ACCOUNTS:
            shown["accounts"][account_id].update(_account_later(journal, account_id))
    if HAS_ROUTES:
        shown["routed"] = [journal.find_routed("us", name) for name in ("by-route", "aside", "c-1", "none")]
    return shown


def _order(stored: StoredOrder | None) -> list[Any] | None:
    if stored is None:
        return None
    order = stored.order
    return [stored.number, stored.fingerprint.hex(), str(order.multiplier), order_bytes(order).hex()]


def _account(journal: Journal, account_id: str) -> dict[str, Any]:
    stored = journal.read(account_id, 0, 1000)
    orders = journal.list_orders(account_id, OrderFilter(), None, 1000)
    answers = [journal.find_answer(account_id, request_id) for request_id in REQUESTS]
    positions = journal.positions(account_id)
    return {
        "head": journal.head(account_id),
        "earliest": journal.earliest(account_id),
        "counts": list(journal.counts(account_id)),
        "events": [[each.sequence, int(each.kind), each.symbol, each.body.hex()] for each in stored],
        "orders": [_order(each) for each in orders],
        "open": [each.number for each in journal.open_orders(account_id)],
        "by_client": [_order(journal.find_order(account_id, each.order.client_order_id)) for each in orders],
        "by_broker": [
            _order(journal.find_broker_order(account_id, each.order.broker_order_id)) for each in orders
        ],
        "fills": [[at, body.hex()] for at, body in journal.list_fills(account_id, FillFilter(), None, 1000)],
        "ledger": [
            [at, body.hex()] for at, body in journal.list_ledger_entries(account_id, frozenset(), None, 1000)
        ],
        "positions": [[str(each.multiplier), position_bytes(account_id, each).hex()] for each in positions],
        "balances": [balance_bytes(account_id, each).hex() for each in journal.balances(account_id)],
        "answers": [each and [each.method, each.fingerprint.hex(), each.body.hex()] for each in answers],
        "tombstones": [journal.is_tombstoned(account_id, each) for each in TOMBSTONES],
    }


def _account_later(journal: Journal, account_id: str) -> dict[str, Any]:
    answers = [journal.find_answer(account_id, request_id) for request_id in REQUESTS]
    refusals = [each.refusal for each in answers if each is not None and each.refusal is not None]
    venue = journal.venue_history(account_id)
    return {
        "refusals": [
            [int(each.reason), each.message, str(each.violations), each.metadata, each.retry_after_ms]
            for each in refusals
        ],
        "account_settings": [journal.account_setting(account_id, key) for key in SETTINGS],
        "discrepancies": [
            [number, dataclasses.asdict(found)]
            for number, found in journal.discrepancies(account_id, True, None, 100)
        ],
        "audit": [
            dataclasses.asdict(record) for record in journal.audit(account_id, port.AuditFilter(), None, 100)
        ],
        "venue": venue and [venue.snapshot and venue.snapshot.hex(), [step.hex() for step in venue.steps]],
    }
