"""The configuration as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, create_model

from brokergate.config.accounts import AccountConfig
from brokergate.config.brokers import BrokerKind
from brokergate.config.section import Identifier, Section
from brokergate.config.server import ServerConfig

MAX_ACCOUNTS = 256
"""Accounts, and routes, of one gateway."""


RouteAccounts = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=MAX_ACCOUNTS)]


class Profile(StrEnum):
    """What the configuration is for."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


class GatewayConfig(Section):
    """Everything that can be set."""

    profile: Profile = Profile.DEVELOPMENT
    """`development`, `testing` or `production`. Production refuses secrets that are written in the file and listeners
    without TLS off loopback; the other two only differ by what they say to the reader. Default `development`."""
    server: ServerConfig = ServerConfig()
    """The server."""
    accounts: Annotated[dict[Identifier, AccountConfig], Field(min_length=1, max_length=MAX_ACCOUNTS)]
    """The accounts by their ids, which are of `A-Z a-z 0-9 _ -`, at most 64 characters, and stay the same for ever:
    the journal knows an account by it. Required; a gateway started without a file has one paper account, `paper`."""
    routes: dict[Identifier, RouteAccounts] = Field(default_factory=dict, max_length=MAX_ACCOUNTS)
    """Accounts in order, by the route's id: `{us-equities: [alpaca-main, tradier-main]}`. A new order on a route goes
    to the first of them that is healthy and trades it, and stays there. All of them are live, or none is. Default none.
    """


def gateway_model(brokers: Mapping[str, BrokerKind]) -> type[GatewayConfig]:
    """`GatewayConfig` for these brokers: an account gets a section for each, by the broker's name.

    The models come from the adapters, which the configuration does not know; `AccountConfig.settings` gives a section
    back by its model.
    """
    sections: dict[str, Any] = {
        name: (
            kind.settings | None,
            Field(None, description=f"The settings of the broker `{name}`. Default: its defaults."),
        )
        for name, kind in brokers.items()
    }
    account = create_model("AccountConfig", __base__=AccountConfig, __doc__=AccountConfig.__doc__, **sections)
    accounts: Any = GatewayConfig.model_fields["accounts"]
    return create_model(
        "GatewayConfig",
        __base__=GatewayConfig,
        __doc__=GatewayConfig.__doc__,
        accounts=(
            dict[Identifier, account],
            Field(min_length=1, max_length=MAX_ACCOUNTS, description=accounts.description),
        ),
    )
