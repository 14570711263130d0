"""Requests that come again. Pure."""

from __future__ import annotations

from brokergate.domain.commands import Request
from brokergate.domain.errors import ErrorReason, GatewayError


def check_same_request(request: Request, method: str, fingerprint: bytes) -> None:
    """Raises REQUEST_ID_REUSED unless the request's id was used for the very same request."""
    if method != request.method or fingerprint != request.fingerprint:
        raise GatewayError(
            ErrorReason.REQUEST_ID_REUSED,
            f"request_id {request.request_id!r} was used for another {method} request; draw a new one",
            metadata={"method": method},
        )
