"""`brokergate keyring`, as a user runs it, over a real backend of `keyring`; and an account that takes from there."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.console import SCRIPT, brokergate
from tests.e2e.process import ROOT
from tests.keyring_backend import BACKEND


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A machine whose keyring is a file."""
    return {
        "PYTHON_KEYRING_BACKEND": BACKEND,
        "TEST_KEYRING": str(tmp_path / "keyring.json"),
        "PYTHONPATH": str(ROOT),
    }


def keyring_set(env: Mapping[str, str], written: str, *arguments: str) -> tuple[int, str, str]:
    """`brokergate keyring set` with something on standard input."""
    done = subprocess.run(
        [SCRIPT, "keyring", "set", *arguments],
        input=written,
        env=os.environ | dict(env),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_set_list_and_delete(env: dict[str, str], tmp_path: Path) -> None:
    """Values go in and are never shown."""
    assert keyring_set(env, "k1\nhunter2\n", "desk") == (0, "desk: api_key, api_secret\n", "")
    assert keyring_set(env, "-----BEGIN\nhunter2\n-----END\n", "desk", "private_key") == (
        0,
        "desk: api_key, api_secret, private_key\n",
        "",
    )
    listed = brokergate("keyring", "list", cwd=tmp_path, env=env)
    assert (listed.status, listed.text) == (0, "desk: api_key, api_secret, private_key\n")
    as_json = brokergate("keyring", "list", "--json", cwd=tmp_path, env=env)
    assert as_json.text == '{"account": "desk", "credentials": ["api_key", "api_secret", "private_key"]}\n'
    assert brokergate("keyring", "delete", "desk", cwd=tmp_path, env=env).text == "desk is deleted\n"
    again = brokergate("keyring", "delete", "desk", cwd=tmp_path, env=env)
    assert (again.status, again.stderr) == (
        1,
        "brokergate: the keyring has no credentials of desk; 'brokergate keyring list' shows what it has\n",
    )
    assert "hunter2" not in (tmp_path / "keyring.json").read_text()


def test_a_prompt_does_not_show_what_is_written(env: dict[str, str], tmp_path: Path) -> None:
    """On a terminal each value is asked for by its name."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [SCRIPT, "keyring", "set", "desk"], stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | env,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    seen = b""

    def until(text: bytes) -> None:
        nonlocal seen
        while text not in seen:
            seen += os.read(ours, 4096)

    try:
        until(b"desk api_key: ")
        os.write(ours, b"hunter1\n")
        until(b"desk api_secret: ")
        os.write(ours, b"hunter2\n")
        until(b"desk: api_key, api_secret")
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    assert b"hunter" not in seen
    assert "hunter2" in (tmp_path / "keyring.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "written", "status", "says"),
    [
        (
            ("desk",),
            "only-one\n",
            1,
            "standard input has 1 lines for 2 values; write api_key, api_secret on a line",
        ),
        (("desk", "api_key"), "\n", 1, "api_key is empty; nothing is kept"),
        (("desk", "api_key"), "x" * 70_000, 1, "standard input holds more than 65536 characters"),
        (("a b",), "", 2, "'a b' is no account's id"),
        (("desk", "Hunter2"), "", 2, "a NAME is no name of a credential; write such as api_key"),
    ],
)
def test_what_is_refused(
    env: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], written: str, status: int, says: str
) -> None:
    """Nothing is kept, and nothing that may be a secret is repeated."""
    done = keyring_set(env, written, *arguments)
    assert (done[0], done[1]) == (status, "")
    assert says in done[2]
    assert "Hunter2" not in done[2]
    assert not (tmp_path / "keyring.json").exists()


@pytest.mark.parametrize("command", [("set", "desk"), ("list",), ("delete", "desk")])
def test_a_machine_without_a_keyring(tmp_path: Path, command: tuple[str, ...]) -> None:
    """A server, a container: what to do instead is told, and no traceback."""
    env = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring"}
    done = brokergate("keyring", *command, cwd=tmp_path, env=env)
    assert done.status == 1
    assert done.stderr.startswith("brokergate: this machine has no keyring; set variables or *_FILE instead")
    assert "Traceback" not in done.stderr


def test_a_backend_that_is_not_there(tmp_path: Path) -> None:
    """Somebody misspelt its name."""
    done = brokergate("keyring", "list", cwd=tmp_path, env={"PYTHON_KEYRING_BACKEND": "nowhere.to.be.Found"})
    assert done.status == 1
    assert done.stderr.startswith("brokergate: the keyring cannot be used (ModuleNotFoundError)")
