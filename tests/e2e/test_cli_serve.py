"""`brokergate serve` as a process: its defaults, its one lock, its end, and tokens that are made beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import grpc
import pytest

from brokergate.v1 import account_service_pb2_grpc
from brokergate.v1.account_pb2 import ListAccountsRequest
from tests.e2e.conftest import StartServer
from tests.e2e.console import SCRIPT, brokergate
from tests.e2e.process import ServerProcess, environment

WAIT_S = 30.0


def accounts(server: ServerProcess, token: str | None = None) -> list[str]:
    """The accounts that the holder of `token` sees."""
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    with server.channel() as channel:
        stub = account_service_pb2_grpc.AccountServiceStub(channel)
        answer = stub.ListAccounts(ListAccountsRequest(), metadata=metadata, timeout=10)
    return [account.account_id for account in answer.accounts]


def refusal(server: ServerProcess, token: str | None) -> grpc.StatusCode | None:
    """How a call is refused; None where it is not."""
    try:
        accounts(server, token)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code
    return None


def test_without_a_file_it_serves_one_paper_account_from_data(tmp_path: Path) -> None:
    """In ./data, on a terminal or not; SIGTERM ends it in order, with status 0."""
    process = subprocess.Popen(
        [SCRIPT, "serve", "--listen", "127.0.0.1:0"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    address = tmp_path / "data" / "address"
    deadline = time.monotonic() + WAIT_S
    while not address.exists():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with grpc.insecure_channel(address.read_text().strip()) as channel:
        stub = account_service_pb2_grpc.AccountServiceStub(channel)
        answer = stub.ListAccounts(ListAccountsRequest(), timeout=10)
    assert [account.account_id for account in answer.accounts] == ["paper"]
    os.kill(process.pid, signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=WAIT_S)
    assert (process.returncode, stdout) == (0, b""), stderr.decode()
    assert b"Traceback" not in stderr
    assert not address.exists()


def test_a_second_gateway_on_the_same_data_is_refused(server: ServerProcess, tmp_path: Path) -> None:
    """In a line that names the folder, with status 1; the first goes on."""
    done = brokergate(
        "serve", "--listen", "127.0.0.1:0", "--data-dir", server.data_dir, cwd=tmp_path, env=environment()
    )
    assert (done.status, done.text) == (1, "")
    assert str(server.data_dir) in done.stderr
    assert "Traceback" not in done.stderr
    assert accounts(server) == ["paper"]


def test_a_port_that_is_taken_is_named(server: ServerProcess, tmp_path: Path) -> None:
    """Status 1 and the address."""
    done = brokergate("serve", "--listen", server.address, cwd=tmp_path, env=environment())
    assert (done.status, done.text) == (1, "")
    assert server.address in done.stderr
    assert "Traceback" not in done.stderr


def test_tokens_made_and_revoked_beside_a_running_gateway(start_server: StartServer, tmp_path: Path) -> None:
    """None is needed until one was made; a new one counts at once, a revoked one is out within two seconds."""
    file = tmp_path / "two.yaml"
    file.write_text("accounts: {one: {broker: paper}, two: {broker: paper}}\n")
    server = start_server("--config", file)
    where = ("--data-dir", server.data_dir)
    assert accounts(server) == ["one", "two"]
    made = brokergate("token", "new", "bot", "--scope", "read", "--accounts", "two", *where, cwd=tmp_path)
    token = made.text.strip()
    assert accounts(server, token) == ["two"]
    await_refusal(server, None)
    assert refusal(server, "bg_" + "A" * 43) is grpc.StatusCode.UNAUTHENTICATED
    assert brokergate("token", "revoke", "bot", *where, cwd=tmp_path).status == 0
    await_refusal(server, token)
    assert token not in server.log


def await_refusal(server: ServerProcess, token: str | None) -> None:
    """Returns once `token` is refused, which must be within two seconds."""
    deadline = time.monotonic() + 2
    while (code := refusal(server, token)) is None:
        assert time.monotonic() < deadline, "the gateway has not noticed"
        time.sleep(0.02)
    assert code is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("template", "expected"), [("development", ["paper"]), ("testing", ["pushed", "seeded"])]
)
def test_a_template_is_served(
    start_server: StartServer, tmp_path: Path, template: str, expected: list[str]
) -> None:
    """What `init` prints is not only accepted but works."""
    file = tmp_path / "brokergate.yaml"
    assert brokergate("init", template, "--out", file, cwd=tmp_path).status == 0
    assert accounts(start_server("--config", file)) == expected
