"""`brokergate descriptor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from grpc_health.v1 import health_pb2

from brokergate.cli.failure import Failure
from brokergate.codec.descriptors import descriptor_set


def descriptor(
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there and not to standard output.")
    ] = None,
) -> None:
    """Write the compiled contract, a FileDescriptorSet with all that it imports: grpcurl -protoset, buf, Postman.

    For gateways that have reflection off.
    """
    content = descriptor_set(health_pb2.DESCRIPTOR)
    if out is not None:
        try:
            out.write_bytes(content)
        except OSError as error:
            raise Failure(f"{out} cannot be written ({error.strerror}); choose another place") from None
    elif sys.stdout.isatty():
        raise Failure(
            "it is not text; write 'brokergate descriptor --out brokergate.binpb', or send it to a file"
        )
    else:
        sys.stdout.buffer.write(content)
