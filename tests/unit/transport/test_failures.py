from __future__ import annotations

import grpc
import pytest

from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    BrokerTimeoutError,
    CriticalError,
    ErrorReason,
    ExchangeMaintenanceError,
    InvalidOrderError,
    MarketClosedError,
    RateLimitError,
    TemporaryConnectionError,
    UnknownOrderError,
)
from brokergate.ports.journal import CommitUnknown, JournalError
from brokergate.transport.failures import translate
from brokergate.transport.status import rpc_status


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (RateLimitError("x"), ErrorReason.RATE_LIMITED),
        (TemporaryConnectionError("x"), ErrorReason.BROKER_UNAVAILABLE),
        (BrokerTimeoutError("x"), ErrorReason.BROKER_UNAVAILABLE),
        (AuthenticationError("x"), ErrorReason.BROKER_AUTHENTICATION),
        (InvalidOrderError("x"), ErrorReason.BROKER_REJECTED),
        (UnknownOrderError("x"), ErrorReason.BROKER_REJECTED),
        (MarketClosedError("x"), ErrorReason.MARKET_CLOSED),
        (AccountSuspendedError("x"), ErrorReason.ACCOUNT_SUSPENDED),
        (ExchangeMaintenanceError("x"), ErrorReason.BROKER_MAINTENANCE),
        (CriticalError("x"), ErrorReason.INTERNAL),
        (BrokerError("x"), ErrorReason.INTERNAL),
    ],
)
def test_a_broker_that_fails_a_query_is_told_by_its_kind(error: BrokerError, reason: ErrorReason) -> None:
    """What a broker's error means decides the reason: the nearest kind in the tree of errors."""
    assert translate(error, "1").reason is reason


def test_a_fault_of_ours_tells_the_request_id_and_nothing_else() -> None:
    """An exception that nobody foresaw is INTERNAL; its own words stay in the log."""
    told = translate(ZeroDivisionError("secret sauce"), "abc-1")
    assert told.reason is ErrorReason.INTERNAL
    assert "abc-1" in told.message
    assert "sauce" not in told.message
    assert rpc_status(told).code is grpc.StatusCode.INTERNAL


def test_a_journal_that_fails_is_unavailable() -> None:
    """JournalError is JOURNAL_UNAVAILABLE: the caller may try again."""
    assert translate(JournalError("disk full: /secret/path"), "1").reason is ErrorReason.JOURNAL_UNAVAILABLE
    assert "path" not in translate(JournalError("disk full: /secret/path"), "1").message


def test_a_commit_that_failed_under_way_leaves_the_outcome_open() -> None:
    """CommitUnknown is OUTCOME_UNKNOWN, which is ABORTED: nobody is told that nothing was done, nor to just try
    again, but to repeat with the same id."""
    told = translate(CommitUnknown("disk full: /secret/path"), "1")
    assert told.reason is ErrorReason.OUTCOME_UNKNOWN
    assert rpc_status(told).code is grpc.StatusCode.ABORTED
    assert "path" not in told.message
    assert "same id" in told.message
