"""What stands against an order."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.money import format_decimal, normal
from brokergate.domain.policy import StopCause
from brokergate.domain.values import value


@value
class Breach:
    """Why an order is refused: RISK_LIMIT, or NO_REFERENCE_PRICE where a limit needs a price that there is not.

    `message` names the limit, its configured value, what the order would make of it, and the way out. `cause` is what
    may latch an emergency stop (`stop_on`), where the breach is more than one order's.
    """

    reason: ErrorReason
    message: str
    cause: StopCause | None = None


class NoReference(Exception):
    """A price that a limit needs is missing or too old; the text says which, and the way out."""


def exceeded(message: str) -> Breach:
    """A limit that the order would break."""
    return Breach(ErrorReason.RISK_LIMIT, message)


def shown(amount: Decimal) -> str:
    """A number as a message has it: plain, without trailing zeros."""
    return format_decimal(normal(amount))


def shown_money(money: Money) -> str:
    """An amount with its currency."""
    return f"{shown(money.amount)} {money.currency}"
