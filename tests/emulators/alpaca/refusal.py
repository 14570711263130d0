"""What Alpaca says no with: `{code, message}` and sometimes the figures behind it, under an HTTP status.

Codes and texts are those that its documentation and its SDKs' issue trackers show. 40310000 has many meanings, which
only the text tells apart.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.emulators.alpaca.numbers import text


class Refused(Exception):
    """A request that is refused. `fields` stand beside code and message in the body."""

    def __init__(self, status: int, code: int, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields

    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return {"code": self.code, "message": self.message, **self.fields}


def malformed(message: str = "request body format is invalid") -> Refused:
    """A body or parameter that cannot be read."""
    return Refused(400, 40010000, message)


def invalid(message: str) -> Refused:
    """A field that is missing or makes no sense."""
    return Refused(422, 40010001, message)


def unprocessable(message: str, **fields: Any) -> Refused:
    """A sensible request that the rules forbid."""
    return Refused(422, 42210000, message, **fields)


def forbidden(message: str, **fields: Any) -> Refused:
    """The account may not: no funds, no shares, a flag."""
    return Refused(403, 40310000, message, **fields)


def not_found(message: str) -> Refused:
    """There is no such thing."""
    return Refused(404, 40410000, message)


def unauthorized(*, wrong: bool) -> Refused:
    """No key, or a wrong one (a key of another environment is a wrong one as well)."""
    if wrong:
        return Refused(403, 40110000, "forbidden.")
    return Refused(401, 40110000, "request is not authorized")


def too_many() -> Refused:
    """Over the limit of requests."""
    return Refused(429, 42910000, "rate limit exceeded")


def short_of_power(power: Decimal, cost: Decimal) -> Refused:
    """A stock order that costs more than the buying power."""
    return forbidden("insufficient buying power", buying_power=text(power), cost_basis=text(cost))


def short_of_balance(currency: str, asked: Decimal, available: Decimal) -> Refused:
    """A crypto order for more than there is of what it pays with."""
    return forbidden(
        f"insufficient balance for {currency} (requested: {text(asked)}, available: {text(available)})",
        balance=text(available),
        symbol=currency,
    )


def short_of_shares(
    symbol: str, asked: Decimal, held: Decimal, reserved: Decimal, related: list[str]
) -> Refused:
    """A closing order for more than is held and not in other orders."""
    available = max(Decimal(0), held - reserved)
    return forbidden(
        f"insufficient qty available for order (requested: {text(asked)}, available: {text(available)})",
        available=text(available),
        existing_qty=text(held),
        held_for_orders=text(reserved),
        related_orders=related,
        symbol=symbol,
    )


def wash_trade(existing_order_id: str, existing_type: str) -> Refused:
    """The order could meet one of the account's own."""
    kind = "limit" if existing_type in ("limit", "stop_limit") else "market/stop"
    return forbidden(
        "potential wash trade detected. use complex orders",
        existing_order_id=existing_order_id,
        reject_reason=f"opposite side {kind} order exists",
    )
