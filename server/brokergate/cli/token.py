"""`brokergate token`: the access tokens of a gateway, made and revoked beside it."""

from __future__ import annotations

import json
import re
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from brokergate.cli.failure import Failure
from brokergate.cli.options import ConfigFiles, DataDir, configuration
from brokergate.config import ConfigError, Overrides
from brokergate.domain.access import Scope
from brokergate.ports.clock import SystemClock
from brokergate.tokens import Token, TokenError, TokenStore

app = typer.Typer(no_args_is_help=True)

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_duration = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII).fullmatch


class ScopeName(StrEnum):
    """What a token allows; each includes the ones before it."""

    READ = "read"
    TRADE = "trade"
    ADMIN = "admin"


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Who will use it; of A-Z a-z 0-9 _ -.")],
    scope: Annotated[ScopeName, typer.Option(help="read, trade (reads too) or admin (everything).")],
    accounts: Annotated[str, typer.Option(metavar="ID,…", help="The accounts that it may use; '*' for all.")],
    expires_in: Annotated[
        str | None,
        typer.Option(metavar="30d", help="Seconds, minutes, hours, days or weeks: 90s, 15m, 12h, 30d, 4w."),
    ] = None,
    data_dir: DataDir = None,
    config: ConfigFiles = [],  # noqa: B006, typer copies it
) -> None:
    """Make a token and print it, this one time: only its hash is kept."""
    ids = None if accounts == "*" else [account.strip() for account in accounts.split(",") if account.strip()]
    lifetime_s = None if expires_in is None else _parse_duration(expires_in)
    try:
        token = _store(config, data_dir).create(name, Scope[scope.name], ids, lifetime_s, secrets.token_bytes)
    except TokenError as error:
        raise Failure(str(error)) from None
    print(token)
    print("Keep it: it is not shown again. Clients send 'authorization: Bearer <token>'.", file=sys.stderr)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line.")] = False,
    data_dir: DataDir = None,
    config: ConfigFiles = [],  # noqa: B006, typer copies it
) -> None:
    """List the tokens: names, scopes, accounts and times, nothing that opens a door."""
    try:
        tokens = _store(config, data_dir).list()
    except TokenError as error:
        raise Failure(str(error)) from None
    now = datetime.fromtimestamp(SystemClock.now_ns() // 1_000_000_000, UTC)
    if as_json:
        for token in tokens:
            print(
                json.dumps({**token.model_dump(mode="json", exclude={"sha256"}), "state": _state(token, now)})
            )
        return
    rows = [("NAME", "SCOPE", "ACCOUNTS", "CREATED", "EXPIRES", "STATE")]
    rows += [
        (
            token.name,
            token.scope,
            ",".join(token.accounts),
            f"{token.created:%Y-%m-%d}",
            f"{token.expires:%Y-%m-%d %H:%M}Z" if token.expires else "never",
            _state(token, now),
        )
        for token in tokens
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


@app.command("revoke")
def revoke(
    name: Annotated[str, typer.Argument(help="As 'token list' shows it.")],
    data_dir: DataDir = None,
    config: ConfigFiles = [],  # noqa: B006, typer copies it
) -> None:
    """Make a token worthless. A running gateway notices within a second and ends its streams."""
    try:
        _store(config, data_dir).revoke(name)
    except TokenError as error:
        raise Failure(str(error)) from None
    print(f"{name} is revoked")


def _store(files: Sequence[Path], data_dir: str | None) -> TokenStore:
    """The tokens of the gateway that these options would start. Raises `TokenError`."""
    try:
        settings = configuration(files, Overrides(data_dir=data_dir)).server
    except ConfigError as error:
        raise Failure(f"the configuration cannot be used\n{error}", status=2) from None
    return TokenStore(settings.tokens_path, SystemClock())


def _parse_duration(text: str) -> int:
    """Seconds of `90s`, `15m`, `12h`, `30d`, `4w`."""
    match = _duration(text)
    if match is None:
        raise Failure(
            f"--expires-in {text[:64]!r} is not a time; write a number and s, m, h, d or w, such as 30d", 2
        )
    return int(match[1]) * _SECONDS[match[2]]


def _state(token: Token, now: datetime) -> str:
    if token.revoked:
        return "revoked"
    return "expired" if token.expires and token.expires <= now else "active"
