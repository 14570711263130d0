"""The one division that order safety needs of a transport: did anything leave this machine (law 3)?"""

from __future__ import annotations

from brokergate.domain.errors import BrokerTimeoutError, TemporaryConnectionError


class NotSent(TemporaryConnectionError):
    """Nothing of the request left this machine: there was no connection, or no budget before its deadline. A command
    that ends so was not placed, and may be reported `NOT_SENT`."""


class OutcomeUnknown(BrokerTimeoutError):
    """The request may have arrived, and no whole answer came. A command that ends so is Unknown."""
