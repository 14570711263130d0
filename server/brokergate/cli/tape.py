"""`brokergate tape`: what is in a recorded market."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from brokergate.cli.failure import Failure
from brokergate.sim.feeds.info import as_dict, render, tape_info
from brokergate.sim.feeds.tape import TapeError

app = typer.Typer(no_args_is_help=True)


@app.callback()
def root() -> None:
    """Say what is in a recorded market."""


@app.command("info")
def info(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="Recordings; a folder of tables is one tape.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object a line, one for each tape.")] = False,
) -> None:
    """Read whole recordings and say what is in them: instruments, times, counts, gaps, and whether the book holds.

    Raw frames of Binance's public streams, CSV and Parquet of quotes, trades, bars or books; compressed or not. The
    format is found from the content.
    """
    for index, file in enumerate(files):
        try:
            found = tape_info(file)
        except TapeError as error:
            raise Failure(str(error)) from None
        if as_json:
            print(json.dumps(as_dict(found)))
        else:
            print("\n".join(([""] if index else []) + render(found)))
