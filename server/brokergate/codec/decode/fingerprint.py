"""Fingerprints: equal for requests that ask for the same, compared by parsed values (law 2: 1.0 is 1.00)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import IntEnum
from hashlib import blake2b
from operator import attrgetter

from brokergate.domain.money import CONTEXT
from brokergate.domain.orders import OrderSpec

FINGERPRINT_BYTES = 16
"""128 bits: no two bodies of one client's make the same by chance, and nobody gains by making them."""

_COMMON = ("symbol", "side", "type", "quantity", "limit_price", "stop_price", "time_in_force")
_RARE = tuple(field for field in fields(OrderSpec) if field.name not in _COMMON)
_rare = attrgetter(*(field.name for field in _RARE))
_NO_RARE = tuple(field.default for field in _RARE)

_normalize = CONTEXT.normalize


def _number(value: Decimal | None) -> str:
    # The normal form of a value is one text: 1.00, 1.0 and 1 are 1, and 100 is 1E+2.
    return "" if value is None else str(_normalize(value))


def canonical(value: object) -> object:
    """`value` as something whose `repr` is equal for equal values, and only for those."""
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, (tuple, list)):
        return tuple(canonical(item) for item in value)
    if isinstance(value, (frozenset, set)):
        return tuple(sorted(repr(canonical(item)) for item in value))
    if is_dataclass(value):
        return tuple(canonical(getattr(value, field.name)) for field in fields(value))
    return value


def fingerprint(
    target: str, spec: OrderSpec, others: Sequence[object] = (), allow_emulated: bool = False
) -> bytes:
    """The fingerprint of a place: where (`account:…`), what, its linked orders, and whether they may be emulated."""
    # The parts of the common fields hold no newline, so that no two orders make one text.
    form = (
        f"{target}\n{spec.symbol}\n{spec.side.value}\n{spec.type.value}\n{spec.time_in_force.value}\n{_number(spec.quantity)}\n"
        f"{_number(spec.limit_price)}\n{_number(spec.stop_price)}\n{allow_emulated:d}"
    )
    if (rare := _rare(spec)) != _NO_RARE:
        form += f"\n{canonical(rare)!r}"
    if others:
        form += f"\nlinked\n{canonical(others)!r}"
    return blake2b(form.encode(), digest_size=FINGERPRINT_BYTES).digest()


def fingerprint_of(*values: object) -> bytes:
    """The fingerprint of any other request: of its command, and whatever else it asks for."""
    return blake2b(repr(canonical(values)).encode(), digest_size=FINGERPRINT_BYTES).digest()
