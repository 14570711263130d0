"""Cursors: where a reader stands in the journals of some accounts. Opaque to clients.

    1.<journal id>.<epoch>.<account>:<sequence>[,<account>:<sequence> ...]

The leading number is the form's version. Account ids hold none of the separators.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError, shorten

MAX_CURSOR_ACCOUNTS = 512
"""The most accounts that a stream follows: a message of each carries their cursor."""

MAX_CURSOR_LENGTH = 1 << 16
"""Characters: `MAX_CURSOR_ACCOUNTS` with ids of 64 and sequences of 18 fit."""

_matches = re.compile(
    r"1\.([0-9a-f]{1,16})\.([0-9]{1,18})\.([A-Za-z0-9_-]{1,64}:[0-9]{1,18}(?:,[A-Za-z0-9_-]{1,64}:[0-9]{1,18})*)?",
    re.ASCII,
).fullmatch


@dataclass(frozen=True, slots=True)
class Cursor:
    """After `positions[account]` on each account, in this journal and epoch."""

    journal_id: str
    epoch: int
    positions: Mapping[str, int]


def encode_cursor(journal_id: str, epoch: int, positions: Mapping[str, int]) -> str:
    """The text of a cursor after `positions[account]` on each account."""
    places = ",".join(f"{account}:{sequence}" for account, sequence in sorted(positions.items()))
    return f"1.{journal_id}.{epoch}.{places}"


def decode_cursor(text: str) -> Cursor:
    """The cursor that `text` is. Raises GatewayError CURSOR_INVALID for what `encode_cursor` never made."""
    found = _matches(text) if len(text) <= MAX_CURSOR_LENGTH else None
    if found is None:
        raise _invalid(text)
    journal_id, epoch, places = found.groups()
    positions: dict[str, int] = {}
    for place in places.split(",") if places else ():
        account, _, sequence = place.partition(":")
        if account in positions:
            raise _invalid(text)
        positions[account] = int(sequence)
    return Cursor(journal_id, int(epoch), positions)


def _invalid(text: str) -> GatewayError:
    problem = (
        f"{shorten(text)!r} is not a cursor of this gateway; "
        "take one from a stream, an event or a list as it stands"
    )
    return GatewayError(
        ErrorReason.CURSOR_INVALID,
        f"after_cursor: {problem}",
        violations=[FieldViolation("after_cursor", problem)],
    )
