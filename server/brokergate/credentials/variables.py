"""Credentials in variables: `ALPACA_API_KEY` for the default account of a broker, `BROKERGATE_ACCOUNTS__ID__API_KEY`
for a named one, and either with `_FILE` behind it for the path of a file that holds the value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from brokergate.credentials.secret import read_secret


class CredentialsError(ValueError):
    """Credentials cannot be used; the text names the variable or the account, never a value, and the way out."""


@dataclass(frozen=True, slots=True)
class DefaultAccount:
    """The account of a broker that the flat settings of `BrokerCredentials` are for."""

    prefix: str
    """What their names begin with: `alpaca` of `alpaca_api_key`."""
    names: tuple[str, ...]
    """The rest of the names of what the broker wants to see."""
    flag: str | None
    """The switch that says that it is not a live account: `paper` of `alpaca_paper`."""

    def setting(self, name: str) -> str:
        """The setting of one of `names`, or of `flag`."""
        return f"{self.prefix}_{name}"


DEFAULTS: Mapping[str, DefaultAccount] = {
    "alpaca": DefaultAccount("alpaca", ("api_key", "api_secret"), "paper"),
    "binance": DefaultAccount(
        "binance", ("api_key", "api_secret", "private_key", "private_key_passphrase"), "testnet"
    ),
    "kraken": DefaultAccount("kraken", ("api_key", "api_secret"), "testnet"),
    "bybit": DefaultAccount("bybit", ("api_key", "api_secret"), "testnet"),
    "ibkr": DefaultAccount("ib", ("host", "port", "client_id"), None),
    "oanda": DefaultAccount("oanda", ("api_key", "account_id"), "practice"),
    "tradier": DefaultAccount("tradier", ("api_key", "account_id"), "sandbox"),
}
"""By the broker's name. A broker of somebody else's package has its default account under its name, as a named one."""

FLAT = frozenset(
    default.setting(name)
    for default in DEFAULTS.values()
    for name in (*default.names, *((default.flag,) if default.flag else ()))
)
"""The flat settings."""

FILE = "_FILE"
_named = re.compile(
    r"BROKERGATE_ACCOUNTS__([A-Z0-9_]{1,64})__([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)", re.ASCII
).fullmatch


def variable(account_id: str, name: str) -> str:
    """The variable of a named account's credential."""
    return f"BROKERGATE_ACCOUNTS__{plain_id(account_id).upper()}__{name.upper()}"


def plain_id(account_id: str) -> str:
    """An account's id as a variable can name it: small letters, digits and `_`."""
    return account_id.lower().replace("-", "_")


def default_variable(broker: str, name: str) -> str:
    """The variable of a credential of a broker's default account."""
    default = DEFAULTS.get(broker)
    return variable(broker, name) if default is None else default.setting(name).upper()


@dataclass(frozen=True, slots=True)
class Found:
    """What variables say: flat settings, and credentials by the plain ids of named accounts."""

    flat: Mapping[str, str]
    accounts: Mapping[str, Mapping[str, str]]


def find(layers: Sequence[Mapping[str, str]]) -> Found:
    """The credentials in `layers`, a variable of an earlier one hiding that of a later one; whether it is the value or
    a file's path makes no difference to that. An empty one is none, and hides all the same. Raises
    `CredentialsError`."""
    flat: dict[str, str] = {}
    accounts: dict[str, dict[str, str]] = {}
    hidden: set[str] = set()
    for layer in layers:
        for name, value in _of(layer, frozenset(hidden)):
            hidden.add(name)
            if not value:
                continue
            if match := _named(name):
                accounts.setdefault(match[1].lower(), {})[match[2].lower()] = value
            else:
                flat[name.lower()] = value
    return Found(flat, accounts)


def _of(layer: Mapping[str, str], hidden: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The credentials in one layer by their variables, files read."""
    upper = {name.upper(): value for name, value in layer.items()}
    for name, value in upper.items():
        if _is_credential(name) and not name.endswith(FILE) and name not in hidden:
            if value and upper.get(name + FILE):
                raise CredentialsError(f"{name} and {name}{FILE} are both set; keep one of them")
            if value or not upper.get(name + FILE):
                yield name, value
        stem = name.removesuffix(FILE)
        if stem != name and _is_credential(stem) and stem not in hidden and value and not upper.get(stem):
            try:
                yield stem, read_secret(Path(value))
            except ValueError as error:
                raise CredentialsError(f"the value of {name} {error}") from None


def _is_credential(name: str) -> bool:
    return name.lower() in FLAT or _named(name) is not None
