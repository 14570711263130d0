"""What a client reads of an error."""

from __future__ import annotations

from typing import Any

from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status


def status_of(error: Any) -> Status:
    """The google.rpc.Status in the trailers."""
    return Status.FromString(dict(list(error.trailing_metadata()))["grpc-status-details-bin"])


def info_of(error: Any) -> ErrorInfo:
    """The ErrorInfo, which every error has."""
    info = ErrorInfo()
    assert status_of(error).details[0].Unpack(info)
    assert info.domain == "brokergate"
    return info


def reason_of(error: Any) -> str:
    """The reason's name."""
    return info_of(error).reason


def fields_of(error: Any) -> list[str]:
    """The paths of the fields that are wrong."""
    for detail in status_of(error).details:
        bad = BadRequest()
        if detail.Unpack(bad):
            return [violation.field for violation in bad.field_violations]
    return []


def has_retry(error: Any) -> bool:
    """Whether the caller is told to try again."""
    return any(detail.TypeName() == RetryInfo.DESCRIPTOR.full_name for detail in status_of(error).details)
