"""When what goes wrong on purpose does so: by rate and seeded dice, or for a time."""

from __future__ import annotations

from brokergate.domain.faults import ALWAYS, Fault, FaultKind, FaultPlan
from brokergate.sim.dice import Dice

LASTING = frozenset({FaultKind.DISCONNECT, FaultKind.MAINTENANCE})
"""Kinds that last for a time. Where they are to happen always, they begin when they are set and end after their delay,
or with the faults where it is 0; else each command may set them off."""


class Mishaps:
    """The faults in force. Times are the gateway's clock."""

    def __init__(self, seed: int) -> None:
        self.plan = FaultPlan()
        self.dice = Dice(seed, "faults")
        self._by_kind: dict[FaultKind, list[Fault]] = {}
        self._until_ns: dict[FaultKind, int] = {}

    def set(self, plan: FaultPlan) -> None:
        """These take the place of those before, what had been set off too."""
        self.plan = plan
        self._by_kind.clear()
        self._until_ns.clear()
        for fault in plan.faults:
            self._by_kind.setdefault(fault.kind, []).append(fault)

    def struck(self, kind: FaultKind) -> Fault | None:
        """The fault of this kind that happens on the present occasion; None where all goes well. Dice are thrown for
        nothing that is not in force."""
        for fault in self._by_kind.get(kind, ()):
            if fault.rate_percent >= ALWAYS or self.dice.strikes(fault.rate_percent):
                return fault
        return None

    def set_off(self, kind: FaultKind, now_ns: int) -> bool:
        """Whether a command sets off a fault that lasts; from now on it does, for its delay."""
        for fault in self._by_kind.get(kind, ()):
            if fault.rate_percent < ALWAYS and self.dice.strikes(fault.rate_percent):
                self._until_ns[kind] = max(self._until_ns.get(kind, 0), now_ns + fault.delay_ns)
                return True
        return False

    def left_ns(self, kind: FaultKind, now_ns: int) -> int | None:
        """How long a fault that lasts will still do so: 0 for not at all, None for as long as it is in force."""
        left_ns = max(0, self._until_ns.get(kind, 0) - now_ns)
        for fault in self._by_kind.get(kind, ()):
            if fault.rate_percent >= ALWAYS:
                if not fault.delay_ns:
                    return None
                left_ns = max(left_ns, self.plan.since_ns + fault.delay_ns - now_ns)
        return left_ns
