"""`brokergate init`."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from brokergate.cli.failure import Failure

PROFILES = ("development", "testing", "production")
"""The templates that are for no broker in particular."""


def template_text(template: str) -> str:
    """The YAML of a template: a profile's, or a broker's. `Failure` for a name that is neither."""
    folder = resources.files("brokergate").joinpath("templates")
    if template in PROFILES:
        return folder.joinpath(f"{template}.yaml").read_text("utf-8")
    # The brokers are loaded only where one is asked for.
    from brokergate.adapters.registry import BrokerRegistry, UnknownBrokerError

    try:
        kind = BrokerRegistry.get(template)
    except UnknownBrokerError as error:
        if template in BrokerRegistry.names():
            raise Failure(str(error)) from None
        known = ", ".join((*PROFILES, *BrokerRegistry.names()))
        raise Failure(f"no template {template[:64]!r}; there are {known}", 2) from None
    own = folder.joinpath(f"{template}.yaml")
    if own.is_file():
        return own.read_text("utf-8")
    from brokergate.cli.account_template import account_template

    return account_template(kind)


def init(
    template: Annotated[
        str,
        typer.Argument(
            metavar="development|testing|production|BROKER",
            help="What it is for: a profile, or a broker as 'brokergate brokers list' names it.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there; never over a file.")
    ] = None,
) -> None:
    """Print a configuration to begin with, commented; 'brokergate check' says what it still needs."""
    text = template_text(template)
    if out is None:
        print(text, end="")
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(f"{out} exists; choose another name, or remove it first") from None
    except OSError as error:
        raise Failure(f"{out} cannot be written ({error.strerror}); choose another place") from None
