"""What few orders ask for, apart from the rest, so that an order that asks for none of it carries one empty field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from brokergate.domain.orders import SelfTradePrevention
from brokergate.sim.packing import Packer, Unpacker

if TYPE_CHECKING:
    from brokergate.sim.groups import Group
    from brokergate.sim.triggers import Crest

WHOLE = 10**20
"""A trailing distance in per cent is kept in parts of this: eighteen decimals of a per cent are exact."""


class Special:
    """See the module. Zero, False or None is: not asked for."""

    __slots__ = (
        "asleep",
        "auction_ns",
        "crest",
        "display",
        "group",
        "placed",
        "post_only",
        "prevention",
        "quote",
        "reduce_only",
        "slice",
        "trail",
        "trail_share",
    )

    def __init__(self) -> None:
        self.trail = 0
        """How far a trailing stop follows, in ticks."""
        self.trail_share = 0
        """The same as a share of the price, in parts of `WHOLE`."""
        self.post_only = False
        self.reduce_only = False
        self.display = 0
        """How many lots it shows at a time."""
        self.quote = 0
        """Units of the quote currency to spend or raise, instead of a number of lots."""
        self.prevention = SelfTradePrevention.UNSPECIFIED
        self.auction_ns = 0
        """The opening or close that it waits for; 0 once it has come."""
        self.slice = 0
        """What is left of the lots that it shows now."""
        self.asleep = 0
        """Lots of a bracket's leg that wait for the entry; `WorkingOrder.leaves` is what is awake."""
        self.placed = False
        """Whether it is in a place where orders wait: what is set aside for it is set aside."""
        self.group: Group | None = None
        self.crest: Crest | None = None
        """Where a trailing stop waits: the best price that it has seen."""

    def wishes(self) -> dict[str, int]:
        """What was asked for, by name: what a diary writes down. Where it stands since is not among it."""
        asked = {name: int(getattr(self, name)) for name in _WISHES}
        return {name: number for name, number in asked.items() if number}

    def take_over(self, other: Special | None) -> None:
        """Asks for what `other` asks for of what a replace can change."""
        for name in _CHANGEABLE:
            setattr(self, name, 0 if other is None else getattr(other, name))

    def differs(self, other: Special | None) -> bool:
        """Whether `take_over` would change anything."""
        return any(getattr(self, name) != (getattr(other, name) if other else 0) for name in _CHANGEABLE)

    def renewed(self, other: Special | None) -> Special:
        """What it would be after `take_over`, outside its group."""
        new = Special()
        for name in _WISHES:
            setattr(new, name, getattr(self, name))
        new.take_over(other)
        new.crest = self.crest
        return new


_WISHES = (
    "trail",
    "trail_share",
    "post_only",
    "reduce_only",
    "display",
    "quote",
    "prevention",
    "auction_ns",
)
_CHANGEABLE = ("trail", "trail_share", "display")
_FLAGS = frozenset({"post_only", "reduce_only"})


def special_of(wishes: Mapping[str, int]) -> Special | None:
    """What `Special.wishes` wrote; None where nothing was asked for. `KeyError` for a name that there is not."""
    if not wishes:
        return None
    special = Special()
    for name, number in wishes.items():
        if name not in _WISHES:
            raise KeyError(name)
        if name == "prevention":
            special.prevention = SelfTradePrevention(number)
        else:
            setattr(special, name, bool(number) if name in _FLAGS else number)
    return special


def save_special(pack: Packer, specials: Mapping[int, Special]) -> None:
    """Writes down what orders asked for and where it stands, by the order's place in a list. Groups are written by
    `groups.save_groups`."""
    rows = list(specials.items())
    pack.column([place for place, _ in rows])
    for name in _WISHES:
        pack.column([int(getattr(special, name)) for _, special in rows])
    pack.column([special.slice for _, special in rows])
    pack.column([special.asleep for _, special in rows])
    pack.column([special.crest is not None for _, special in rows])
    pack.column([special.crest.price if special.crest else 0 for _, special in rows])


def load_special(kept: Unpacker) -> dict[int, tuple[Special, int | None]]:
    """What `save_special` wrote: with each the best price that a trailing stop has seen."""
    loaded: dict[int, tuple[Special, int | None]] = {}
    for place, *row in kept.columns(len(_WISHES) + 5):
        *wishes, lots, asleep, trailing, best = row
        special = special_of(dict(zip(_WISHES, wishes, strict=True))) or Special()
        special.slice, special.asleep = lots, asleep
        loaded[place] = special, best if trailing else None
    return loaded
