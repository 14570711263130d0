"""Ids under which a thing is done once."""

from __future__ import annotations

import secrets
import time

_DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_RANDOM_BITS = 80


def new_id() -> str:
    """A client_order_id or request_id that nobody else makes, 26 characters of `[0-9A-Z]`: a ULID, 48 bits of the time
    in milliseconds and 80 random ones, so that ids of different milliseconds sort as they were made."""
    number = time.time_ns() // 1_000_000 << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    return "".join(_DIGITS[number >> shift & 31] for shift in range(125, -1, -5))
