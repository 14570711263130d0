"""Where a request goes: to an account, or to a route."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from brokergate.codec.decode.fields import Violations, identifier


class Target(NamedTuple):
    """An account or a route, by its id; the other one is empty."""

    account_id: str
    route_id: str

    @property
    def name(self) -> str:
        """As fingerprints have it."""
        return f"route:{self.route_id}" if self.route_id else f"account:{self.account_id}"


class Targeted(Protocol):
    """A request with a target."""

    account_id: str
    route_id: str


def target_at(out: Violations, path: str, request: Targeted) -> Target:
    """The target whose fields are at `path`. A route that is named, and be it by nothing, is no account."""
    if request.WhichOneof("target") == "route_id":  # type: ignore[attr-defined]
        return Target("", identifier(out, f"{path}route_id", request.route_id))
    return Target(identifier(out, f"{path}account_id", request.account_id), "")
