"""Everything that an object is made of, as plain values that compare: for tests that ask whether two are the same.

It knows nothing of how state is kept, so that what was forgotten there is missed here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from random import Random

IGNORED = frozenset({"diary", "_prices", "_ends", "next_ns", "_judged", "calendar", "_widest"})
"""What is written down, what is only remembered to be quick, and a heap of what every order says itself."""
UNORDERED = frozenset({"sizes", "positions", "told", "levels", "closers", "_reducers"})
Plain = object


def portrait(thing: object, ignored: frozenset[str] = IGNORED) -> Plain:
    """The values of `thing`, all the way down; one that was met before is named by when it was met."""
    return _portrait(thing, ignored, {})


def difference(first: object, second: object, ignored: frozenset[str] = IGNORED) -> str:
    """Where two differ, as a path, with both values; empty where they are the same."""
    return _difference(portrait(first, ignored), portrait(second, ignored), "")


def _difference(first: Plain, second: Plain, path: str) -> str:
    if isinstance(first, list | tuple) and isinstance(second, list | tuple) and len(first) == len(second):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            name = one[0] if isinstance(one, tuple) and one else number
            if found := _difference(one, other, f"{path}/{name}"):
                return found
        return ""
    return "" if first == second else f"{path}: {str(first)[:300]} and {str(second)[:300]}"


def _portrait(thing: object, ignored: frozenset[str], met: dict[int, int]) -> Plain:
    if thing is None or isinstance(thing, str | int | float | bytes | Decimal | Enum):
        return thing
    if isinstance(thing, Random):
        return thing.getstate()
    if callable(thing):
        return "callable"
    if not isinstance(thing, tuple | frozenset):
        if id(thing) in met:
            return f"met as {met[id(thing)]}"
        met[id(thing)] = len(met)
    if isinstance(thing, Mapping):
        return [
            (_portrait(key, ignored, met), _portrait(value, ignored, met)) for key, value in thing.items()
        ]
    if isinstance(thing, set | frozenset):
        return sorted(map(repr, thing))
    if isinstance(thing, list | tuple | deque):
        return [_portrait(element, ignored, met) for element in thing]
    return type(thing).__name__, [
        (name, _portrait(_value(thing, name), ignored, met)) for name in _names(thing) if name not in ignored
    ]


def _value(thing: object, name: str) -> object:
    """An attribute. Levels by price are looked up and never gone through: they come in any order."""
    value = getattr(thing, name)
    if name in UNORDERED and isinstance(value, dict):
        return tuple(sorted(value.items(), key=lambda item: item[0]))
    return value


def _names(thing: object) -> list[str]:
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return sorted({*slots, *getattr(thing, "__dict__", {})})
