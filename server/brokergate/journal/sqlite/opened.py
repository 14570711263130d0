"""What the parts of the journal that read stand on."""

from __future__ import annotations

from collections.abc import Callable

from brokergate.codec.restore import restore_order
from brokergate.journal.sqlite.account import Account, multiplier_of
from brokergate.journal.sqlite.callers import Callers
from brokergate.journal.sqlite.commits import Commits
from brokergate.journal.sqlite.schema import SEQUENCE_MASK
from brokergate.journal.sqlite.store import Row, Store
from brokergate.journal.sqlite.writer import Writer
from brokergate.ports.journal import Journal, StoredOrder
from brokergate.v1 import order_pb2


class Opened(Journal):
    """A journal whose file is open."""

    _store: Store
    _commits: Commits
    _writer: Writer
    _callers: Callers
    _accounts: dict[str, Account]


def stored_order(row: Row) -> StoredOrder:
    """An order from its row of position, multiplier, fingerprint and body."""
    position, multiplier, fingerprint, body = row
    order = restore_order(order_pb2.Order.FromString(body), multiplier_of(multiplier))
    return StoredOrder(order, fingerprint or b"", position & SEQUENCE_MASK)


def first_at(time_of: Callable[[int, int], tuple[int, int] | None], low: int, high: int, time_ns: int) -> int:
    """The first number from `low` to `high` whose time is `time_ns` or later; `high + 1` if there is none. Numbers
    may be missing; times never go back. `time_of(low, high)` is the first number there is between the two, both
    included, and its time."""
    high += 1
    while low < high:
        middle = (low + high) // 2
        found = time_of(middle, high - 1)
        if found is None:
            high = middle
        elif found[1] < time_ns:
            low = found[0] + 1
        else:
            high = middle
    return low
