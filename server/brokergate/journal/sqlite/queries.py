"""Every statement that reads, and those that take old events away: prepared once, bounded, and answered by an index
(a test asks SQLite for its plan)."""

from __future__ import annotations

EVENTS_AFTER = """
SELECT position, kind, symbol, body FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""

EVENTS_AFTER_OF_KINDS = """
SELECT position, kind, symbol, body FROM events
WHERE position > ? AND position <= ? AND kind IN (SELECT value FROM json_each(?)) ORDER BY position LIMIT ?
"""

EVENTS_AFTER_OF_RARE_KIND = """
SELECT e.position, e.kind, e.symbol, e.body FROM rare_events r CROSS JOIN events e USING (position)
WHERE r.kind = ? AND r.position > ? AND r.position <= ? ORDER BY r.position LIMIT ?
"""

FILL_EVENTS_AFTER = """
SELECT e.position, e.kind, e.symbol, e.body FROM fills f CROSS JOIN events e USING (position)
WHERE f.position > ? AND f.position <= ? ORDER BY f.position LIMIT ?
"""

LEDGER_EVENTS_BEFORE = """
SELECT e.position, e.body FROM rare_events r CROSS JOIN events e USING (position)
WHERE r.kind = 6 AND r.position < ? AND r.position > ? ORDER BY r.position DESC LIMIT ?
"""

FIND_ACCOUNT = "SELECT number, indexed, first FROM accounts WHERE account_id = ?"

LAST_EVENT = """
SELECT position, time_ns FROM events WHERE position >= ? AND position <= ? ORDER BY position DESC LIMIT 1
"""
EVENTS_FROM = """
SELECT position, kind, time_ns, symbol, fingerprint, multiplier, body, caller FROM events
WHERE position > ? AND position <= ? ORDER BY position
"""
EVENT_AT_OR_AFTER = """
SELECT position FROM events WHERE position >= ? AND position <= ? AND time_ns >= ? ORDER BY position LIMIT 1
"""
EVENT_TIME_FROM = """
SELECT position, time_ns FROM events WHERE position >= ? AND position <= ? ORDER BY position LIMIT 1
"""

_ORDER = "position, multiplier, fingerprint, body"

ORDER_BY_CLIENT = f"SELECT {_ORDER} FROM orders WHERE account = ? AND client_order_id = ?"  # noqa: S608
ORDERS_BY_CLIENT = f"""
SELECT {_ORDER} FROM json_each(?) ids CROSS JOIN orders o ON o.account = ? AND o.client_order_id = ids.value
"""  # noqa: S608
ORDER_BY_NUMBER = f"SELECT {_ORDER} FROM orders WHERE position = ?"  # noqa: S608
ORDER_BY_BROKER = f"""
SELECT {_ORDER} FROM orders WHERE account = ? AND broker_order_id = ? ORDER BY position DESC LIMIT 1
"""  # noqa: S608
OPEN_ORDERS = f"SELECT {_ORDER} FROM orders WHERE account = ? AND state < 4 ORDER BY position"  # noqa: S608

_STATES = "(? = '[]' OR state IN (SELECT value FROM json_each(?)))"
LIST_ORDERS = f"""
SELECT {_ORDER} FROM orders WHERE position >= ? AND position < ? AND {_STATES} ORDER BY position DESC LIMIT ?
"""  # noqa: S608
LIST_ORDERS_OF_SYMBOL = f"""
SELECT {_ORDER} FROM orders WHERE account = ? AND symbol = ? AND position >= ? AND position < ? AND {_STATES}
ORDER BY position DESC LIMIT ?
"""  # noqa: S608
LIST_OPEN_ORDERS = f"""
SELECT {_ORDER} FROM orders WHERE account = ? AND state < 4 AND (? = '' OR symbol = ?)
AND position >= ? AND position < ? AND {_STATES} ORDER BY position DESC LIMIT ?
"""  # noqa: S608

ORDER_AT_OR_ABOVE = (
    "SELECT position, created_ns FROM orders WHERE position >= ? AND position <= ? ORDER BY position LIMIT 1"
)

HAS_FILL = """
SELECT 1 FROM fills WHERE account = ? AND symbol = ? AND broker_order_id = ? AND execution_id = ?
"""
FILL_BY_KEY = """
SELECT e.body FROM fills f CROSS JOIN events e USING (position)
WHERE f.account = ? AND f.symbol = ? AND f.broker_order_id = ? AND f.execution_id = ?
"""
LATER_FEES = """
SELECT e.body FROM later_fees l CROSS JOIN events e USING (position) WHERE l.account = ? AND l.fill_id = ?
"""
_FILL = "SELECT e.position, e.body FROM fills f CROSS JOIN events e USING (position) WHERE"
LIST_FILLS = f"{_FILL} f.position >= ? AND f.position < ? ORDER BY f.position DESC LIMIT ?"
LIST_FILLS_OF_SYMBOL = f"""
{_FILL} f.account = ? AND f.symbol = ? AND f.position >= ? AND f.position < ? ORDER BY f.position DESC LIMIT ?
"""
LIST_FILLS_OF_ORDER = f"""
{_FILL} f.order_position = ? AND (? = '' OR f.symbol = ?) AND f.position >= ? AND f.position < ?
ORDER BY f.position DESC LIMIT ?
"""

HOLDINGS = "SELECT kind, name, multiplier, body FROM holdings WHERE account = ?"
FIND_ANSWER = "SELECT method, fingerprint, body, refusal FROM answers WHERE account = ? AND request_id = ?"
HAS_TOMBSTONES = "SELECT 1 FROM tombstones WHERE account = ? LIMIT 1"
IS_TOMBSTONED = "SELECT 1 FROM tombstones WHERE account = ? AND client_order_id = ?"
FIND_ROUTED = """
SELECT a.account_id FROM routed r CROSS JOIN accounts a ON a.number = r.account
WHERE r.route_id = ? AND r.client_order_id = ?
"""
SETTINGS = "SELECT key, value FROM settings WHERE key >= ? AND key < ? ORDER BY key"
ACCOUNT_SETTING = "SELECT value FROM account_settings WHERE account = ? AND key = ?"

VENUE_SNAPSHOT = "SELECT body FROM venue_snapshots WHERE account = ?"
VENUE_STEPS = "SELECT bodies FROM venue_steps WHERE position >= ? AND position <= ? ORDER BY position"
LAST_VENUE_STEP = """
SELECT position FROM venue_steps WHERE position >= ? AND position <= ? ORDER BY position DESC LIMIT 1
"""

LAST_ORDER = (
    "SELECT position FROM orders WHERE position >= ? AND position <= ? ORDER BY position DESC LIMIT 1"
)
LAST_FILL = f"{_FILL} f.position >= ? AND f.position <= ? ORDER BY f.position DESC LIMIT 1"

LAST_DISCREPANCY = """
SELECT position FROM discrepancies WHERE position >= ? AND position <= ? ORDER BY position DESC LIMIT 1
"""
LIST_DISCREPANCIES = """
SELECT position, body FROM discrepancies WHERE position >= ? AND position < ? ORDER BY position DESC LIMIT ?
"""
LIST_OPEN_DISCREPANCIES = """
SELECT position, body FROM discrepancies WHERE state = 1 AND position >= ? AND position < ?
ORDER BY position DESC LIMIT ?
"""

CALLER_NUMBER = """
SELECT number FROM callers WHERE actor = ? AND peer = ? AND client_name = ? AND method = ?
"""
FIRST_CALLER_FROM = "SELECT number, actor FROM callers WHERE number >= ? ORDER BY number LIMIT 1"
LAST_CALLER_BEFORE = "SELECT number FROM callers WHERE number < ? ORDER BY number DESC LIMIT 1"

AUDIT_ORDERS = """
SELECT o.position, o.created_ns, c.actor, c.peer, c.client_name, c.method, o.client_order_id, o.body
FROM orders o CROSS JOIN callers c ON c.number = o.caller
WHERE o.account = ? AND o.caller >> 32 = ? AND o.caller IS NOT NULL AND o.position >= ? AND o.position < ?
ORDER BY o.position DESC LIMIT ?
"""
AUDIT_ANSWERS = """
SELECT a.number, a.time_ns, c.actor, c.peer, c.client_name, c.method, a.request_id
FROM answers a CROSS JOIN callers c ON c.number = a.caller
WHERE a.account = ? AND a.caller >> 32 = ? AND a.caller IS NOT NULL AND a.number >= ? AND a.number < ?
ORDER BY a.number DESC LIMIT ?
"""
ANSWER_FROM = """
SELECT number, time_ns FROM answers
WHERE account = ? AND caller >> 32 = ? AND caller IS NOT NULL AND number >= ? AND number <= ? ORDER BY number LIMIT 1
"""
LAST_ANSWER = """
SELECT number FROM answers WHERE account = ? AND caller >> 32 = ? AND caller IS NOT NULL ORDER BY number DESC LIMIT 1
"""

# Fills, their fees and ledger entries are listed for ever.
DELETE_UNLISTED_EVENTS = "DELETE FROM events WHERE position >= ? AND position <= ? AND kind NOT IN (2, 3, 6)"
DELETE_RARE_EVENTS = "DELETE FROM rare_events WHERE kind = ? AND position >= ? AND position <= ?"
