"""Pages of lists that fit into a message."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

MAX_PAGE_BYTES: Final = 3 << 20
"""Of a page's items: the message stays under the 4 MiB that a client takes by default."""


def fit(
    rows: Sequence[T], limit: int, body: Callable[[T], bytes], next_token: Callable[[T], str]
) -> tuple[list[bytes], str]:
    """The bodies of the first `limit` rows, or of as many as fit, and the token of the page after them; '' on the last
    one. `rows` holds one more than `limit` where there is more."""
    bodies: list[bytes] = []
    length = 0
    for row in rows[:limit]:
        item = body(row)
        length += len(item)
        if bodies and length > MAX_PAGE_BYTES:
            break
        bodies.append(item)
    return bodies, next_token(rows[len(bodies) - 1]) if len(rows) > len(bodies) else ""
