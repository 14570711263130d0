from __future__ import annotations

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, PreconditionFailure, QuotaFailure, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from brokergate.domain.errors import (
    MAX_VIOLATIONS,
    STATUS_OF,
    ErrorReason,
    FieldViolation,
    GatewayError,
    StatusCode,
)
from brokergate.transport.status import DETAILS_KEY, MAX_TRAILER_BYTES, RpcStatus, rpc_status

DETAILS = (ErrorInfo, BadRequest, PreconditionFailure, QuotaFailure, RetryInfo)


def unpack(status: RpcStatus) -> tuple[Status, dict[type, object]]:
    ((key, body),) = status.trailing_metadata
    assert key == DETAILS_KEY
    message = Status.FromString(body)
    found: dict[type, object] = {}
    for detail in message.details:
        (kind,) = [kind for kind in DETAILS if detail.TypeName() == kind.DESCRIPTOR.full_name]
        unpacked = kind()
        detail.Unpack(unpacked)
        found[kind] = unpacked
    return message, found


def wire_size(status: RpcStatus) -> int:
    """As HTTP/2 carries it at worst: the message percent-encoded, the details in base64."""
    text = sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in status.message.encode())
    return text + sum(len(key) + -(-len(body) // 3) * 4 for key, body in status.trailing_metadata)


@pytest.mark.parametrize("reason", list(ErrorReason))
def test_every_reason_is_a_status_with_its_error_info(reason: ErrorReason) -> None:
    """Every reason goes out with the code that the contract documents and an ErrorInfo of domain brokergate."""
    status = rpc_status(GatewayError(reason, "words", metadata={"account_id": "paper"}))
    message, details = unpack(status)
    info = details[ErrorInfo]
    assert isinstance(info, ErrorInfo)
    assert (info.domain, info.reason, dict(info.metadata)) == (
        "brokergate",
        reason.name,
        {"account_id": "paper"},
    )
    assert status.code.name == STATUS_OF[reason].name
    assert message.code == status.code.value[0]
    assert message.message == status.message == "words"


@pytest.mark.parametrize("reason", [r for r in ErrorReason if STATUS_OF[r] is StatusCode.UNAVAILABLE])
def test_unavailable_always_says_when_to_try_again(reason: ErrorReason) -> None:
    """UNAVAILABLE carries RetryInfo: the error's own time, or a second."""
    default = unpack(rpc_status(GatewayError(reason, "x")))[1][RetryInfo]
    given_ = unpack(rpc_status(GatewayError(reason, "x", retry_after_ms=2500)))[1][RetryInfo]
    assert isinstance(default, RetryInfo)
    assert isinstance(given_, RetryInfo)
    assert default.retry_delay.ToMilliseconds() == 1000
    assert given_.retry_delay.ToMilliseconds() == 2500


@pytest.mark.parametrize("reason", [r for r in ErrorReason if STATUS_OF[r] is not StatusCode.UNAVAILABLE])
def test_nothing_else_invites_a_retry(reason: ErrorReason) -> None:
    """RetryInfo comes with UNAVAILABLE alone, even where an error names a time."""
    assert RetryInfo not in unpack(rpc_status(GatewayError(reason, "x", retry_after_ms=5)))[1]


def test_field_violations_become_a_bad_request() -> None:
    """Sixteen violations are listed, and the rest are counted."""
    violations = [FieldViolation(f"orders[{i}].order.quantity", f"{i} is off the lot") for i in range(40)]
    _, details = unpack(rpc_status(GatewayError(ErrorReason.INVALID_FIELD, "many", violations=violations)))
    bad, info = details[BadRequest], details[ErrorInfo]
    assert isinstance(bad, BadRequest)
    assert isinstance(info, ErrorInfo)
    assert [v.field for v in bad.field_violations] == [v.field for v in violations[:MAX_VIOLATIONS]]
    assert info.metadata["violations_omitted"] == str(40 - MAX_VIOLATIONS)


def test_preconditions_and_quotas_name_their_subject() -> None:
    """FAILED_PRECONDITION and RESOURCE_EXHAUSTED say in google.rpc's words what they are about."""
    ended = GatewayError(
        ErrorReason.ORDER_ENDED, "it has", metadata={"order_id": "paper-1-o7", "state": "FILLED"}
    )
    failure = unpack(rpc_status(ended))[1][PreconditionFailure]
    assert isinstance(failure, PreconditionFailure)
    assert [(v.type, v.subject) for v in failure.violations] == [("ORDER_ENDED", "order_id:paper-1-o7")]
    full = GatewayError(ErrorReason.TOO_MANY_STREAMS, "full", metadata={"limit": "3"})
    quota = unpack(rpc_status(full))[1][QuotaFailure]
    assert isinstance(quota, QuotaFailure)
    assert [v.subject for v in quota.violations] == ["limit:3"]


texts = st.text(max_size=3000) | st.text(alphabet="\x00\r\n\t%é€𝄞\ud800", max_size=3000)


@given(
    message=texts,
    reason=st.sampled_from(ErrorReason),
    fields=st.lists(st.tuples(texts, texts), max_size=20),
    metadata=st.dictionaries(texts, texts, max_size=20),
    cursor=st.integers(0, 9000),
)
def test_no_error_is_too_large_for_the_trailers(
    message: str,
    reason: ErrorReason,
    fields: list[tuple[str, str]],
    metadata: dict[str, str],
    cursor: int,
) -> None:
    """Whatever an error holds, it goes out under 6 KiB on one line of header text."""
    error = GatewayError(
        reason,
        message,
        violations=[FieldViolation(*field) for field in fields],
        metadata=metadata | {"earliest_cursor": "1" * cursor},
    )
    status = rpc_status(error)
    assert wire_size(status) < MAX_TRAILER_BYTES
    assert not any(ord(character) < 0x20 or ord(character) == 0x7F for character in status.message)
    _, details = unpack(status)
    info = details[ErrorInfo]
    assert isinstance(info, ErrorInfo)
    assert info.metadata.get("earliest_cursor", "1" * cursor) == "1" * cursor, (
        "a cursor is whole or not there"
    )
