"""What each of Alpaca's refusals means."""

from __future__ import annotations

from typing import Any

import pytest

from brokergate.adapters.alpaca.errors import TABLE, meaning
from brokergate.adapters.alpaca.values import dump
from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    BrokerTimeoutError,
    DuplicateOrderError,
    ErrorReason,
    ExchangeMaintenanceError,
    FinalError,
    InsufficientFundsError,
    InvalidOrderError,
    RateLimitError,
    RecoverableError,
    TemporaryConnectionError,
    UnknownOrderError,
)
from tests.unit.adapters.alpaca.shapes import fixture

R = ErrorReason
Case = tuple[int, int, str, type[BrokerError], ErrorReason, bool]

SHEET: tuple[Case, ...] = (
    (429, 42910000, "rate limit exceeded", RateLimitError, R.RATE_LIMITED, True),
    (500, 50010000, "internal server error", TemporaryConnectionError, R.BROKER_UNAVAILABLE, False),
    (504, 50410000, "timeout", BrokerTimeoutError, R.OUTCOME_UNKNOWN, False),
    (503, 50310000, "unavailable", ExchangeMaintenanceError, R.BROKER_MAINTENANCE, False),
    (401, 40110000, "request is not authorized", AuthenticationError, R.BROKER_AUTHENTICATION, True),
    (403, 40110000, "forbidden.", AuthenticationError, R.BROKER_AUTHENTICATION, True),
    (403, 40310000, "insufficient buying power", InsufficientFundsError, R.INSUFFICIENT_FUNDS, True),
    (403, 40310000, "insufficient balance for BTC", InsufficientFundsError, R.INSUFFICIENT_FUNDS, True),
    (
        403,
        40310000,
        "insufficient qty available for order",
        InsufficientFundsError,
        R.INSUFFICIENT_FUNDS,
        True,
    ),
    (
        403,
        40310000,
        "cost basis must be >= minimal amount of order 10",
        InvalidOrderError,
        R.BELOW_MIN_NOTIONAL,
        True,
    ),
    (403, 40310000, "potential wash trade detected", InvalidOrderError, R.SELF_TRADE, True),
    (
        403,
        40310000,
        "new orders are rejected by user request",
        AccountSuspendedError,
        R.ACCOUNT_SUSPENDED,
        True,
    ),
    (422, 42210000, "invalid crypto time_in_force", InvalidOrderError, R.BROKER_REJECTED, True),
    (422, 40010001, "invalid time_in_force", InvalidOrderError, R.BROKER_REJECTED, True),
    (422, 40010001, "client_order_id must be unique", DuplicateOrderError, R.CLIENT_ORDER_ID_REUSED, True),
    (422, 42210000, 'order is already in "filled" state', UnknownOrderError, R.ORDER_ENDED, True),
    (422, 42210000, "sub-penny increment does not fulfill", InvalidOrderError, R.PRICE_OFF_TICK, True),
    (404, 40410000, "order not found for x", UnknownOrderError, R.ORDER_NOT_FOUND, True),
)


@pytest.mark.parametrize("case", SHEET, ids=lambda case: f"{case[0]} {case[2][:30]}")
def test_the_table_of_the_sheet(case: Case) -> None:
    """40310000 by its words; what a 5xx says of a command is unknown."""
    status, code, message, error, reason, refused = case
    found = meaning(status, dump({"code": code, "message": message}), {})
    assert (type(found.error), found.reason, found.refused) == (error, reason, refused)
    assert found.error.code == str(code)
    assert message[:20] in str(found.error)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, b"<html><head><title>403 Forbidden</title></head></html>"),
        (403, dump({"code": 40310000, "message": "something that was never documented"})),
        (418, b"<html></html>"),
        (422, dump({"code": 42299999, "message": "?"})),
        (400, b""),
        (409, b"{"),
        (302, b""),
        (520, b"web server returns an unknown error"),
        (404, b"not json"),
    ],
)
def test_what_is_not_listed_is_unknown(status: int, body: bytes) -> None:
    """A proxy's page, a new code, a redirect: nobody knows whether a command was done."""
    found = meaning(status, body, {})
    assert not found.refused
    assert isinstance(found.error, RecoverableError)
    assert not isinstance(found.error, FinalError)


@pytest.mark.parametrize("name", sorted(fixture("errors")))
def test_every_documented_refusal_is_listed(name: str) -> None:
    """By the fixtures that the emulator answers with."""
    shape: dict[str, Any] = fixture("errors")[name]
    body = {field: str(value) for field, value in shape["body"].items()}
    found = meaning(int(shape["status"]), dump(body), {})
    assert found.reason is not R.OUTCOME_UNKNOWN
    assert found.refused == (int(shape["status"]) < 500)


def test_a_long_message_is_cut() -> None:
    """What a venue says goes into events and logs."""
    found = meaning(422, dump({"code": 42210000, "message": "x" * 5_000}), {})
    assert len(str(found.error)) < 120


def test_only_what_the_venue_refused_is_refused() -> None:
    """No 5xx is a refusal."""
    assert not any(row.refused for row in TABLE if row.status >= 500)
