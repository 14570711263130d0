"""Where an account of the configuration gets its credentials that has none in the file.

The first of these that has any gives all of them, so that a key never meets the secret of another:

1. the variables of the account, `BROKERGATE_ACCOUNTS__ID__NAME`;
2. the keyring's entry of the account;
3. the variables of the broker's default account, `BINANCE_API_KEY`;
4. the keyring's entry of the broker.

A default account says whether it is a live one (`BINANCE_TESTNET`): its key is not given to an account of the other
kind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import SecretStr, ValidationError

from brokergate.credentials.secret import is_text
from brokergate.credentials.settings import BrokerCredentials
from brokergate.credentials.variables import DEFAULTS, CredentialsError, default_variable, variable
from brokergate.domain.accounts import Environment

Keyring = Callable[[str], Mapping[str, str]]
"""The credentials that the keyring has of an account."""


@dataclass(frozen=True, slots=True)
class Taken:
    """Credentials by their names, and where they were found."""

    values: Mapping[str, str]
    source: str

    def secrets(self) -> dict[str, SecretStr]:
        """The credentials, hidden."""
        return {name: SecretStr(value) for name, value in self.values.items()}

    def __repr__(self) -> str:
        return f"Taken({sorted(self.values)}, {self.source!r})"


class Lookup:
    """Finds the credentials of accounts in variables and in a keyring."""

    def __init__(self, credentials: BrokerCredentials, keyring: Keyring | None = None) -> None:
        self._credentials = credentials
        self._keyring: Keyring = keyring or (lambda _: {})

    @classmethod
    def of(cls, layers: Sequence[Mapping[str, str]], keyring: Keyring | None = None) -> Lookup:
        """In `layers` of variables, earlier ones first. Raises `CredentialsError`."""
        try:
            return cls(BrokerCredentials.of(*layers), keyring)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = "_".join(str(part) for part in first["loc"]).upper()
            raise CredentialsError(f"the variable {name} is refused: {first['msg']}; mend it") from None

    def find(
        self, account_id: str, broker: str, names: Sequence[str], environment: Environment | None
    ) -> Taken | None:
        """The credentials of an account, as far as they are among `names`; None where there are none anywhere. Raises
        `CredentialsError`."""
        for is_default, values, source in self._sources(account_id, broker):
            if found := {name: values[name] for name in names if name in values}:
                for name, value in found.items():
                    if not is_text(value):
                        raise CredentialsError(
                            f"has in {source} an {name} that is not UTF-8; set it again, as the broker shows it"
                        )
                if is_default and environment is not None:
                    self._check_flag(values, source, broker, environment)
                return Taken(found, source)
        return None

    def _sources(self, account_id: str, broker: str) -> Iterator[tuple[bool, Mapping[str, str], str]]:
        """Where credentials may be, in order: whether they are the default account's, which there are, and the name
        of the place. A place is looked at when it is its turn."""
        yield False, _plain(self._credentials.account(account_id)), f"{variable(account_id, '')}*"
        if account_id != broker:
            yield False, self._keyring(account_id), f"the keyring's entry {account_id}"
        yield True, _plain(self._credentials.default(broker)), f"{default_variable(broker, '')}*"
        yield True, self._keyring(broker), f"the keyring's entry {broker}"

    def _check_flag(
        self, values: Mapping[str, str], source: str, broker: str, environment: Environment
    ) -> None:
        """Whether the switch of a default account speaks against the environment: `CredentialsError`."""
        default = DEFAULTS.get(broker)
        if default is None or default.flag is None:
            return
        live = self._credentials.is_live(broker)
        if (stored := values.get(default.flag)) is not None:
            live = stored.strip().lower() in ("false", "0", "no", "off")
        if live is not (environment is Environment.LIVE):
            switch = default_variable(broker, default.flag)
            raise CredentialsError(
                f"has the environment {environment.name.lower()}, and {source} is of "
                f"{'a live account' if live else 'no live account'} ({switch} is {str(not live).lower()}); "
                f"set {switch}={str(live).lower()} if that is wrong, or give the account credentials of its own"
            )


def _plain(values: Mapping[str, SecretStr]) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in values.items()}
