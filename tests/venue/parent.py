"""A test that is killed takes its processes with it."""

from __future__ import annotations

import os
import stat
import threading


def end_with_parent() -> None:
    """Ends this process when its standard input, where that is a pipe, closes: when whoever started it is gone."""
    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=_wait, name="parent", daemon=True).start()


def _wait() -> None:
    # Not by `sys.stdin`, whose lock would be held when the interpreter ends in order.
    while os.read(0, 4096):
        pass
    os._exit(1)
