"""Answers as rows: a refusal is kept as text, so that the same one is given again."""

from __future__ import annotations

import json

from brokergate.domain.errors import ErrorReason, FieldViolation, GatewayError


def refusal_text(error: GatewayError | None) -> str | None:
    """How a refusal is stored."""
    if error is None:
        return None
    fields = {
        "reason": int(error.reason),
        "message": error.message,
        "violations": [[violation.field, violation.description] for violation in error.violations],
        "metadata": error.metadata,
        "retry_after_ms": error.retry_after_ms,
    }
    return json.dumps(fields, sort_keys=True)


def refusal_of(text: str | None) -> GatewayError | None:
    """The refusal that `refusal_text` stored."""
    if text is None:
        return None
    fields = json.loads(text)
    return GatewayError(
        ErrorReason(fields["reason"]),
        fields["message"],
        violations=[FieldViolation(field, description) for field, description in fields["violations"]],
        metadata=fields["metadata"],
        retry_after_ms=fields["retry_after_ms"],
    )
