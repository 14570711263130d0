"""Options that several commands share, and the configuration that they lead to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from brokergate.adapters.registry import BROKERS
from brokergate.config import GatewayConfig, Overrides, load_config
from brokergate.credentials.keyrings import read_if_any

ConfigFiles = Annotated[
    list[Path],
    typer.Option(
        "--config",
        metavar="FILE",
        help="A configuration file; several are laid over one another, later over earlier.",
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option(
        "--data-dir", metavar="DIR", help="The folder of journal and tokens, whatever the files say."
    ),
]


def configuration(files: Sequence[Path], overrides: Overrides) -> GatewayConfig:
    """The configuration of `files` under this process's environment. Raises `ConfigError`."""
    return load_config(
        files, brokers=BROKERS, environment=os.environ, overrides=overrides, keyring=read_if_any
    )
