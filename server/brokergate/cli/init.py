"""`brokergate init`."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from brokergate.cli.failure import Failure


class Template(StrEnum):
    """A configuration to begin with."""

    DEVELOPMENT = "development"
    TESTING = "testing"
    PRODUCTION = "production"


def template_text(template: Template) -> str:
    """The YAML of a template."""
    return resources.files("brokergate").joinpath("templates", f"{template.value}.yaml").read_text("utf-8")


def init(
    template: Annotated[Template, typer.Argument(help="What it is for.")],
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
