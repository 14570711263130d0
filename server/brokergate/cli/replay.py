"""`brokergate replay`: orders or a strategy against a recorded or a made-up market, and a page about it."""

from __future__ import annotations

import json
import sys
import traceback
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.cli.failure import Failure
from brokergate.cli.options import ConfigFiles, configuration
from brokergate.config import ConfigError, Overrides
from brokergate.config.accounts import PAPER

DEMO = "brokergate.backtest.examples:MarketMaker"


def replay(
    config: ConfigFiles = [],  # noqa: B006, typer copies it
    account: Annotated[
        str, typer.Option(metavar="ID", help="Of the paper accounts; default: the only one.")
    ] = "",
    tape: Annotated[
        list[Path],
        typer.Option(metavar="FILE", help="A recording to play; several are one tape."),
    ] = [],  # noqa: B006
    paper: Annotated[
        list[str],
        typer.Option(
            metavar="KEY=VALUE", help="A setting of the paper account, such as taker_fee_percent=0.1."
        ),
    ] = [],  # noqa: B006
    orders: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Orders to give: CSV with a heading, or JSON lines (.jsonl)."),
    ] = None,
    strategy: Annotated[
        str, typer.Option(metavar="MODULE:CLASS", help="A strategy to run, by its import path.")
    ] = "",
    settings: Annotated[
        list[str], typer.Option("--set", metavar="NAME=VALUE", help="A setting of the strategy.")
    ] = [],  # noqa: B006
    demo: Annotated[bool, typer.Option("--demo", help=f"Run the example {DEMO}.")] = False,
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Where to end: an ISO time, or an offset (+90s).")
    ] = "",
    duration: Annotated[str, typer.Option(metavar="SPAN", help="How long to play: 90s, 15m, 2h.")] = "",
    seed: Annotated[
        int,
        typer.Option(
            min=0, help="Of the strategy's dice, and of a synthetic market without a seed of its own."
        ),
    ] = 0,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page for people, HTML.")
    ] = None,
    as_json: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write all results for programs.")
    ] = None,
) -> None:
    """Give orders, or run a strategy, against a market without a server, through the paper account's own venue.

    Without --config and --tape the market makes itself up. The same inputs give the same bytes.

    Try: brokergate replay --demo --report out.html
    """
    given = [
        name for name, value in (("--orders", orders), ("--strategy", strategy), ("--demo", demo)) if value
    ]
    if len(given) != 1:
        found = f"{' and '.join(given)} are given" if given else "there is nothing to run"
        raise Failure(f"{found}; give one of --orders FILE, --strategy MODULE:CLASS, --demo", status=2)
    if settings and orders is not None:
        raise Failure("--set is for a strategy, and there is none; remove it, or give --strategy", status=2)
    if until and duration:
        raise Failure("--until and --duration both say where to end; keep one", status=2)
    paper_config = _account(config, account, tape, paper)
    if paper_config.faults:
        raise Failure("a replay plays no faults, and the account has some; add --paper 'faults=[]'", status=2)

    # What plays and draws is loaded after what may be wrong with the options.
    from brokergate.adapters.paper.opening import account_terms
    from brokergate.backtest import results
    from brokergate.backtest.line import line_of
    from brokergate.backtest.loading import StrategyError, load_strategy, parse_settings
    from brokergate.backtest.market import open_market
    from brokergate.backtest.orders_file import OrdersFileError, read_orders
    from brokergate.backtest.page import render
    from brokergate.backtest.runner import Run, RunawayStrategy, StrategyFailed
    from brokergate.sim.feeds.tape import TapeError

    try:
        market = open_market(paper_config, seed)
        until_ns = _end(until, duration, market.start_ns)
        script = (
            None
            if orders is None
            else read_orders(orders, tuple(i.symbol for i in market.instruments), market.start_ns)
        )
        path = DEMO if demo else strategy
        # As `python -m` does: a strategy in the present folder is found.
        sys.path.insert(0, "")
        loaded = load_strategy(path, parse_settings(settings)) if path else None
        run = Run(
            market,
            account_terms(paper_config, market.survey),
            script=script or (),
            strategy=loaded,
            line=line_of(paper_config.link),
            until_ns=until_ns,
            seed=seed,
        )()
    except (
        TapeError,
        OrdersFileError,
        StrategyError,
        StrategyFailed,
        RunawayStrategy,
        ValueError,
        OSError,
    ) as error:
        if isinstance(error, StrategyFailed):
            _show_cause(error)
        raise Failure(str(error)) from None
    inputs = {"market": market.name}
    inputs |= (
        {"orders": orders.name} if orders is not None else {"strategy": path, "settings": ", ".join(settings)}
    )
    inputs["seed"] = str(seed)
    document = results.document(run, inputs, _told(paper_config))
    for line in summary(document):
        print(line)
    if as_json is not None:
        _write(as_json, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
    if report is not None:
        _write(report, render(run, document))


def _account(files: list[Path], account: str, tape: list[Path], paper: list[str]) -> PaperTradingConfig:
    """The settings of the paper account that is meant, with what the options say over them."""
    documents = [_document(text, account or PAPER) for text in paper]
    if tape:
        if files:
            raise Failure("--tape and --config both name a market; keep one", status=2)
        feed = {"feed": {"tape": [str(path) for path in tape]}}
        documents.append((f"--tape {tape[0]}", _under(account or PAPER, feed)))
    try:
        found = configuration(files, Overrides(documents=tuple(documents)))
    except ConfigError as error:
        raise Failure(f"the configuration cannot be used\n{error}", status=2) from None
    names = [name for name, settings in found.accounts.items() if settings.broker == PAPER]
    if account and account not in names:
        raise Failure(
            f"--account {account!r}: there is no such paper account; there are {', '.join(names)}", status=2
        )
    if not account and len(names) != 1:
        raise Failure(
            f"there are {len(names)} paper accounts ({', '.join(names)}); give --account ID", status=2
        )
    return found.accounts[account or names[0]].settings(PaperTradingConfig)


def _document(text: str, account: str) -> tuple[str, str]:
    """`a.b=value` as a YAML document of the account's section."""
    key, equals, value = text.partition("=")
    names = key.split(".")
    if not equals or not all(name.isidentifier() for name in names):
        raise Failure(
            f"--paper {text!r}: is no setting; write KEY=VALUE, such as taker_fee_percent=0.1", status=2
        )
    nested: Any = None
    for depth, name in enumerate(reversed(names)):
        nested = f"{{{name}: {nested if depth else value}}}"
    return f"--paper {text}", f"accounts: {{{account}: {{paper: {nested}}}}}"


def _under(account: str, section: object) -> str:
    """A YAML document that holds `section` as the account's."""
    return json.dumps({"accounts": {account: {"paper": section}}})


def _end(until: str, duration: str, start_ns: int) -> int | None:
    from brokergate.backtest.times import moment_ns, span_ns

    option, text = ("--until", until) if until else ("--duration", duration)
    if not text:
        return None
    try:
        end_ns = moment_ns(until, start_ns) if until else start_ns + span_ns(duration)
    except ValueError as error:
        raise Failure(f"{option}: {error}", status=2) from None
    if end_ns <= start_ns:
        raise Failure(
            f"{option}: {text!r} is not after the market's start, {start_ns} ns since 1970; give a later time",
            status=2,
        )
    return end_ns


def _told(paper: PaperTradingConfig) -> dict[str, object]:
    """The account's settings as they are told: what is not set is left out, and paths are without their folders."""
    told = paper.model_dump(exclude_none=True)
    feed = told["feed"]
    if feed.get("tape"):
        feed["tape"] = [Path(path).name for path in feed["tape"]]
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: object) -> object:
    """A setting for JSON, as a configuration writes it: enums by their names, amounts in plain digits."""
    match value:
        case IntEnum():
            return value.name.lower()
        case Enum():
            return value.value
        case Decimal():
            return format(value, "f")
        case bool() | int() | str() | None:
            return value
        case dict():
            return {str(_plain(key)): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def summary(document: dict[str, Any]) -> list[str]:
    """A run in a few lines."""
    found = document["summary"]
    base, fall = found["base_currency"], found["drawdown"]
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in found["outcomes"].items() if count)
    costs = [
        f"{cost['execution']} {currency} ({_rounded(cost['execution_bps'])} bps)"
        for currency, cost in found["slippage"].items()
    ]
    return [
        f"{'market':10}{document['inputs']['market']}, {document['start']} to {document['end']}",
        f"{'orders':10}{found['orders']}{f' ({outcomes})' if outcomes else ''}",
        f"{'fills':10}{found['fills']}, of which {found['maker_fills']} as maker",
        f"{'equity':10}{found['start_equity']} to {found['end_equity']} {base}",
        f"{'drawdown':10}{fall['amount'] if fall else 0} {base}",
        f"{'fees':10}{', '.join(f'{amount} {currency}' for currency, amount in found['fees'].items()) or 0}",
        f"{'slippage':10}{', '.join(costs) or 0}",
        *(f"{'notice':10}{time_text}: {message}" for time_text, message in document["notices"]),
    ]


def _rounded(bps: str | None) -> str:
    return "?" if bps is None else f"{Decimal(bps):.2f}"


def _show_cause(error: BaseException) -> None:
    """Where in a strategy's own code it failed."""
    if error.__cause__ is not None:
        traceback.print_exception(error.__cause__)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise Failure(f"{path}: cannot be written ({error.strerror})") from None
