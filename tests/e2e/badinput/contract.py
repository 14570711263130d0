"""The contract as its descriptors tell it: the RPCs, the fields of their requests, the codes of the reasons."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from brokergate.transport.methods import SERVICES
from brokergate.v1.error_pb2 import ErrorReason

ROOT = Path(__file__).resolve().parents[3]
ERROR_PROTO = ROOT / "proto" / "brokergate" / "v1" / "error.proto"

WELL_KNOWN = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})
"""Messages that are values: their fields are not named on their own."""

MAX_INDEX = 10_000
"""Beyond the longest list of the contract: an index above it names no field."""


@dataclass(frozen=True, slots=True)
class Rpc:
    """One method of the contract."""

    method: MethodDescriptor

    @property
    def name(self) -> str:
        """`PlaceOrder`; unique over all services."""
        name: str = self.method.name
        return name

    @property
    def path(self) -> str:
        """`/brokergate.v1.OrderService/PlaceOrder`."""
        return f"/{self.method.containing_service.full_name}/{self.name}"

    @property
    def fields(self) -> Descriptor:
        """The descriptor of its requests."""
        return self.method.input_type

    @property
    def request(self) -> type[Message]:
        """The class of its requests."""
        return GetMessageClass(self.method.input_type)

    @property
    def response(self) -> type[Message]:
        """The class of its responses."""
        return GetMessageClass(self.method.output_type)

    @property
    def reads_only(self) -> bool:
        """Whether the contract says that it changes nothing."""
        options: Any = self.method.GetOptions()
        return bool(options.idempotency_level == options.NO_SIDE_EFFECTS)


RPCS: Mapping[str, Rpc] = {method.name: Rpc(method) for service in SERVICES for method in service.methods}


@dataclass(frozen=True, slots=True)
class Leaf:
    """A field of a request that carries a value: `path` from the request, lists at index 0 (`orders[0].order.side`),
    `owner` the message that declares it."""

    path: str
    owner: str
    field: FieldDescriptor

    @property
    def key(self) -> str:
        """`OrderSpec.limit_price`."""
        return f"{self.owner}.{self.field.name}"


def is_map(field: Any) -> bool:
    """Whether it is a map."""
    kind = field.message_type
    return bool(kind is not None and kind.GetOptions().map_entry)


def leaves(message: Descriptor, prefix: str = "") -> Iterator[Leaf]:
    """Every field of `message` and of what is nested in it. A message that may be absent is a leaf too, as a whole."""
    for field in message.fields:
        path = f"{prefix}{field.name}"
        yield Leaf(path, message.name, field)
        kind = field.message_type
        if kind is None or kind.full_name in WELL_KNOWN or is_map(field):
            continue
        yield from leaves(kind, f"{path}[0]." if field.is_repeated else f"{path}.")


_step = re.compile(r"([a-z][a-z0-9_]*)(?:\[([0-9]+)\])?(?:\.|$)")
_entry = re.compile(r"([a-z][a-z0-9_]*)\[.+\]", re.DOTALL)


def names_a_field(message: Descriptor, path: str) -> bool:
    """Whether `path` names a field of `message`, or of a message in it, in the notation of `FieldViolation.field`."""
    position = 0
    kind: Descriptor | None = message
    while position < len(path):
        if kind is None:
            return False
        entry = _entry.fullmatch(path, position)
        if entry and (field := kind.fields_by_name.get(entry[1])) is not None and is_map(field):
            return True
        step = _step.match(path, position)
        field = kind.fields_by_name.get(step[1]) if step else None
        if step is not None and step.end() == len(path) and step[1] in kind.oneofs_by_name:
            # Where none of them is given, the oneof is what there is to name.
            return step[2] is None
        if step is None or field is None:
            return False
        goes_on = step.group().endswith(".")
        if step[2] is not None and not (field.is_repeated and int(step[2]) < MAX_INDEX):
            return False
        if step[2] is None and field.is_repeated and goes_on:
            return False
        position, kind = step.end(), None if is_map(field) else field.message_type
    return bool(path) and not path.endswith(".")


@dataclass(frozen=True, slots=True)
class Documented:
    """What `error.proto` says of a reason: the code of a call that fails for it (None where only an order is
    rejected for it), and whether RetryInfo goes with it."""

    code: grpc.StatusCode | None
    retry_info: bool


@cache
def documented_reasons() -> Mapping[str, Documented]:
    """Each reason by its name without the prefix, read from the comments of `error.proto`."""
    found: dict[str, Documented] = {}
    comment: list[str] = []
    for line in ERROR_PROTO.read_text("utf-8").splitlines():
        text = line.strip()
        if text.startswith("//"):
            comment.append(text.removeprefix("//").strip())
            continue
        if value := re.fullmatch(r"ERROR_REASON_(\w+) = \d+;", text):
            head = " ".join(comment).partition(":")[0]
            codes = [code for code in grpc.StatusCode if re.search(rf"\b{code.name}\b", head)]
            found[value[1]] = Documented(codes[0] if codes else None, "RetryInfo" in head)
        comment = []
    return found


REASONS = tuple(name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys())  # noqa: SIM118 - no mapping
"""Every reason's name without its prefix."""
