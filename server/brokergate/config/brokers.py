"""What a configuration must know of a broker: its section, its environments, what credentials it needs. What trades is
only named here, so that a configuration is read and checked without loading it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, SecretStr

from brokergate.domain.accounts import Environment

_name = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII).fullmatch

WORDS: Mapping[str, Environment] = {member.name.lower(): member for member in Environment if member}
"""The environments as a configuration writes them."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A setting of an account that does not go with others: `key` is its path below the account."""

    account: str
    key: tuple[str, ...]
    text: str
    """What is wrong, beginning with a verb."""
    way_out: str


@dataclass(frozen=True, slots=True)
class BrokerKind:
    """A broker before any account of it is made. `ValueError` for one that cannot be."""

    name: str
    """As accounts name it: a-z, 0-9, `_` and `-`, at most 32."""
    settings: type[BaseModel]
    """Its own section of an account's configuration: a `config.Section`."""
    factory: str | Callable[..., Any]
    """`(AccountConfig, BrokerContext) -> AbstractBroker`, or `package.module:name` of it, imported when the first
    broker is made."""
    environments: tuple[Environment, ...]
    """The worlds that it has; an account that names none is in the first, which is never LIVE unless it is alone."""
    credentials: tuple[tuple[str, ...], ...] = ((),)
    """The sets of credentials that it takes, by their names: an account has all of one of them."""
    optional_credentials: tuple[str, ...] = ()
    """Credentials that an account may have beside such a set."""
    credentials_check: str | Callable[..., Any] | None = None
    """Called with a complete set, as a mapping of names to `SecretStr`, or `package.module:name` of it: raises
    `ValueError` for what can be seen to be wrong without asking the broker. Its text ends in '; ' and the way out, and
    holds no credential."""
    accounts_check: str | Callable[..., Any] | None = None
    """Called with all accounts of the broker, their ids and `AccountConfig`s, each valid by itself, or
    `package.module:name` of it: gives a `Conflict` for each setting that does not go with the others."""

    def __post_init__(self) -> None:
        if not _name(self.name):
            raise ValueError(f"{self.name!r} is no name for a broker; use a-z, 0-9, '_' and '-', at most 32")
        if not self.environments or not self.credentials:
            raise ValueError(f"the broker {self.name!r} has no environment, or takes no set of credentials")
        if self.environments[0] is Environment.LIVE and len(self.environments) > 1:
            raise ValueError(f"the broker {self.name!r} defaults to live; put another environment first")

    @property
    def credential_names(self) -> tuple[str, ...]:
        """Every credential that an account of it may have."""
        required = (name for names in self.credentials for name in names)
        return tuple(dict.fromkeys((*required, *self.optional_credentials)))

    def lacking(self, names: Collection[str]) -> tuple[str, ...]:
        """What `names` lack of the set of credentials that they are nearest to; nothing where they have one."""
        best = max(self.credentials, key=lambda wanted: sum(name in names for name in wanted) - len(wanted))
        return tuple(name for name in best if name not in names)

    def takes(self) -> str:
        """The sets of credentials, in words."""
        return " or ".join("{" + ", ".join(names) + "}" for names in self.credentials if names)

    def load(self) -> Callable[..., Any]:
        """The factory itself. Imports the adapter; raises whatever that raises, and `ValueError` for what is none."""
        factory = _named(self.factory)
        if factory is None:
            raise ValueError(f"the broker {self.name!r} has no factory at {self.factory!r}")
        return factory

    def check_credentials(self, credentials: Mapping[str, SecretStr]) -> None:
        """Whether a complete set of credentials can be right. `ValueError` says why not, and the way out."""
        check = None if self.credentials_check is None else _named(self.credentials_check)
        if check is not None and credentials:
            check(credentials)

    def check_accounts(self, accounts: Mapping[str, Any]) -> Iterable[Conflict]:
        """What of the broker's accounts does not go together."""
        check = None if self.accounts_check is None else _named(self.accounts_check)
        return () if check is None else tuple(check(accounts))


def _named(reference: str | Callable[..., Any]) -> Callable[..., Any] | None:
    """What a reference names; None where there is nothing to be called."""
    found: Any = reference
    if isinstance(reference, str):
        module, _, attribute = reference.partition(":")
        found = getattr(importlib.import_module(module), attribute, None)
    called: Callable[..., Any] | None = found if callable(found) else None
    return called
