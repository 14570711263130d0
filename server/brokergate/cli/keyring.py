"""`brokergate keyring`: credentials in the machine's keyring. Values are never arguments, which others see."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from brokergate.adapters.registry import BROKERS
from brokergate.cli.failure import Failure
from brokergate.credentials import keyrings
from brokergate.credentials.secret import MAX_SECRET_BYTES
from brokergate.credentials.variables import CredentialsError

app = typer.Typer(no_args_is_help=True)

USUAL = ("api_key", "api_secret")
"""What most brokers want to see."""

Account = Annotated[
    str,
    typer.Argument(
        metavar="ACCOUNT",
        help="The account's id; or a broker's name, for its accounts that have none of their own.",
    ),
]


@app.command("set")
def set_(
    account: Account,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="The credentials by their names; of a broker's name what it takes, else api_key api_secret.",
        ),
    ] = None,
) -> None:
    """Ask for credentials and keep them; the account's others stay.

    Without a terminal the values come from standard input: a line for each NAME, or, for one NAME, all of it, such as
    a private key.
    """
    wanted = names or _names_of(account)
    _check(account, wanted)
    try:
        known = keyrings.read(account)
        values = _asked(account, wanted) if sys.stdin.isatty() else _piped(wanted)
        keyrings.write(account, values)
    except CredentialsError as error:
        raise Failure(str(error)) from None
    print(f"{account}: {', '.join(sorted({*known, *values}))}")


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
) -> None:
    """List the accounts, and the names of the credentials that they have; no values."""
    try:
        found = keyrings.names()
    except CredentialsError as error:
        raise Failure(str(error)) from None
    for account, held in sorted(found.items()):
        line = json.dumps({"account": account, "credentials": held})
        print(line if as_json else f"{account}: {', '.join(held)}")


@app.command("delete")
def delete(account: Account) -> None:
    """Delete all credentials of an account. A gateway that runs goes on with them until it is started again."""
    try:
        held = keyrings.delete(account)
    except CredentialsError as error:
        raise Failure(str(error)) from None
    if not held:
        raise Failure(
            f"the keyring has no credentials of {account}; 'brokergate keyring list' shows what it has"
        )
    print(f"{account} is deleted")


def _names_of(account: str) -> Sequence[str]:
    """What is asked for where no name is given."""
    kind = BROKERS.get(account)
    sets = [] if kind is None else [names for names in kind.credentials if names]
    return sets[0] if sets else USUAL


def _check(account: str, names: Sequence[str]) -> None:
    if not keyrings.is_account_id(account):
        raise Failure(f"{account[:64]!r} is no account's id; use letters, digits, '_' and '-', at most 64", 2)
    for name in names:
        if not keyrings.is_name(name):
            # Not repeated: it may be the secret itself, which does not belong on a command line.
            raise Failure(
                "a NAME is no name of a credential; write such as api_key. The value is asked for, or read from "
                "standard input; if it stood on this command line, others may have seen it",
                2,
            )


def _asked(account: str, names: Sequence[str]) -> dict[str, str]:
    """The values from a terminal, which does not show them."""
    values = {}
    for name in names:
        try:
            values[name] = _not_empty(name, getpass.getpass(f"{account} {name}: ").strip())
        except EOFError:
            raise Failure("nothing was written; nothing is kept") from None
    return values


def _piped(names: Sequence[str]) -> dict[str, str]:
    """The values from standard input."""
    text = sys.stdin.read(MAX_SECRET_BYTES + 1)
    if len(text) > MAX_SECRET_BYTES:
        raise Failure(f"standard input holds more than {MAX_SECRET_BYTES} characters; give the values alone")
    values = [text.rstrip("\r\n")] if len(names) == 1 else text.splitlines()
    if len(values) != len(names):
        raise Failure(
            f"standard input has {len(values)} lines for {len(names)} values; "
            f"write {', '.join(names)} on a line each"
        )
    return {name: _not_empty(name, value) for name, value in zip(names, values, strict=True)}


def _not_empty(name: str, value: str) -> str:
    if not value.strip():
        raise Failure(f"{name} is empty; nothing is kept")
    return value
