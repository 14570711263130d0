"""`BrokerCredentials`: what brokers want to see, from the environment, `.env`, files and the machine's keyring."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from brokergate.config.environment import read_env_file
from brokergate.credentials import keyrings
from brokergate.credentials.variables import DEFAULTS, CredentialsError, Found, find, plain_id

__all__ = ["BrokerCredentials", "CredentialsError"]

Optional = SecretStr | None
_given: ContextVar[Found | None] = ContextVar("given", default=None)
"""What is read in place of the process's variables."""


_LIVE_PORTS = frozenset({7496, 4001})
"""Where a TWS and an IB Gateway with a live account listen, unless they were told otherwise."""


class BrokerCredentials(BaseSettings):
    """The credentials of a default account for each broker, and of named accounts.

    `BrokerCredentials()` reads the environment and behind it the file `.env` of the current folder, each variable as it
    is named here in capitals (`ALPACA_API_KEY`), or with `_FILE` behind its name for the path of a file that holds the
    value. `from_keyring()` asks the keyring first. Raises `CredentialsError`, and pydantic's `ValidationError` for a
    switch or a number that is none; neither holds a value. docs/credentials.md tells all of it.
    """

    model_config = SettingsConfigDict(
        extra="ignore", frozen=True, hide_input_in_errors=True, use_attribute_docstrings=True
    )

    alpaca_api_key: Optional = None
    """The id of the key (APCA-API-KEY-ID)."""
    alpaca_api_secret: Optional = None
    """The key's secret."""
    alpaca_paper: bool = True
    """Whether the key is for paper trading."""

    binance_api_key: Optional = None
    """The key (X-MBX-APIKEY)."""
    binance_api_secret: Optional = None
    """The secret of an HMAC key."""
    binance_private_key: Optional = None
    """The private key of an Ed25519 key in PEM, in place of the secret; `BINANCE_PRIVATE_KEY_FILE` names its file."""
    binance_private_key_passphrase: Optional = None
    """What the private key is encrypted with, if it is."""
    binance_testnet: bool = True
    """Whether the key is of the testnet or of the demo mode."""

    kraken_api_key: Optional = None
    """The key."""
    kraken_api_secret: Optional = None
    """The key's private part."""
    kraken_testnet: bool = True
    """Whether the key is not for real money."""

    bybit_api_key: Optional = None
    """The key."""
    bybit_api_secret: Optional = None
    """The key's secret."""
    bybit_testnet: bool = True
    """Whether the key is of the testnet or of the demo mode."""

    ib_host: str = "127.0.0.1"
    """Where TWS or IB Gateway listens."""
    ib_port: Annotated[int, Field(ge=1, le=65_535)] = 7497
    """Its port: 7497 is TWS with a paper account, 7496 a live one; IB Gateway has 4002 and 4001."""
    ib_client_id: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    """Which of its API clients we are."""

    oanda_api_key: Optional = None
    """The access token."""
    oanda_account_id: Optional = None
    """The account, such as 101-004-1234567-001."""
    oanda_practice: bool = True
    """Whether it is an account of fxTrade Practice."""

    tradier_api_key: Optional = None
    """The access token."""
    tradier_account_id: Optional = None
    """The account."""
    tradier_sandbox: bool = True
    """Whether it is an account of the sandbox."""

    accounts: dict[str, dict[str, SecretStr]] = Field(default_factory=dict)
    """The credentials of named accounts by their names; `account` finds them by the account's id."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given to the constructor, then variables. Our own source in place of pydantic-settings' two, since
        `_FILE` and the value are one variable to the layers, and a `$` in `.env` is a `$`."""
        return init_settings, _Variables(settings_cls, _given.get() or _of_process())

    @classmethod
    def from_keyring(cls) -> BrokerCredentials:
        """As `BrokerCredentials()`, with the keyring first: an account that it holds has every credential from there,
        and none from the variables; switches are asked for in both. Raises `CredentialsError` where there is no
        keyring, or it cannot be read."""
        found = _of_process()
        flat, accounts = dict(found.flat), dict(found.accounts)
        for account_id, values in keyrings.read_all().items():
            default = DEFAULTS.get(account_id)
            if default is None:
                accounts[plain_id(account_id)] = values
                continue
            for name in default.names:
                flat.pop(default.setting(name), None)
            flat |= {default.setting(name): value for name, value in values.items()}
        return cls._reading(Found(flat, accounts))

    @classmethod
    def of(cls, *layers: Mapping[str, str]) -> BrokerCredentials:
        """As `BrokerCredentials()`, from these variables, earlier ones first."""
        return cls._reading(find(layers))

    @classmethod
    def _reading(cls, found: Found) -> BrokerCredentials:
        token = _given.set(found)
        try:
            return cls()
        finally:
            _given.reset(token)

    def has_alpaca(self) -> bool:
        """Whether there is a key with its secret."""
        return self._has("alpaca", ("api_key", "api_secret"))

    def has_binance(self) -> bool:
        """Whether there is a key with its secret, or with its private key."""
        return self._has("binance", ("api_key", "api_secret"), ("api_key", "private_key"))

    def has_kraken(self) -> bool:
        """Whether there is a key with its secret."""
        return self._has("kraken", ("api_key", "api_secret"))

    def has_bybit(self) -> bool:
        """Whether there is a key with its secret."""
        return self._has("bybit", ("api_key", "api_secret"))

    def has_ib(self) -> bool:
        """Whether anything was said of TWS or IB Gateway, which asks for no secret."""
        return any(name.startswith("ib_") for name in self.model_fields_set)

    def has_oanda(self) -> bool:
        """Whether there is a token with its account."""
        return self._has("oanda", ("api_key", "account_id"))

    def has_tradier(self) -> bool:
        """Whether there is a token with its account."""
        return self._has("tradier", ("api_key", "account_id"))

    def _has(self, broker: str, *sets: Sequence[str]) -> bool:
        found = self.default(broker)
        return any(all(name in found for name in names) for names in sets)

    def default(self, broker: str) -> dict[str, SecretStr]:
        """The credentials of a broker's default account that there are, by the broker's own names."""
        default = DEFAULTS.get(broker)
        if default is None:
            return self.account(broker)
        values = {name: getattr(self, default.setting(name)) for name in default.names}
        return {
            name: value if isinstance(value, SecretStr) else SecretStr(str(value))
            for name, value in values.items()
            if value is not None
        }

    def account(self, account_id: str) -> dict[str, SecretStr]:
        """The credentials of a named account that there are."""
        return self.accounts.get(plain_id(account_id), {})

    def is_live(self, broker: str) -> bool:
        """Whether the broker's default account trades with real money; false where nothing says so."""
        default = DEFAULTS.get(broker)
        if broker == "ibkr":
            return self.ib_port in _LIVE_PORTS
        if default is None or default.flag is None:
            return False
        return not getattr(self, default.setting(default.flag))

    def address(self, broker: str) -> dict[str, object]:
        """Where the broker's default account is reached, by its settings' names: of a TWS alone, which asks for no
        secret."""
        if broker != "ibkr":
            return {}
        return {"host": self.ib_host, "port": self.ib_port, "client_id": self.ib_client_id}


class _Variables(PydanticBaseSettingsSource):
    """What variables, or the keyring, say."""

    def __init__(self, settings_cls: type[BaseSettings], found: Found) -> None:
        super().__init__(settings_cls)
        self._found = found

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The value of one field."""
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return {**self._found.flat, "accounts": self._found.accounts}


def _of_process() -> Found:
    """The credentials in the process's environment, and behind it in `.env` of the current folder."""
    variables, problems = read_env_file(Path(".env"))
    if problems:
        raise CredentialsError(str(problems[0]))
    return find([os.environ, variables])
