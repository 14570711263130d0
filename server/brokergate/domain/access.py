"""Who calls, and what they may do: scopes and accounts. Rights are looked at before anything else."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from brokergate.domain.values import value


class Scope(IntEnum):
    """What a token allows; a higher one includes the lower ones."""

    READ = 1
    TRADE = 2
    ADMIN = 3


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller that has proved who it is. `accounts` None means every account, those made later too.

    `expires_ns` is in nanoseconds since the epoch, None for never. `revocable` says that the principal came from a
    token, so that its streams end when the token is revoked or expires.
    """

    name: str
    scope: Scope
    accounts: frozenset[str] | None = None
    expires_ns: int | None = None
    revocable: bool = False

    def allows(self, account_id: str) -> bool:
        """Whether the principal may see and, by its scope, trade the account."""
        return self.accounts is None or account_id in self.accounts


@value
class Caller:
    """Who sent a command, for the audit: the principal's name, where the call came from as gRPC names it, and what the
    client calls itself (at most 128 characters). Equal callers share an entry of the journal."""

    name: str = ""
    peer: str = ""
    client_name: str = ""


GATEWAY = Caller()
"""The gateway by itself: a stop's cancels, a lease that ran out."""
