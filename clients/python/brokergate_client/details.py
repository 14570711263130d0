"""The error details that ride in `grpc-status-details-bin`: google.rpc's messages, as far as the gateway sends them.

They are described here, in a pool of their own, and not imported from googleapis-common-protos: these seven messages
have not changed since 2017, and that package would raise the lowest protobuf that a strategy may run with. A pool of
their own, so that a program that does import it keeps its definitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

STATUS_DETAILS_KEY = "grpc-status-details-bin"

_Field = descriptor_pb2.FieldDescriptorProto
_STRING, _INT32, _INT64, _BYTES = _Field.TYPE_STRING, _Field.TYPE_INT32, _Field.TYPE_INT64, _Field.TYPE_BYTES

# Message by message, the fields by number: a scalar type, a message's name, or a list of either. A map is on the wire
# a list of entries, an Any a type's URL and bytes.
_SCHEMA: Mapping[str, Mapping[str, tuple[int, Any]]] = {
    "Entry": {"key": (1, _STRING), "value": (2, _STRING)},
    "Any": {"type_url": (1, _STRING), "value": (2, _BYTES)},
    "Duration": {"seconds": (1, _INT64), "nanos": (2, _INT32)},
    "Status": {"code": (1, _INT32), "message": (2, _STRING), "details": (3, ["Any"])},
    "ErrorInfo": {"reason": (1, _STRING), "domain": (2, _STRING), "metadata": (3, ["Entry"])},
    "RetryInfo": {"retry_delay": (1, "Duration")},
    "Violation": {"field": (1, _STRING), "description": (2, _STRING)},
    "BadRequest": {"field_violations": (1, ["Violation"])},
}


def _message_classes() -> dict[str, Any]:
    """The classes of `_SCHEMA`, by name."""
    package = "google.rpc"
    file = descriptor_pb2.FileDescriptorProto(name="status_details.proto", package=package, syntax="proto3")
    for message_name, fields in _SCHEMA.items():
        message = file.message_type.add(name=message_name)
        for field_name, (number, kind) in fields.items():
            label = _Field.LABEL_REPEATED if isinstance(kind, list) else _Field.LABEL_OPTIONAL
            kind = kind[0] if isinstance(kind, list) else kind
            added = message.field.add(name=field_name, number=number, label=label)
            if isinstance(kind, str):
                added.type, added.type_name = _Field.TYPE_MESSAGE, f".{package}.{kind}"
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}"))
        for name in _SCHEMA
    }


_CLASSES = _message_classes()


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field that is wrong: its path from the request, and what is wrong with it."""

    field: str
    description: str


@dataclass(frozen=True, slots=True)
class Details:
    """What an error's details say. `reason` is empty where the error is not the gateway's own."""

    reason: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: Sequence[FieldViolation] = ()
    retry_after_s: float | None = None


def parse_details(status: bytes) -> Details:
    """The details of a serialised `google.rpc.Status`; kinds that are not known are passed over, as is garbage."""
    reason, metadata, violations, retry_after_s = "", dict[str, str](), list[FieldViolation](), None
    try:
        for detail in _CLASSES["Status"].FromString(status).details:
            name = detail.type_url.rpartition("/google.rpc.")[2]
            if name not in ("ErrorInfo", "BadRequest", "RetryInfo"):
                continue
            message = _CLASSES[name].FromString(detail.value)
            if name == "BadRequest":
                violations += [FieldViolation(v.field, v.description) for v in message.field_violations]
            elif name == "RetryInfo":
                retry_after_s = message.retry_delay.seconds + message.retry_delay.nanos / 1e9
            elif message.domain == "brokergate":
                reason = message.reason
                metadata = {entry.key: entry.value for entry in message.metadata}
    except DecodeError:
        return Details()
    return Details(reason, metadata, tuple(violations), retry_after_s)
