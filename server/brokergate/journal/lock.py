"""The data directory's owner: one gateway at a time writes to it (an account has one owner)."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class DataDirectoryLocked(Exception):
    """Another process holds the data directory."""


class DataDirectoryLock:
    """An exclusive lock on `<data_dir>/lock`, held until `release` or the end of the process, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        """Makes `data_dir` if need be and takes the lock at once. Raises `DataDirectoryLocked` naming the directory
        and the process that holds it."""
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._fd = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._fd, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise DataDirectoryLocked(
                f"data directory {str(data_dir)!r} is in use by process {holder}; stop that gateway, or give this one "
                "a directory of its own with --data-dir"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock up. The file stays: removing it would let two processes lock two files of one name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
