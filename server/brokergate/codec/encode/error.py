"""Errors inside answers."""

from __future__ import annotations

from brokergate.codec.encode.values import Fields
from brokergate.domain.errors import MAX_VIOLATIONS, STATUS_OF, ErrorReason, GatewayError
from brokergate.v1 import error_pb2


def error_fields(error: GatewayError) -> Fields:
    """The fields of an Error."""
    return {
        "reason": error.reason,
        "code": error.code,
        "message": error.message,
        "field_violations": [
            {"field": violation.field, "description": violation.description}
            for violation in error.violations[:MAX_VIOLATIONS]
        ],
        "metadata": error.metadata,
    }


def encode_error(error: GatewayError) -> error_pb2.Error:
    """An Error."""
    return error_pb2.Error(**error_fields(error))


def rejection_fields(reason: ErrorReason, message: str) -> Fields:
    """The fields of an Error that says why an order would be rejected."""
    return {"reason": reason, "code": STATUS_OF[reason], "message": message}
