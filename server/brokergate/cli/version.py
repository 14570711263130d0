"""`brokergate version`."""

from __future__ import annotations

import platform
from importlib import metadata

from brokergate import __version__


def version() -> None:
    """Print the version, and those of what speaks for it on the wire."""
    print(
        f"brokergate {__version__} (grpcio {metadata.version('grpcio')}, Python {platform.python_version()})"
    )
