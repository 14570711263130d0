"""The one division that order safety needs of a transport: did anything leave this machine (law 3)?"""

from __future__ import annotations

from brokergate.domain.errors import BrokerTimeoutError, NotSent

__all__ = ["NotSent", "OutcomeUnknown"]


class OutcomeUnknown(BrokerTimeoutError):
    """The request may have arrived, and no whole answer came. A command that ends so is Unknown."""


def reason_of(error: BaseException) -> str:
    """What an error of the transport may be shown as: its text can hold the address and the headers (law 10)."""
    if isinstance(error, TimeoutError):
        return "timeout"
    text = error.strerror if isinstance(error, OSError) and isinstance(error.strerror, str) else ""
    return text or type(error).__name__
