"""tools/generate.py: deterministic, notices what is stale, and its stubs carry grpc.aio's types through mypy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MESSAGES = """\
syntax = "proto3";
package brokergate.v1;
import "google/protobuf/timestamp.proto";
message Order {
  string order_id = 1;
  optional string limit_price = 2;
  google.protobuf.Timestamp create_time = 3;
}
"""
SERVICE = """\
syntax = "proto3";
package brokergate.v1;
import "brokergate/v1/order.proto";
service OrderService {
  rpc PlaceOrder(Order) returns (Order);
  rpc StreamOrders(stream Order) returns (stream Order);
}
"""
USER = """\
from collections.abc import AsyncIterator

import grpc.aio

from brokergate.v1 import order_pb2, order_service_pb2_grpc

Context = grpc.aio.ServicerContext[order_pb2.Order, order_pb2.Order]


class Service(order_service_pb2_grpc.OrderServiceServicer):
    async def PlaceOrder(self, request: order_pb2.Order, context: Context) -> order_pb2.Order:
        return request if request.HasField("limit_price") else order_pb2.Order(order_id="none")

    async def StreamOrders(
        self, request_iterator: AsyncIterator[order_pb2.Order], context: Context
    ) -> AsyncIterator[order_pb2.Order]:
        async for request in request_iterator:
            yield request


async def call(channel: grpc.aio.Channel) -> str:
    stub = order_service_pb2_grpc.OrderServiceStub(channel)
    answer = await stub.PlaceOrder(order_pb2.Order(order_id="1"), timeout=1)
    async for order in stub.StreamOrders(iter([answer])):
        return order.order_id
    return answer.order_id
"""


@pytest.fixture
def proto(tmp_path: Path) -> Path:
    """A small contract of one message file and one service file."""
    folder = tmp_path / "proto" / "brokergate" / "v1"
    folder.mkdir(parents=True)
    (folder / "order.proto").write_text(MESSAGES)
    (folder / "order_service.proto").write_text(SERVICE)
    return tmp_path / "proto"


def generate(proto: Path, out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the tool on `proto` instead of the project's own contract."""
    tool = Path(__file__).resolve().parents[2] / "tools" / "generate.py"
    command = [sys.executable, str(tool), "--proto", str(proto), "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def files(out: Path) -> dict[str, str]:
    """Name and text of what was generated."""
    return {path.name: path.read_text() for path in (out / "brokergate" / "v1").iterdir()}


def test_generating_twice_gives_the_same_bytes(proto: Path, tmp_path: Path) -> None:
    """Nothing of the time, the machine or the folder gets into the code."""
    for out in (tmp_path / "one", tmp_path / "two"):
        assert generate(proto, out).returncode == 0
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert files(tmp_path / "one").keys() == {
        "__init__.py",
        "order_pb2.py",
        "order_pb2.pyi",
        "order_service_pb2.py",
        "order_service_pb2.pyi",
        "order_service_pb2_grpc.py",
        "order_service_pb2_grpc.pyi",
    }


def test_check_passes_on_fresh_code_and_changes_nothing(proto: Path, tmp_path: Path) -> None:
    """Right after generating there is nothing to report."""
    generate(proto, tmp_path)
    before = files(tmp_path)
    done = generate(proto, tmp_path, "--check")
    assert (done.returncode, done.stdout) == (0, "")
    assert files(tmp_path) == before


@pytest.mark.parametrize("change", ["contract", "code", "leftover", "missing"])
def test_check_fails_on_stale_code(proto: Path, tmp_path: Path, change: str) -> None:
    """A contract that went on, an edited file, one whose proto is gone and one that was never written: each is told."""
    generate(proto, tmp_path)
    package = tmp_path / "brokergate" / "v1"
    match change:
        case "contract":
            (proto / "brokergate" / "v1" / "order.proto").write_text(MESSAGES.replace("order_id", "id"))
        case "code":
            (package / "order_pb2.py").write_text("# edited\n")
        case "leftover":
            (package / "gone_pb2.py").write_text("# nobody generates this any more\n")
        case _:
            (package / "order_service_pb2_grpc.pyi").unlink()
    done = generate(proto, tmp_path, "--check")
    assert done.returncode == 1
    assert "make generate" in done.stdout
    generate(proto, tmp_path)
    assert generate(proto, tmp_path, "--check").returncode == 0


def test_a_contract_that_does_not_compile_changes_nothing(proto: Path, tmp_path: Path) -> None:
    """protoc's own message is shown, and the code stays as it was."""
    generate(proto, tmp_path)
    before = files(tmp_path)
    (proto / "brokergate" / "v1" / "order.proto").write_text("message {")
    done = generate(proto, tmp_path)
    assert done.returncode != 0
    assert "order.proto:1" in done.stderr
    assert files(tmp_path) == before


def test_users_of_the_stubs_pass_mypy_strict(proto: Path, tmp_path: Path) -> None:
    """A grpc.aio servicer and a grpc.aio client over the generated stubs need no cast and no ignore."""
    generate(proto, tmp_path)
    (tmp_path / "user.py").write_text(USER)
    # A package of its own, found before the project's, which is installed in this environment.
    (tmp_path / "brokergate" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--explicit-package-bases", "user.py"],
        cwd=tmp_path,
        env=os.environ | {"MYPYPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
