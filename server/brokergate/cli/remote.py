"""Commands that talk to a running gateway: how they reach it, how they print, how they end."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from brokergate.cli.failure import Failure
from brokergate.cli.output import Output
from brokergate_client import (
    ClosedError,
    DeadlineError,
    Gateway,
    GatewayError,
    OutcomeUnknownError,
    Tls,
    UnavailableError,
)

UNREACHABLE = 3
"""Exit status: the gateway did not answer, or does not know itself, so that an order may or may not be placed."""

INTERRUPTED = 130
"""Exit status after Ctrl+C: 128 and the signal's number, as shells have it."""

CONNECT_TIMEOUT_S = 3.0
"""A person waits; a gateway that is up answers at once."""

Address = Annotated[
    str, typer.Option(envvar="BROKERGATE_ADDRESS", metavar="HOST:PORT", help="Where the gateway listens.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Holds the access token; else BROKERGATE_TOKEN, from the environment."),
]
UseTls = Annotated[bool, typer.Option("--tls", envvar="BROKERGATE_TLS", help="Encrypt.")]
CaFile = Annotated[
    Path | None,
    typer.Option(
        envvar="BROKERGATE_CA_FILE", metavar="FILE", help="Encrypt, and trust this authority (PEM)."
    ),
]
CertificateFile = Annotated[
    Path | None,
    typer.Option(
        envvar="BROKERGATE_CERTIFICATE_FILE", metavar="FILE", help="Own certificate (PEM), for mTLS."
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(envvar="BROKERGATE_KEY_FILE", metavar="FILE", help="Its private key (PEM)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="A JSON object a line; decimals are strings.")]


@dataclass(frozen=True, slots=True)
class Remote:
    """What a command is given besides its own arguments."""

    gateway: Gateway
    output: Output


def _shared(
    address: Address = "127.0.0.1:50051",
    token_file: TokenFile = None,
    tls: UseTls = False,
    ca_file: CaFile = None,
    certificate_file: CertificateFile = None,
    key_file: KeyFile = None,
) -> Gateway:
    """The gateway that these options name, which every command takes."""
    wanted = tls or ca_file is not None or certificate_file is not None
    try:
        return Gateway.connect(
            address,
            token=_token(token_file),
            tls=Tls(ca_file, certificate_file, key_file) if wanted else None,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            client_name="brokergate-cli",
        )
    except ValueError as error:
        raise Failure(str(error), status=2) from None


def _token(file: Path | None) -> str | None:
    """The token of `file` or of the environment. Never an argument: the list of processes shows those to everybody."""
    if file is None:
        return os.environ.get("BROKERGATE_TOKEN") or None
    try:
        return file.read_text("utf-8").strip()
    except OSError as error:
        raise Failure(f"--token-file {file} cannot be read ({error.strerror})", status=2) from None
    except UnicodeDecodeError:
        raise Failure(f"--token-file {file} is not text; it should hold one token", status=2) from None


def command(body: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a command of `async def body(remote, …)`: its own parameters first, then those of every such command."""
    own = list(inspect.signature(body, eval_str=True).parameters.values())[1:]
    shared = list(inspect.signature(_shared, eval_str=True).parameters.values())
    as_json = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)

    @wraps(body)
    def run(**arguments: Any) -> None:
        gateway = _shared(**{parameter.name: arguments.pop(parameter.name) for parameter in shared})
        output = Output.json() if arguments.pop("as_json") else Output.text()
        _finish(_connected(body, gateway, output, arguments), gateway.address)

    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own + shared]
    run.__signature__ = inspect.Signature([*parameters, as_json])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*parameters, as_json)}
    return run


async def _connected(
    body: Callable[..., Coroutine[Any, Any, None]],
    gateway: Gateway,
    output: Output,
    arguments: dict[str, Any],
) -> None:
    async with gateway:
        await body(Remote(gateway, output), **arguments)


def _finish(work: Coroutine[Any, Any, None], address: str) -> None:
    """Run to the end, and turn what people and pipes do into exit statuses."""
    try:
        asyncio.run(_interruptible(work))
        sys.stdout.flush()
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The reader of the pipe has what it wanted. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (UnavailableError, DeadlineError, ClosedError, OutcomeUnknownError) as error:
        raise Failure(f"gateway {address}: {error}", status=UNREACHABLE) from None
    except GatewayError as error:
        raise Failure(explain(error)) from None
    except (ValueError, OSError) as error:
        raise Failure(str(error), status=2) from None


async def _interruptible(work: Coroutine[Any, Any, None]) -> None:
    """`work`, cancelled by Ctrl+C. The handler stays until the process ends: an impatient second Ctrl+C, or the one
    that `timeout` sends to the whole group, finds a program that is ending already and leaves no traceback."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(task.cancel)

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)
    await work


def explain(error: GatewayError) -> str:
    """An error in one line: the reason, the message, and the fields that are not in the message."""
    fields = [f"{v.field}: {v.description}" for v in error.violations if v.description not in error.message]
    return "; ".join([" ".join(str(error).split()), *fields])
