"""`brokergate serve`."""

from __future__ import annotations

from typing import Annotated

import typer

from brokergate.cli.failure import Failure
from brokergate.cli.options import ConfigFiles, DataDir, configuration
from brokergate.config import ConfigError, LogFormat, Overrides


def serve(
    config: ConfigFiles = [],  # noqa: B006, typer copies it
    listen: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Listen here; the TLS of the files stays. Port 0: any free."),
    ] = None,
    data_dir: DataDir = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Accept clear text on addresses that other machines can reach.")
    ] = False,
    log_format: Annotated[LogFormat | None, typer.Option(help="Whatever the files say.")] = None,
) -> None:
    """Run the gateway until SIGTERM or Ctrl+C; it drains before it ends.

    Without --config: one paper account, 'paper', on a synthetic market, on 127.0.0.1:50051, with its data in ./data.
    """
    overrides = Overrides(listen, data_dir, insecure, None if log_format is None else log_format.value)
    try:
        settings = configuration(config, overrides)
    except ConfigError as error:
        raise Failure(f"the configuration cannot be used\n{error}", status=2) from None
    # Most of the gateway is loaded here, so that a wrong configuration is told at once.
    from brokergate.app import StartError, run

    try:
        run(settings)
    except StartError as error:
        raise Failure(str(error)) from None
