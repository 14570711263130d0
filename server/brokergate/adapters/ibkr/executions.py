"""The executions of one account: what was told of each, in the order in which it was first heard of. No I/O.

TWS tells the day's executions again whenever it is asked, old and new: a connection between it and its venue that was
away brings late what happened early, so that no time parts what was told from what was not. A watermark therefore says
how many this process knew, which process that was, and which ones were there before the account was first looked at:

    3f9c2a17:412|k3jd0a2c,…
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from brokergate.adapters.ibkr.contracts import Contracts
from brokergate.adapters.ibkr.frames import CommissionShown, ExecutionShown
from brokergate.adapters.ibkr.orders import SIDES
from brokergate.adapters.ibkr.values import WireError
from brokergate.domain.errors import BrokerError
from brokergate.domain.fills import FillKind, FillOrigin, Liquidity, Money
from brokergate.domain.orders import Side
from brokergate.domain.values import changed
from brokergate.ports.broker import FillPage, FillReport

LIQUIDITY = {1: Liquidity.MAKER, 2: Liquidity.TAKER}
_DIGEST = 8


@dataclass(frozen=True, slots=True)
class _Mark:
    """A watermark, taken apart."""

    process: str
    count: int
    before: frozenset[str]
    """Digests of the executions that were there before."""


class Executions:
    """See the module. `client_id_of` gives the gateway's client order id of an `orderRef`."""

    def __init__(
        self, contracts: Contracts, client_id_of: Callable[[str, int], str], rng: random.Random
    ) -> None:
        self._contracts = contracts
        self._client_id_of = client_id_of
        self._process = f"{rng.getrandbits(32):08x}"
        self._numbers: dict[str, int] = {}
        """When each was first heard of, by its id: 1, 2, 3 …; those that TWS still tells."""
        self._count = 0
        self._fills: dict[str, FillReport] = {}
        """Those of which the fees are not known yet."""
        self._paid: dict[str, tuple[Money, ...]] = {}
        """What those cost that TWS still tells."""
        self._before: frozenset[str] = frozenset()
        """Digests of those that were there before the account, as far as TWS still tells them."""

    def told(self, shown: ExecutionShown) -> FillReport | None:
        """One execution as it happened; None for the correction of one that is not the gateway's to tell."""
        self._number(shown.execution_id)
        if self._was_before(shown.execution_id):
            return None
        fill = self._report(shown, FillOrigin.LIVE)
        if not fill.fees_final:
            self._fills[fill.execution_id] = fill
        return fill

    def paid(self, shown: CommissionShown) -> FillReport | None:
        """What an execution cost; the execution again, with that, where it was told without."""
        if not self._learn(shown):
            return None
        fill = self._fills.pop(shown.execution_id, None)
        return None if fill is None else changed(fill, fees=self._paid[shown.execution_id], fees_final=True)

    def _learn(self, shown: CommissionShown) -> bool:
        """Takes note of what an execution cost; whether that is said."""
        if shown.amount is None or not shown.currency:
            return False
        self._paid[shown.execution_id] = (Money(shown.amount, shown.currency),)
        return True

    def page(
        self, watermark: str, shown: Sequence[ExecutionShown], costs: Sequence[CommissionShown]
    ) -> FillPage:
        """The executions after a watermark, of all that TWS tells. Raises a `BrokerError`."""
        mark = _read(watermark)
        known = mark.count if mark.process == self._process else 0
        for cost in costs:
            self._learn(cost)
        digests = {each.execution_id: _digest(each.execution_id) for each in shown}
        self._forget(digests)
        fills = []
        # A correction that was told when what it corrects was not stands for itself: told after it, that would count
        # beside it.
        overtaken = {before for each in shown for before in corrected(each.execution_id)}
        self._before = mark.before
        for each in sorted(shown, key=lambda execution: (execution.time_ns, execution.execution_id)):
            number = self._number(each.execution_id)
            if self._was_before(each.execution_id):
                continue
            # One whose fees were not known when it was told is told again, now that they are.
            late = each.execution_id in self._fills and each.execution_id in self._paid
            if late or (number > known and each.execution_id not in overtaken):
                fill = self._report(each, FillOrigin.BACKFILL)
                if fill.fees_final:
                    self._fills.pop(each.execution_id, None)
                else:
                    self._fills[each.execution_id] = fill
                fills.append(fill)
        still = frozenset(digests.values()) | {_digest(each) for each in overtaken}
        before = mark.before & still if watermark else still
        written = f"{self._process}:{self._count}|{','.join(sorted(before))}"
        return FillPage(fills, written, complete=True)

    def _number(self, execution_id: str) -> int:
        if execution_id not in self._numbers:
            self._count += 1
            self._numbers[execution_id] = self._count
        return self._numbers[execution_id]

    def _was_before(self, execution_id: str) -> bool:
        """Whether it, or what it corrects, was there before the account: its position has it."""
        if not self._before:
            return False
        return any(_digest(each) in self._before for each in (execution_id, *corrected(execution_id)))

    def _forget(self, told: dict[str, str]) -> None:
        """Drops those that TWS does not tell any more: they are of another day."""
        for of in (self._numbers, self._fills, self._paid):
            for execution_id in [each for each in of if each not in told]:
                del of[execution_id]

    def _report(self, shown: ExecutionShown, origin: FillOrigin) -> FillReport:
        side = SIDES.get(shown.side, Side.UNSPECIFIED)
        if side is Side.UNSPECIFIED:
            raise WireError(f"an execution's side is {shown.side!r}")
        listed = self._contracts.by_id(shown.contract.con_id)
        corrects = corrected(shown.execution_id)
        fees = self._paid.get(shown.execution_id)
        return FillReport(
            client_order_id=self._client_id_of(shown.order_ref, shown.perm_id),
            broker_order_id=str(shown.perm_id),
            execution_id=shown.execution_id,
            symbol=self._contracts.symbol(shown.contract),
            side=side,
            quantity=shown.quantity,
            price=shown.price if listed is None else listed.from_venue(shown.price),
            fees=fees or (),
            liquidity=LIQUIDITY.get(shown.liquidity, Liquidity.UNSPECIFIED),
            event_time_ns=shown.time_ns,
            fees_final=fees is not None,
            origin=origin,
            kind=FillKind.CORRECTION if corrects else FillKind.NORMAL,
            corrects=corrects,
        )


def corrected(execution_id: str) -> tuple[str, ...]:
    """The ids under which an execution was told before it was corrected, the latest first: the last part of its id
    counts the corrections, from 01 (tws-api/executions_commissions.html)."""
    stem, _, count = execution_id.rpartition(".")
    if not stem or not count.isdecimal():
        return ()
    return tuple(f"{stem}.{number:0{len(count)}}" for number in range(int(count) - 1, 0, -1))


def _digest(execution_id: str) -> str:
    return base64.b32encode(hashlib.sha256(execution_id.encode()).digest()).decode()[:_DIGEST].lower()


def _read(watermark: str) -> _Mark:
    if not watermark:
        return _Mark("", 0, frozenset())
    position, bar, before = watermark.partition("|")
    process, colon, count = position.partition(":")
    if not bar or not colon or not count.isdecimal():
        raise BrokerError(f"it is no watermark of Interactive Brokers': {watermark[:64]}")
    return _Mark(process, int(count), frozenset(part for part in before.split(",") if part))
