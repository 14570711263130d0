"""`brokergate check`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from brokergate.cli.failure import Failure
from brokergate.cli.options import configuration
from brokergate.config import ConfigError, GatewayConfig, ListenerConfig, Overrides, missing_accounts


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="As they would be given to 'serve --config'.")
    ],
) -> None:
    """Check configuration files, laid over one another in this order, and print what would be served.

    Starts nothing and connects to nothing. All problems are told at once; the exit status is 1 if there are any.
    """
    try:
        config = configuration(files, Overrides())
    except ConfigError as error:
        count = len(error.problems)
        raise Failure(f"{count} problem{'s' if count > 1 else ''}\n{error}") from None
    for line in served(config):
        print(line)


def served(config: GatewayConfig) -> Iterator[str]:
    """What a gateway of this configuration would serve, in lines; no secret among them."""
    yield f"{'profile':10}{config.profile.value}"
    for listener in config.server.listen:
        yield f"{'listen':10}{listener.address} ({_protection(listener)})"
    yield f"{'data':10}{config.server.data_dir}"
    yield f"{'tokens':10}{config.server.tokens_path}"
    for account_id, account in config.accounts.items():
        trading = "trading" if account.trading_enabled else "read only"
        yield f"{'account':10}{account_id}: {account.broker}, {account.environment.name.lower()}, {trading}"
    for route_id, accounts in config.routes.items():
        yield f"{'route':10}{route_id}: {', '.join(accounts)}"
    for warning in missing_accounts(config):
        yield f"{'warning':10}{warning}"


def _protection(listener: ListenerConfig) -> str:
    if listener.tls is None:
        return "this machine only" if listener.loopback else "clear text, insecure"
    return "TLS" if listener.tls.client_ca is None else "TLS, client certificates"
