"""Who makes a call, as the audit keeps it: the principal, where the call comes from, what the client calls itself."""

from __future__ import annotations

from typing import Any, Final

from brokergate.domain.access import Caller, Principal
from brokergate.domain.values import value
from brokergate.transport.auth import current_principal, current_user_agent

MAX_CALLERS: Final = 4096
"""Callers that are kept to be used again; the oldest make way."""

MAX_NAME_LENGTH: Final = 256
"""Characters of a principal's name in the audit."""

MAX_CLIENT_LENGTH: Final = 128
"""Characters of a peer's address, and of what a client calls itself."""


@value
class Client:
    """Who makes a call: what it may do, and what is kept of it."""

    principal: Principal
    caller: Caller


class Clients:
    """The clients of calls. Calls of one connection and token share one `Caller`."""

    def __init__(self) -> None:
        self._callers: dict[tuple[str, str, str], Caller] = {}

    def of(self, context: Any) -> Client:
        """The client of the call that this task serves. Raises GatewayError where nobody proved to be anybody."""
        principal = current_principal()
        key = (principal.name, context.peer(), current_user_agent())
        caller = self._callers.get(key)
        if caller is None:
            if len(self._callers) >= MAX_CALLERS:
                self._callers.pop(next(iter(self._callers)))
            name, peer, agent = key
            caller = Caller(
                printable(name, MAX_NAME_LENGTH),
                printable(peer, MAX_CLIENT_LENGTH),
                printable(agent, MAX_CLIENT_LENGTH),
            )
            self._callers[key] = caller
        return Client(principal, caller)


def printable(text: str, most: int) -> str:
    """The first `most` characters of `text`, a blank in place of each that cannot be seen: a control character, one
    that turns the direction of writing, half of a pair."""
    return "".join(character if character.isprintable() else " " for character in text[:most])
