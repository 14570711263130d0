"""A conformance runner as a process that is told one step after the other."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.e2e.process import environment
from tools.clients import ROOT, Language

STEP_TIMEOUT_S = 60.0
"""No step takes this long: the longest deadline of a scenario is well below it."""


# Of an environment that sends everything to a proxy, which nobody answers at: what is on this machine needs none, and a
# token on its way to it is no proxy's business.
PROXY = dict.fromkeys(
    ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9"
) | dict.fromkeys(("no_proxy", "no_grpc_proxy", "NO_PROXY"), "")


class RunnerProcess:
    """The runner of a language; `with` ends it. What it writes to stderr is in `log`."""

    def __init__(self, language: Language, log: Path) -> None:
        self.language = language
        self.log = log
        self._errors = log.open("wb")
        self._process = subprocess.Popen(
            language.runner,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(PROXY),
            text=True,
            encoding="utf-8",
        )
        self._answers: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def tell(self, step: dict[str, Any]) -> None:
        """Give it a step."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(step) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # `answer` says that it has ended

    def answer(self, timeout_s: float = STEP_TIMEOUT_S) -> dict[str, Any]:
        """What it saw. One that hangs is killed."""
        try:
            line = self._answers.get(timeout=timeout_s)
        except queue.Empty:
            self._process.kill()
            return {"failed": f"no answer within {timeout_s:g} s"}
        if line is None:
            return {"failed": f"the runner ended with status {self._process.wait()}:\n{self._tail()}"}
        try:
            seen = json.loads(line)
        except ValueError:
            return {"failed": f"this is no JSON: {line[:500]!r}"}
        return seen if isinstance(seen, dict) else {"failed": f"this is no object: {line[:500]!r}"}

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put(None)

    def _tail(self) -> str:
        return self.log.read_bytes()[-3000:].decode("utf-8", "replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            if error is None:
                raise AssertionError(f"{self.language.name}: the runner did not end with its stdin") from None
        finally:
            self._errors.close()
