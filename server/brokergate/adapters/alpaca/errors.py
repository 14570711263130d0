"""Alpaca's refusals and what each means.

Alpaca answers an error with an HTTP status and `{"code", "message"}`; 40310000 says many things, so that its text
decides (the texts: alpaca-py and alpaca-docs issues, and live checks of September 2026). A row holds where everything
that it names is there. What no row holds for is unlisted: of a command nobody then knows the outcome (law 3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from brokergate.adapters.alpaca.answers import refusal
from brokergate.adapters.alpaca.values import WireError, load
from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    BrokerTimeoutError,
    DuplicateOrderError,
    ErrorReason,
    ExchangeMaintenanceError,
    InsufficientFundsError,
    InvalidOrderError,
    MarketClosedError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
    UnknownOrderError,
    shorten,
)

R = ErrorReason


@dataclass(frozen=True, slots=True)
class Row:
    """A signal and its meaning. `status` 0 stands for any; `code` and `words` empty for any. `refused` says that the
    venue did nothing: a command that is answered so was rejected."""

    status: int
    code: str
    words: str
    error: type[BrokerError]
    reason: ErrorReason
    refused: bool = True


_UNAUTHORIZED, _FORBIDDEN, _INVALID, _FORMAT = "40110000", "40310000", "42210000", "40010001"

TABLE: tuple[Row, ...] = (
    # The transport's and the house's: before everything else, whatever stands in the body.
    Row(429, "", "", RateLimitError, R.RATE_LIMITED),
    Row(0, "42910000", "", RateLimitError, R.RATE_LIMITED),
    Row(500, "", "", TemporaryConnectionError, R.BROKER_UNAVAILABLE, refused=False),
    Row(502, "", "", TemporaryConnectionError, R.BROKER_UNAVAILABLE, refused=False),
    Row(503, "", "", ExchangeMaintenanceError, R.BROKER_MAINTENANCE, refused=False),
    Row(504, "", "", BrokerTimeoutError, R.OUTCOME_UNKNOWN, refused=False),
    # The credentials.
    Row(401, "", "", AuthenticationError, R.BROKER_AUTHENTICATION),
    Row(403, _UNAUTHORIZED, "", AuthenticationError, R.BROKER_AUTHENTICATION),
    Row(403, "", "request is not authorized", AuthenticationError, R.BROKER_AUTHENTICATION),
    # 40310000 by its text.
    Row(403, _FORBIDDEN, "insufficient", InsufficientFundsError, R.INSUFFICIENT_FUNDS),
    Row(403, _FORBIDDEN, "cost basis", InvalidOrderError, R.BELOW_MIN_NOTIONAL),
    Row(403, _FORBIDDEN, "wash trade", InvalidOrderError, R.SELF_TRADE),
    Row(403, _FORBIDDEN, "rejected by user request", AccountSuspendedError, R.ACCOUNT_SUSPENDED),
    Row(403, _FORBIDDEN, "account is blocked", AccountSuspendedError, R.ACCOUNT_SUSPENDED),
    Row(403, _FORBIDDEN, "trading is blocked", AccountSuspendedError, R.ACCOUNT_SUSPENDED),
    Row(403, _FORBIDDEN, "account not eligible to trade", AccountSuspendedError, R.ACCOUNT_SUSPENDED),
    Row(403, _FORBIDDEN, "not allowed to trade", AccountSuspendedError, R.ACCOUNT_SUSPENDED),
    Row(403, _FORBIDDEN, "minimal qty", InvalidOrderError, R.QUANTITY_OUT_OF_RANGE),
    Row(403, _FORBIDDEN, "fraction", InvalidOrderError, R.UNSUPPORTED),
    Row(403, _FORBIDDEN, "sold short", InvalidOrderError, R.NOT_SHORTABLE),
    Row(403, _FORBIDDEN, "allowed to short", InvalidOrderError, R.NOT_SHORTABLE),
    Row(403, _FORBIDDEN, "short selling", InvalidOrderError, R.NOT_SHORTABLE),
    Row(403, _FORBIDDEN, "market hours", MarketClosedError, R.MARKET_CLOSED),
    # Orders that are not there, or there already.
    Row(404, "40410000", "", UnknownOrderError, R.ORDER_NOT_FOUND),
    Row(404, "", "order not found", UnknownOrderError, R.ORDER_NOT_FOUND),
    Row(422, "", "must be unique", DuplicateOrderError, R.CLIENT_ORDER_ID_REUSED),
    # Changes and cancels that come too late, or too early.
    Row(422, "", "already in", UnknownOrderError, R.ORDER_ENDED),
    Row(422, "", "not cancelable", UnknownOrderError, R.ORDER_ENDED),
    Row(422, "", "not open", UnknownOrderError, R.ORDER_ENDED),
    Row(422, "", "cannot replace", UnknownOrderError, R.ORDER_ENDED),
    Row(422, "", "filled qty", InvalidOrderError, R.REPLACE_BELOW_FILLED),
    Row(422, "", "filled_qty", InvalidOrderError, R.REPLACE_BELOW_FILLED),
    # Terms that the rules refuse.
    Row(422, "", "sub-penny", InvalidOrderError, R.PRICE_OFF_TICK),
    Row(422, "", "minimum pricing criteria", InvalidOrderError, R.PRICE_OFF_TICK),
    Row(422, "", "sold short", InvalidOrderError, R.NOT_SHORTABLE),
    Row(422, "", "could not find asset", InvalidOrderError, R.INSTRUMENT_NOT_FOUND),
    Row(422, "", "not found", InvalidOrderError, R.INSTRUMENT_NOT_FOUND),
    Row(422, "", "invalid symbol", InvalidOrderError, R.INSTRUMENT_NOT_FOUND),
    Row(422, "", "is not tradable", InvalidOrderError, R.MARKET_CLOSED),
    Row(422, "", "is not active", InvalidOrderError, R.MARKET_CLOSED),
    Row(422, "", "market hours", MarketClosedError, R.MARKET_CLOSED),
    Row(422, "", "cost basis", InvalidOrderError, R.BELOW_MIN_NOTIONAL),
    Row(422, "", "insufficient", InsufficientFundsError, R.INSUFFICIENT_FUNDS),
    Row(422, _INVALID, "", InvalidOrderError, R.BROKER_REJECTED),
    Row(422, _FORMAT, "", InvalidOrderError, R.BROKER_REJECTED),
    Row(400, _FORMAT, "", InvalidOrderError, R.BROKER_REJECTED),
)
"""From the first row to the last: the first that holds decides."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error's answer means. `refused` as in `Row`."""

    error: BrokerError
    reason: ErrorReason
    refused: bool


def meaning(status: int, body: bytes, headers: Mapping[str, str]) -> Meaning:
    """What an answer means that is no success. Its text, shortened, is the venue's; nothing of the request is in it."""
    try:
        code, message = refusal(load(body))
    except WireError:
        code, message = "", ""
    said = shorten(message) if message else "without a word that it documents"
    lowered = message.lower()
    for row in TABLE:
        if row.status in (0, status) and row.code in ("", code) and row.words in lowered:
            error = row.error(f"Alpaca answered {status}: {said}", code=code or str(status))
            return Meaning(error, row.reason, row.refused)
    unlisted = RecoverableError(
        f"Alpaca answered {status}, which is not listed: {said}", code=code or str(status)
    )
    return Meaning(unlisted, R.OUTCOME_UNKNOWN, refused=False)
