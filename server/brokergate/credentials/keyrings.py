"""Credentials in the machine's keyring: macOS' Keychain, Windows' Credential Locker, Secret Service, KWallet, or any
other backend that `keyring` finds.

An account is one entry of the service `brokergate`, a JSON object of its credentials by their names, so that a key and
its secret change together. Keyrings cannot be listed; the entry `INDEX` holds the accounts' ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from brokergate.credentials.variables import CredentialsError

SERVICE = "brokergate"
INDEX = "accounts of brokergate"
"""The entry that lists the others: no account has an id with a blank."""

is_account_id = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII).fullmatch
"""Whether a text is an account's id."""
is_name = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII).fullmatch
"""Whether a text is the name of a credential."""


def read(account_id: str) -> dict[str, str]:
    """The credentials of an account, none where there are none. Raises `CredentialsError`."""
    return _entry(_backend(), account_id)


def read_if_any(account_id: str) -> dict[str, str]:
    """As `read`, and nothing on a machine without a keyring. Raises `CredentialsError`."""
    return read(account_id) if available() else {}


def read_all() -> dict[str, dict[str, str]]:
    """The credentials of all accounts. Raises `CredentialsError`."""
    backend = _backend()
    return {account_id: _entry(backend, account_id) for account_id in _index(backend)}


def names() -> dict[str, list[str]]:
    """The names of the credentials of all accounts. Raises `CredentialsError`."""
    return {account_id: sorted(values) for account_id, values in read_all().items()}


def write(account_id: str, values: Mapping[str, str]) -> None:
    """Keeps `values` beside the credentials that the account has. Raises `CredentialsError`."""
    backend = _backend()
    merged = _entry(backend, account_id) | dict(values)
    # The list first: an entry that it does not have could not be found again to be deleted.
    _set(backend, INDEX, json.dumps(sorted({*_index(backend), account_id})))
    _set(backend, account_id, json.dumps(merged))


def delete(account_id: str) -> bool:
    """Deletes all credentials of an account; whether there were any. Raises `CredentialsError`."""
    backend = _backend()
    known = _index(backend)
    held = _get(backend, account_id) is not None
    if held:
        try:
            backend.delete_password(SERVICE, account_id)
        except Exception as error:  # noqa: BLE001, backends raise errors of their own
            raise _broken(error) from None
    if account_id in known:
        _set(backend, INDEX, json.dumps(sorted(known - {account_id})))
    return held


def available() -> bool:
    """Whether this machine has a keyring."""
    try:
        _backend()
    except CredentialsError:
        return False
    return True


def _backend() -> Any:
    """The keyring of this machine."""
    import keyring
    from keyring.backends import fail, null

    try:
        backend = keyring.get_keyring()
    except Exception as error:  # noqa: BLE001, a backend that is configured and cannot be made
        raise _broken(error) from None
    if isinstance(backend, fail.Keyring | null.Keyring):
        raise CredentialsError(
            "this machine has no keyring; set variables or *_FILE instead (docs/credentials.md), or install a backend "
            "of the Python package 'keyring', such as keyrings.alt"
        )
    return backend


def _index(backend: Any) -> set[str]:
    text = _get(backend, INDEX)
    found = [] if text is None else _parsed(text, INDEX)
    return {account_id for account_id in found if isinstance(account_id, str)}


def _entry(backend: Any, account_id: str) -> dict[str, str]:
    text = _get(backend, account_id)
    found = {} if text is None else _parsed(text, account_id)
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _foreign(account_id)
    return found


def _parsed(text: str, entry: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        # Not from it: the text that json repeats is a secret.
        raise _foreign(entry) from None


def _foreign(entry: str) -> CredentialsError:
    return CredentialsError(
        f"the keyring's entry {entry!r} of {SERVICE!r} is not ours; delete it, and run 'brokergate keyring set'"
    )


def _get(backend: Any, entry: str) -> str | None:
    try:
        text: str | None = backend.get_password(SERVICE, entry)
    except Exception as error:  # noqa: BLE001, backends raise errors of their own
        raise _broken(error) from None
    return text


def _set(backend: Any, entry: str, text: str) -> None:
    try:
        backend.set_password(SERVICE, entry, text)
    except Exception as error:  # noqa: BLE001, backends raise errors of their own
        raise _broken(error) from None


def _broken(error: Exception) -> CredentialsError:
    """An error of a backend by its class alone: its text may hold what it was given."""
    return CredentialsError(
        f"the keyring cannot be used ({type(error).__name__}); unlock it, or set variables instead "
        "(docs/credentials.md)"
    )
