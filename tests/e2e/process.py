"""`brokergate serve` as a process of its own, to be talked to, killed and started again."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2

from tests.secret_scan import SUITE, Scan

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0
"""A server on a small machine beside a full test run needs seconds to import; one that has hung never starts."""

STOP_TIMEOUT_S = 20.0
SHOWN_OF_A_TRACEBACK = 4_000


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without a user's own `BROKERGATE_*` settings, with the checkout's packages first."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BROKERGATE_")}
    packages = os.pathsep.join((str(ROOT / "server"), str(ROOT / "clients" / "python")))
    return kept | {"PYTHONPATH": packages, "NO_COLOR": "1"} | dict(extra or {})


def run_brokergate(
    *arguments: str | Path, timeout_s: float = 60.0, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `brokergate` with `arguments` to its end; stdout and stderr are pipes, and text."""
    return subprocess.run(
        [sys.executable, "-m", "brokergate", *arguments],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def tracebacks(log: str) -> list[str]:
    """The tracebacks in what a server wrote, each with the line that it is in and what follows it."""
    return [
        log[log.rfind("\n", 0, found.start()) + 1 : found.start() + SHOWN_OF_A_TRACEBACK]
        for found in re.finditer("Traceback", log)
    ]


class ServerProcess:
    """One `brokergate serve` over a data directory that outlives its processes.

    The first start takes a free port, unless `listen` names one; later starts take the same, so that clients find it
    again. With None the configuration says where, at ports of its own choice. `arguments` follow `serve` (`--config`, a
    file …). `credentials` are for a server with TLS, to ask its health; its certificate must be good for `127.0.0.1`.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str | Path,
        listen: str | None = "127.0.0.1:0",
        env: Mapping[str, str] | None = None,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.data_dir = folder / "data"
        self.address = listen or ""
        self._told_to_listen = listen is not None
        self._log_path = folder / "server.log"
        self._arguments = arguments
        self._env = env
        self._credentials = credentials
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The process that runs or ran last."""
        assert self._process is not None, "the server was never started"
        return self._process

    @property
    def running(self) -> bool:
        """Whether a process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the processes so far wrote to stdout and stderr."""
        return self._log_path.read_text("utf-8") if self._log_path.exists() else ""

    def channel(self) -> grpc.Channel:
        """A new synchronous channel to the server; the caller closes it."""
        if self._credentials is not None:
            return grpc.secure_channel(self.address, self._credentials)
        return grpc.insecure_channel(self.address)

    def start(self) -> None:
        """Start a process and return once its health is SERVING. Fails with the log when it ends or hangs first."""
        assert not self.running, "the server runs already"
        # Left by a process that was killed, it would name a port that nobody serves.
        address_file = self.data_dir / "address"
        address_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "brokergate", "serve"]
        if self._told_to_listen:
            command += ["--listen", self.address]
        with self._log_path.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [*command, "--data-dir", self.data_dir, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(self._env),
                start_new_session=True,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (address_file.exists() and (text := address_file.read_text("utf-8")).endswith("\n")):
            self._expect_alive(deadline)
            time.sleep(0.01)
        self.address = text.splitlines()[0]
        self._await_serving(deadline)

    def restart(self) -> None:
        """Stop the process in order where one runs, and start another on the same data and the same port."""
        if self.running:
            self.terminate()
        self.start()

    def terminate(self) -> int:
        """Send SIGTERM and return the exit status, once it has drained."""
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)

    def interrupt(self) -> int:
        """Send SIGINT, as Ctrl+C does, and return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill9(self) -> None:
        """End the process as a power cut would."""
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def close(self) -> None:
        """End whatever still runs, the server's clean end asked for first; then look for secrets in what it left."""
        try:
            if self.running:
                self.terminate()
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(
                f"the server did not end on SIGTERM in {STOP_TIMEOUT_S} s:\n{self.log}"
            ) from None

        scan = Scan(SUITE)
        scan.look("the log", self.log)
        scan.look_into(self.data_dir)
        assert scan.found == []

    def _await_serving(self, deadline: float) -> None:
        with self.channel() as channel:
            check = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            while True:
                self._expect_alive(deadline)
                try:
                    answer = check(health_pb2.HealthCheckRequest(), timeout=1, wait_for_ready=True)
                except grpc.RpcError:
                    continue
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
                time.sleep(0.01)

    def _expect_alive(self, deadline: float) -> None:
        status = self.process.poll()
        if status is not None:
            raise AssertionError(f"the server ended with status {status} before it served:\n{self.log}")
        if time.monotonic() > deadline:
            self.kill9()
            raise AssertionError(f"the server did not serve within {START_TIMEOUT_S} s:\n{self.log}")
