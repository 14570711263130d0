"""Chance whose state is a count: the n-th number depends on the seed and on n alone.

SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014). All arithmetic is
on integers, or one that IEEE 754 defines to the last bit: the same on every machine.
"""

from __future__ import annotations

from decimal import Decimal
from hashlib import blake2b

_MASK = 2**64 - 1
_STEP = 0x9E3779B97F4A7C15
_BITS = 53
_RANGE = 1 << _BITS
_PER_CENT = Decimal(_RANGE) / 100


class Dice:
    """Numbers by a seed and a name: dice of different names know nothing of each other."""

    def __init__(self, seed: int, name: str) -> None:
        self._start = int.from_bytes(blake2b(f"{seed}/{name}".encode(), digest_size=8).digest(), "little")
        self.thrown = 0
        """How many numbers were drawn: set it to go on from there."""

    def whole(self) -> int:
        """The next number, from 0 to 2^53 - 1, each as likely as any other."""
        self.thrown += 1
        mixed = (self._start + self.thrown * _STEP) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        return (mixed ^ (mixed >> 31)) >> (64 - _BITS)

    def uniform(self) -> float:
        """The next number, at least 0 and below 1."""
        return self.whole() / _RANGE

    def below(self, count: int) -> int:
        """A whole number from 0 to `count` - 1."""
        return self.whole() * count >> _BITS

    def strikes(self, rate_percent: Decimal) -> bool:
        """True in `rate_percent` of a hundred cases."""
        return self.whole() < rate_percent * _PER_CENT

    def deviation(self) -> float:
        """About normally distributed, of mean 0 and deviation 1: the sum of twelve uniform numbers less six
        (Irwin-Hall), so that it never exceeds 6 and needs no function of a platform's mathematics library."""
        return sum([self.uniform() for _ in range(12)]) - 6.0
