"""Every exception as what a caller may be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from brokergate.domain.errors import (
    AccountSuspendedError,
    AuthenticationError,
    BrokerError,
    ErrorReason,
    ExchangeMaintenanceError,
    FinalError,
    GatewayError,
    InsufficientFundsError,
    MarketClosedError,
    RateLimitError,
    RecoverableError,
)
from brokergate.ports.journal import CommitUnknown, JournalError

_REASONS: Final[Mapping[type[BrokerError], ErrorReason]] = {
    RateLimitError: ErrorReason.RATE_LIMITED,
    RecoverableError: ErrorReason.BROKER_UNAVAILABLE,
    AuthenticationError: ErrorReason.BROKER_AUTHENTICATION,
    InsufficientFundsError: ErrorReason.INSUFFICIENT_FUNDS,
    MarketClosedError: ErrorReason.MARKET_CLOSED,
    FinalError: ErrorReason.BROKER_REJECTED,
    AccountSuspendedError: ErrorReason.ACCOUNT_SUSPENDED,
    ExchangeMaintenanceError: ErrorReason.BROKER_MAINTENANCE,
}
"""An error is told by the nearest of its kinds that is in here."""


def translate(error: Exception, request_id: str) -> GatewayError:
    """What the caller is told of `error`: a journal that fails is told by whether the call may have had its effect; a
    query that a broker refused or did not answer is the broker's; what nobody foresaw is INTERNAL, its text kept for
    the log."""
    if isinstance(error, GatewayError):
        return error
    if isinstance(error, CommitUnknown):
        return GatewayError(
            ErrorReason.OUTCOME_UNKNOWN,
            "the journal failed while this was written, and nobody knows yet whether it was; repeat with the same id",
        )
    if isinstance(error, JournalError):
        return GatewayError(
            ErrorReason.JOURNAL_UNAVAILABLE, "the journal cannot be read or written; nothing was done"
        )
    if isinstance(error, BrokerError):
        for kind in type(error).__mro__:
            if kind in _REASONS:
                return GatewayError(_REASONS[kind], f"the broker: {error}")
    return GatewayError(
        ErrorReason.INTERNAL,
        f"a fault of the gateway; its log has request {request_id}",
        metadata={"request_id": request_id},
    )
