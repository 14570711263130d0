"""A keyring backend as the package `keyring` loads one: `PYTHON_KEYRING_BACKEND=tests.keyring_backend.FileKeyring`.

It keeps everything in the file that `TEST_KEYRING` names, in clear, and cannot be used while that is no file's name.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError

BACKEND = "tests.keyring_backend.FileKeyring"


class FileKeyring(KeyringBackend):
    """Passwords in a file of JSON."""

    priority = 0.1

    def _path(self) -> Path:
        path = os.environ.get("TEST_KEYRING", "")
        if not path:
            raise RuntimeError("locked; a secret that an error of a backend might hold: hunter2")
        return Path(path)

    def _all(self) -> dict[str, str]:
        path = self._path()
        found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return found

    def get_password(self, service: str, username: str) -> str | None:
        """What is kept under both names."""
        return self._all().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keeps it."""
        self._path().write_text(json.dumps(self._all() | {f"{service}/{username}": password}), "utf-8")

    def delete_password(self, service: str, username: str) -> None:
        """Forgets it."""
        found = self._all()
        if f"{service}/{username}" not in found:
            raise PasswordDeleteError(username)
        del found[f"{service}/{username}"]
        self._path().write_text(json.dumps(found), "utf-8")
