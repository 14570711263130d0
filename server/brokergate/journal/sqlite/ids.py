"""Ids that the journal gives: `<account>-<epoch>-<letter><number>`, unique for ever over all accounts.

The number goes on over epochs; the epoch is in the id because a tail that was lost with the machine's power may have
given the same number before.
"""

from __future__ import annotations


def number_of(identifier: str) -> int:
    """The number at the end of an order's or a fill's id. Raises `ValueError` for an id that no journal gave."""
    tail = identifier.rpartition("-")[2]
    if tail[:1] not in ("o", "f") or not tail[1:].isdecimal() or len(tail) > 14:
        raise ValueError(f"id {identifier!r} was not drawn from next_order_id or next_fill_id")
    return int(tail[1:])
