"""Every statement that reads: prepared once, bounded, and answered by an index (a test asks SQLite for its plan)."""

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

FIRST_EVENT = "SELECT position FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT 1"

EVENT_TIME = "SELECT time_ns FROM events WHERE position = ?"

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
_FILL = "SELECT e.position, e.body FROM fills f CROSS JOIN events e USING (position) WHERE"
LIST_FILLS = f"{_FILL} f.position >= ? AND f.position < ? ORDER BY f.position DESC LIMIT ?"
LIST_FILLS_OF_SYMBOL = f"""
{_FILL} f.account = ? AND f.symbol = ? AND f.position >= ? AND f.position < ? ORDER BY f.position DESC LIMIT ?
"""
LIST_FILLS_OF_ORDER = f"""
{_FILL} f.order_position = ? AND (? = '' OR f.symbol = ?) AND f.position >= ? AND f.position < ?
ORDER BY f.position DESC LIMIT ?
"""

FIND_ANSWER = "SELECT method, fingerprint, body FROM answers WHERE account = ? AND request_id = ?"
HAS_TOMBSTONES = "SELECT 1 FROM tombstones WHERE account = ? LIMIT 1"
IS_TOMBSTONED = "SELECT 1 FROM tombstones WHERE account = ? AND client_order_id = ?"
SETTINGS = "SELECT key, value FROM settings WHERE key >= ? AND key < ? ORDER BY key"
