"""The compiled contract, for tools that do not ask a server for it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2

from brokergate import v1


def descriptor_set(*beside: Any) -> bytes:
    """A serialised `google.protobuf.FileDescriptorSet` of `brokergate.v1`, the details that errors carry and the files
    `beside` them, each after those that it imports, the same bytes every time."""
    result = FileDescriptorSet()
    done: set[str] = set()

    def add(file: Any) -> None:
        if file.name in done:
            return
        done.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        file.CopyToProto(result.file.add())

    for module in sorted(
        info.name for info in pkgutil.iter_modules(v1.__path__) if info.name.endswith("_pb2")
    ):
        add(importlib.import_module(f"{v1.__name__}.{module}").DESCRIPTOR)
    # With the details grpcurl shows an error's reason in words, as it does by reflection.
    for file in (error_details_pb2.DESCRIPTOR, *beside):
        add(file)
    return result.SerializeToString(deterministic=True)
