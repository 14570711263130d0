"""Where the real grpcurl is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


class GrpcurlMissingError(Exception):
    """There is no grpcurl: not in .tools/bin, not on PATH, not where BROKERGATE_GRPCURL points."""


def find_grpcurl() -> Path:
    """Path of grpcurl: `$BROKERGATE_GRPCURL`, else .tools/bin (where `make grpcurl` puts it), else PATH.

    Raises `GrpcurlMissingError`, rather than letting a test skip: the README's lines must really run.
    """
    named = os.environ.get("BROKERGATE_GRPCURL")
    if named:
        return Path(named)
    ours = ROOT / ".tools" / "bin" / "grpcurl"
    if ours.exists():
        return ours
    on_path = shutil.which("grpcurl")
    if on_path:
        return Path(on_path)
    raise GrpcurlMissingError("grpcurl is not installed; run 'make grpcurl'")
