"""`brokergate descriptor` and `version`, as a user runs them; the descriptor with the real grpcurl."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from pathlib import Path

from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from brokergate import __version__
from tests.e2e.console import SCRIPT, brokergate


def test_it_is_the_whole_contract(tmp_path: Path, project_root: Path) -> None:
    """Every file of proto/ and what they import, each after those that it imports; the same bytes in a file."""
    done = brokergate("descriptor", cwd=tmp_path)
    assert (done.status, done.stderr) == (0, "")
    files = FileDescriptorSet.FromString(done.stdout).file
    pool = descriptor_pool.DescriptorPool()
    for file in files:
        # Refused where something that it imports has not come before it.
        pool.Add(file)
        pool.FindFileByName(file.name)
    proto = project_root / "proto"
    ours = {str(path.relative_to(proto)) for path in proto.rglob("*.proto")}
    names = [file.name for file in files]
    assert ours <= set(names)
    assert len(names) == len(set(names))
    beside = ("google/protobuf/", "google/rpc/error_details.proto", "grpc_health/v1/health.proto")
    assert all(name in ours or name.startswith(beside) for name in names)
    assert brokergate("descriptor", "--out", "b.binpb", cwd=tmp_path).stdout == b""
    assert (tmp_path / "b.binpb").read_bytes() == done.stdout


def test_grpcurl_reads_it(tmp_path: Path, grpcurl: Path) -> None:
    """It lists and describes the services without a server."""
    brokergate("descriptor", "--out", "b.binpb", cwd=tmp_path)
    listed = subprocess.run(
        [grpcurl, "-protoset", "b.binpb", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "brokergate.v1.OrderService" in listed.stdout.splitlines()
    described = subprocess.run(
        [grpcurl, "-protoset", "b.binpb", "describe", "brokergate.v1.OrderService.PlaceOrder"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert "rpc PlaceOrder ( .brokergate.v1.PlaceOrderRequest )" in described.stdout


def test_it_does_not_fill_a_terminal(tmp_path: Path) -> None:
    """Binary bytes would set it in disorder."""
    ours, theirs = pty.openpty()
    try:
        done = subprocess.run(
            [SCRIPT, "descriptor"],
            cwd=tmp_path,
            stdout=theirs,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    finally:
        os.close(theirs)
        os.close(ours)
    assert done.returncode == 1
    assert b"it is not text; write 'brokergate descriptor --out brokergate.binpb'" in done.stderr


def test_the_version(tmp_path: Path) -> None:
    """That of the package, and of what it speaks with."""
    done = brokergate("version", cwd=tmp_path)
    assert re.fullmatch(
        rf"brokergate {re.escape(__version__)} \(grpcio [0-9.]+, Python [0-9.]+\)\n", done.text
    )
