"""Credentials of accounts: from the configuration, the environment, `.env`, files and the machine's keyring.

`secret` is light and is what the configuration needs; `BrokerCredentials` and the keyring are loaded when they are
asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brokergate.credentials.settings import BrokerCredentials, CredentialsError

__all__ = ["BrokerCredentials", "CredentialsError"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from brokergate.credentials import settings

        return getattr(settings, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
