"""The command line. A module for each noun; only the one that was asked for is imported, so all start fast.

To add a command: a function, or a `typer.Typer` with commands of its own, and its entry in `COMMANDS`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer

from brokergate.cli.failure import Failure


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a command is, and what the list of commands says of it."""

    module: str
    attribute: str
    help: str


_HERE = "brokergate.cli"
COMMANDS = {
    "serve": Entry(f"{_HERE}.serve", "serve", "Run the gateway."),
    "check": Entry(f"{_HERE}.check", "check", "Check configuration files without starting anything."),
    "init": Entry(f"{_HERE}.init", "init", "Print a configuration to begin with."),
    "brokers": Entry(f"{_HERE}.brokers", "app", "List the brokers, and try an account's credentials."),
    "keyring": Entry(f"{_HERE}.keyring", "app", "Keep credentials of accounts in this machine's keyring."),
    "token": Entry(f"{_HERE}.token", "app", "Make, list and revoke access tokens."),
    "order": Entry(f"{_HERE}.trade", "order", "Place, cancel and list orders."),
    "fills": Entry(f"{_HERE}.trade", "fills", "Show fills, and follow them."),
    "positions": Entry(f"{_HERE}.trade", "positions", "Show positions."),
    "balances": Entry(f"{_HERE}.trade", "balances", "Show balances."),
    "health": Entry(f"{_HERE}.trade", "health", "Ask whether a gateway serves."),
    "stop": Entry(f"{_HERE}.control", "stop", "Stop trading at once, and cancel what is open."),
    "resume": Entry(f"{_HERE}.control", "resume", "End an emergency stop."),
    "state": Entry(f"{_HERE}.control", "state", "Say which accounts take new orders."),
    "discrepancies": Entry(f"{_HERE}.control", "discrepancies", "List what broker and journal disagree on."),
    "clear-freeze": Entry(f"{_HERE}.control", "clear_freeze", "Trade a frozen instrument again."),
    "resolve": Entry(f"{_HERE}.control", "resolve", "Say what became of an uncertain order."),
    "audit": Entry(f"{_HERE}.control", "audit", "List who asked for what."),
    "tape": Entry(f"{_HERE}.tape", "app", "Say what is in a recorded market."),
    "replay": Entry(
        f"{_HERE}.replay", "replay", "Run orders or a strategy against a market, without a gateway."
    ),
    "descriptor": Entry(
        f"{_HERE}.descriptor", "descriptor", "Write the compiled contract, for grpcurl -protoset."
    ),
    "version": Entry(f"{_HERE}.version", "version", "Print the version."),
}

INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""

EPILOG = (
    "Exit status: 0 done; 1 failed, or 'check' found problems; 2 wrong usage, or a configuration that 'serve' cannot "
    "use; 3 the gateway that a command talks to did not answer; 130 interrupted."
)


def build(arguments: Sequence[str]) -> typer.Typer:
    """The application, with the command that `arguments` name and, for the list, the others' names."""
    app = typer.Typer(
        name="brokergate",
        help="One gRPC door to every broker.",
        epilog=EPILOG,
        add_completion=False,
        no_args_is_help=True,
        rich_markup_mode=None,
        # A traceback of rich's may show variables, and with them secrets.
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root() -> None:
        """One gRPC door to every broker."""

    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, entry in COMMANDS.items():
        if name != chosen:
            app.command(name, help=entry.help)(_not_loaded)
            continue
        command = getattr(importlib.import_module(entry.module), entry.attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, help=entry.help)
        else:
            app.command(name)(command)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run a command line and return its exit status."""
    try:
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe went away; what is left is not written again at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _run(arguments: Sequence[str]) -> int:
    try:
        build(arguments)(args=list(arguments), prog_name="brokergate")
    except Failure as failure:
        print(f"brokergate: {failure}", file=sys.stderr)
        return failure.status
    except KeyboardInterrupt:
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("brokergate", ""):
            raise
        print(f"brokergate: {error.name} is not installed; pip install 'brokergate[server]'", file=sys.stderr)
        return 1
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _not_loaded() -> None:
    raise AssertionError("only the command that was asked for is loaded, and no other can be run")
