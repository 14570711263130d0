"""How a command ends that cannot do what it was asked."""

from __future__ import annotations


class Failure(Exception):
    """The command failed: its text goes to standard error, and the process ends with `status`."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
