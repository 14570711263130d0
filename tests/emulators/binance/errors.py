"""What the venue says when it refuses: its codes and texts (binance-spot-api-docs, errors.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal. `status` is HTTP's and the WebSocket API's alike; `data` goes beside code and text."""

    def __init__(
        self, code: int, message: str, status: int = 400, data: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.data = data

    def body(self) -> dict[str, Any]:
        """As REST shows it."""
        shown: dict[str, Any] = {"code": self.code, "msg": self.message}
        if self.data is not None:
            shown["data"] = self.data
        return shown


def missing(name: str) -> ApiError:
    return ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def both_missing(first: str, second: str) -> ApiError:
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def illegal(name: str, legal: str) -> ApiError:
    return ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{legal}'.")


def empty(name: str) -> ApiError:
    return ApiError(-1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> ApiError:
    return ApiError(-1106, f"Parameter '{name}' sent when not required.")


def invalid(name: str) -> ApiError:
    return ApiError(-1130, f"Data sent for parameter '{name}' is not valid.")


def filter_failure(name: str) -> ApiError:
    return ApiError(-1013, f"Filter failure: {name}")


def rejected(message: str) -> ApiError:
    """The matching engine refuses a new order."""
    return ApiError(-2010, message)


UNKNOWN_ORDER = "Unknown order sent."
DUPLICATE = "Duplicate order sent."
NO_BALANCE = "Account has insufficient balance for requested action."
WOULD_TAKE = "Order would immediately match and take."
WOULD_TRIGGER = "Stop price would trigger immediately."
MARKET_CLOSED = "Market is closed."
DISABLED = "This action is disabled on this account."
MAY_NOT_TRADE = "This account may not place or cancel orders."
STP_NOT_ALLOWED = "This symbol does not allow the specified self-trade prevention mode."


def unauthorized() -> ApiError:
    return ApiError(-2015, "Invalid API-key, IP, or permissions for action.", 401)


def bad_key_format() -> ApiError:
    return ApiError(-2014, "API-key format invalid.", 401)


def bad_signature() -> ApiError:
    return ApiError(-1022, "Signature for this request is not valid.")


def maintenance() -> ApiError:
    return ApiError(-1016, "This service is no longer available.", 503)
