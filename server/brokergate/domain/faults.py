"""What goes wrong on purpose on a paper account."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum

ALWAYS = Decimal(100)
"""Per cent of the occasions."""


class FaultKind(IntEnum):
    """What goes wrong; the numbers are the contract's."""

    UNSPECIFIED = 0
    LOST_ACKNOWLEDGEMENT = 1
    DELAYED_EVENTS = 2
    DUPLICATED_EVENTS = 3
    REORDERED_EVENTS = 4
    MUTE_STREAM = 5
    DISCONNECT = 6
    REJECTION = 7
    MAINTENANCE = 8


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    kind: FaultKind
    rate_percent: Decimal = ALWAYS
    """How often, in per cent of the occasions, above 0; 100 is always."""
    delay_ns: int = 0
    """How late (DELAYED_EVENTS, REORDERED_EVENTS) or how long (DISCONNECT, MAINTENANCE), in nanoseconds."""


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """The faults in force, and since when by the gateway's clock: what lasts for a time is over some time after."""

    faults: tuple[Fault, ...] = ()
    since_ns: int = 0
