"""The contract's services, one module each: thin methods from message to command and back."""

from typing import Any


def implementations(*parts: Any) -> dict[str, object]:
    """By service; the services come when codec can decode."""
    raise NotImplementedError
