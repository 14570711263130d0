"""Ids that the journal gives: `<account>-<epoch>-<letter><number>`, unique for ever over all accounts.

The number goes on over epochs; the epoch is in the id because a tail that was lost with the machine's power may have
given the same number before.
"""

from __future__ import annotations


def number_of(identifier: str) -> int:
    """The number at the end of an order's, a fill's or a discrepancy's id. Raises `ValueError` for what ends in no
    number: an id that no journal gave. (One that only looks like it is told apart by comparing the whole.)"""
    try:
        return int(identifier[identifier.rindex("-") + 2 :])
    except ValueError:
        raise ValueError(f"id {identifier!r} was not drawn from the journal") from None
