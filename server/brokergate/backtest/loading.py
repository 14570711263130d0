"""A strategy by its import path, with what `--set` says of it."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from difflib import get_close_matches
from typing import TypeGuard

from brokergate.backtest.strategy import Strategy
from brokergate.domain.money import parse_decimal

CALLS = ("on_start", "on_update", "on_time", "on_order", "on_fill")
Setting = str | int | Decimal

_integer = re.compile(r"-?[0-9]{1,18}", re.ASCII).fullmatch
_path = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*").fullmatch


class StrategyError(Exception):
    """A strategy that cannot be loaded: names what was given, what is wrong and the way out."""


def parse_settings(texts: Sequence[str]) -> dict[str, Setting]:
    """`NAME=VALUE` each: a whole number is an int, another number a Decimal, anything else stays text."""
    settings: dict[str, Setting] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise StrategyError(f"--set {text!r}: is no setting; write NAME=VALUE, such as quantity=0.5")
        if name in settings:
            raise StrategyError(f"--set {text!r}: {name} was set before; keep one")
        settings[name] = _value(value)
    return settings


def _value(text: str) -> Setting:
    if _integer(text):
        return int(text)
    try:
        return parse_decimal(text)
    except ValueError:
        return text


def load_strategy(path: str, settings: Mapping[str, Setting]) -> Strategy:
    """The strategy `package.module:Class`, made with `settings`. `StrategyError`."""
    if _path(path) is None:
        raise StrategyError(f"--strategy {path!r}: is no import path; write package.module:Class")
    module_name, _, class_name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise StrategyError(
                f"--strategy {path!r}: there is no module {error.name!r}; run in its folder, or set PYTHONPATH"
            ) from None
        raise StrategyError(f"--strategy {path!r}: its module needs {error.name!r}; install that") from error
    except Exception as error:
        raise StrategyError(f"--strategy {path!r}: its module fails with {error!r}; mend it") from error
    made = getattr(module, class_name, None)
    if not inspect.isclass(made):
        names = [
            name
            for name, found in vars(module).items()
            if _is_strategy(found) and found.__module__ == module_name
        ]
        close = get_close_matches(class_name, names, 1) or names
        hint = f"there is {', '.join(close)}" if close else "write one that inherits from Strategy"
        raise StrategyError(f"--strategy {path!r}: {module_name} has no class {class_name!r}; {hint}")
    if not _is_strategy(made):
        lacks = ", ".join(call for call in CALLS if not callable(getattr(made, call, None)))
        raise StrategyError(
            f"--strategy {path!r}: the class lacks {lacks}; inherit from brokergate.backtest.strategy.Strategy"
        )
    return _made(path, made, settings)


def _made(path: str, made: type[Strategy], settings: Mapping[str, Setting]) -> Strategy:
    parameters = inspect.signature(made).parameters
    for name in settings:
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise StrategyError(f"--set {name}: {path} has no setting {name!r}; it has {known}")
    for name, parameter in parameters.items():
        wants = parameter.default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        )
        if wants and name not in settings:
            raise StrategyError(f"--strategy {path!r}: needs its setting {name!r}; add --set {name}=VALUE")
    try:
        return made(**settings)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise StrategyError(
            f"--strategy {path!r}: does not take its settings ({error}); change --set"
        ) from error


def _is_strategy(found: object) -> TypeGuard[type[Strategy]]:
    return inspect.isclass(found) and all(callable(getattr(found, call, None)) for call in CALLS)
