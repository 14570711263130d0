"""Decimal texts to whole numbers of increments, exactly: digits to integers, no float and no `Decimal` per
level.

The tables are dicts that fill themselves, so a text seen before costs one lookup.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from enum import Enum
from math import gcd
from types import MappingProxyType

from brokergate.domain.money import CONTEXT, half_even, normal

PLACES = 18
"""Decimal places that a text may have (the contract's own limit)."""

MAX_TABLE_ENTRIES = 1 << 17
"""Texts that a table remembers before it starts afresh."""

_plain = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,18})?", re.ASCII).fullmatch


def units(noun: str, text: object) -> int:
    """`text` in units of 10^-18. `ValueError` unless it is a plain decimal without sign (so not `NaN`, not
    `1e5`).
    """
    if not isinstance(text, str) or _plain(text) is None:
        raise ValueError(f"{noun} {str(text)[:64]!r} is not a plain decimal such as 61837.63")
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(PLACES, "0"))


class CommonDivisor(dict[str, int]):
    """Finds the coarsest increment that every text looked up is a whole number of."""

    def __init__(self, noun: str) -> None:
        super().__init__()
        self.noun = noun
        self.divisor = 0
        """In units of 10^-18; 0 until a text other than zero has been seen."""

    def __missing__(self, text: str) -> int:
        value = units(self.noun, text)
        self.divisor = gcd(self.divisor, value)
        if len(self) >= MAX_TABLE_ENTRIES:
            self.clear()
        self[text] = value
        return value

    def increment(self) -> Decimal | None:
        """The increment found, or `None` where no text other than zero was looked up."""
        return normal(CONTEXT.scaleb(Decimal(self.divisor), -PLACES)) if self.divisor else None


class OffIncrement(ValueError):
    """A price or size that is not a whole number of the configured increments."""

    way_out = "leave the increment out to have it found, or set one that all of them are multiples of"


class StepTable(dict[str, int]):
    """`table[text]`: how many increments `text` is. `OffIncrement` when it is not a whole number of them."""

    def __init__(
        self, noun: str, setting: str, increment: Decimal, known: Mapping[str, int] = MappingProxyType({})
    ) -> None:
        """`known` are texts that were looked up before, in units of 10^-18: reading each once is enough."""
        super().__init__()
        self.noun = noun
        self.setting = setting
        self.increment = increment
        self.step = step = int(CONTEXT.scaleb(increment, PLACES))
        for text, value in known.items():
            count, rest = divmod(value, step)
            if not rest:
                self[text] = count

    def __missing__(self, text: str) -> int:
        count, rest = divmod(units(self.noun, text), self.step)
        if rest:
            raise OffIncrement(
                f"{self.noun} {text} is not a whole number of {self.setting} {self.increment:f}"
            )
        if len(self) >= MAX_TABLE_ENTRIES:
            self.clear()
        self[text] = count
        return count


class Rounding(Enum):
    """Where to a number off its increment goes."""

    DOWN = "down"
    UP = "up"
    NEAREST = "nearest"
    """To the even one of two that are equally near."""


class RoundedSteps(dict[str, int]):
    """As `StepTable`, but what is not a whole number of increments is rounded to one."""

    def __init__(self, noun: str, increment: Decimal, rounding: Rounding) -> None:
        super().__init__()
        self.noun = noun
        self.rounding = rounding
        self.step = int(CONTEXT.scaleb(increment, PLACES))

    def __missing__(self, text: str) -> int:
        parts = units(self.noun, text)
        if self.rounding is Rounding.NEAREST:
            count = half_even(parts, self.step)
        else:
            count = parts // self.step if self.rounding is Rounding.DOWN else -(-parts // self.step)
        if len(self) >= MAX_TABLE_ENTRIES:
            self.clear()
        self[text] = count
        return count


def price_table(increment: Decimal, known: Mapping[str, int] = MappingProxyType({})) -> StepTable:
    """Prices to ticks."""
    return StepTable("price", "price_increment", increment, known)


def size_table(increment: Decimal, known: Mapping[str, int] = MappingProxyType({})) -> StepTable:
    """Sizes to lots."""
    return StepTable("size", "quantity_increment", increment, known)
