"""Charges an instrument's executions by a schedule of fees (`sim/fees.py`), in whole units of its quote currency."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from brokergate.domain.instruments import Instrument
from brokergate.domain.money import CONTEXT, half_even, multiply
from brokergate.sim.fees import AT_PAR, Commission, FeeSchedule, Tier, TierBasis, currency_places
from brokergate.sim.orders import WorkingOrder
from brokergate.sim.packing import Packer, Unpacker

_FINE = 40
"""Places below a unit in which a fee adds up before it is rounded: a rate of 18 places, of a lot of 18."""
_ONE: int = 10**_FINE
_VOLUME_PLACES = 38
"""What volumes count in: 10^-38 of a currency or of a share, so that every execution counts exactly."""
_DAY_NS = 86_400_000_000_000
_DAYS = 30
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Volumes:
    """What an account traded: by UTC day, for each currency (dollars together) and in units of quantity."""

    def __init__(self) -> None:
        self._days: dict[str, dict[int, int]] = {}

    @property
    def latest(self) -> int:
        """The last day on which anything was traded; 0 before."""
        return max([max(days) for days in self._days.values()], default=0)

    def add(self, name: str, day: int, amount: int) -> None:
        """`amount` more of `name` was traded on `day`."""
        days = self._days.setdefault(name, {})
        if day not in days:
            for old in [old for old in days if old <= day - 32]:
                del days[old]
        days[day] = days.get(day, 0) + amount

    def since(self, name: str, day: int) -> int:
        """What was traded of `name` on `day` and later."""
        return sum([amount for at, amount in self._days.get(name, {}).items() if at >= day])

    def save(self, pack: Packer) -> None:
        """Writes the volumes down."""
        pack.put(len(self._days))
        for name, days in self._days.items():
            pack.put(name)
            pack.column(list(days))
            pack.column(list(days.values()))

    def load(self, kept: Unpacker) -> None:
        """Takes up what `save` wrote."""
        self._days = {}
        for _ in range(kept.integer()):
            name = kept.text()
            self._days[name] = dict(zip(kept.column(), kept.column(), strict=True))


class PlainCharges:
    """Two rates in per cent: each execution is rounded by itself."""

    def __init__(self, schedule: FeeSchedule, currency: str, places: int) -> None:
        self._taker = Commission(schedule.taker_percent, currency, places)
        self._maker = Commission(schedule.maker_percent, currency, places)

    def charge(self, order: WorkingOrder, notional: int, lots: int, time_ns: int, *, maker: bool) -> int:
        """The fee of an execution that has just come about."""
        return (self._maker if maker else self._taker).of(notional)

    def estimate(self, order: WorkingOrder, parts: Sequence[tuple[int, int]]) -> int:
        """What taking `parts` (notional, lots) would cost."""
        of = self._taker.of
        return sum([of(notional) for notional, _ in parts])

    def at_most(self, side: int, notional: int, lots: int) -> int:
        """What is set aside for an order that rests: the dearer rate, rounded up."""
        return max(0, self._taker.at_most(notional), self._maker.at_most(notional))


class OrderCharges:
    """Everything else: what counts is the order. Each execution costs what it adds to the order's fee.

    The bill of an order is what its executions came to: fine fee, notional, lots, and what was charged.
    """

    def __init__(
        self, schedule: FeeSchedule, instrument: Instrument, currency: str, places: int, volumes: Volumes
    ) -> None:
        self._schedule = schedule
        self._volumes = volumes
        self._step: int = int(10 ** (places - currency_places(currency))) * _ONE
        self._places = places
        self._lot = instrument.quantity_increment
        rates = Tier(
            CONTEXT.create_decimal(0), schedule.taker_percent, schedule.maker_percent, schedule.per_unit
        )
        self._tiers = [
            (
                int(CONTEXT.scaleb(tier.above, _VOLUME_PLACES)),
                self._fraction(tier.taker_percent),
                self._fraction(tier.maker_percent),
                self._a_lot(tier.per_unit),
            )
            for tier in (rates, *schedule.tiers)
        ]
        self._minimum = self._fine(schedule.minimum)
        self._maximum = None if schedule.maximum is None else self._fine(schedule.maximum)
        cap = schedule.maximum_percent
        self._cap = None if cap is None else self._fraction(cap)
        self._fixed = self._fine(schedule.fixed)
        self._levy = self._a_lot(schedule.levy_per_unit)
        self._sell_share = self._fraction(schedule.sell_levy_percent)
        self._sell_lot = self._a_lot(schedule.sell_levy_per_unit)
        most = schedule.sell_levy_maximum
        self._sell_most = None if most is None else self._fine(most)
        by_quantity = schedule.basis is TierBasis.QUANTITY_MONTH
        self._counts = "quantity" if by_quantity else "USD" if currency in AT_PAR else currency
        self._by_quantity = by_quantity
        self._lot_volume = int(CONTEXT.scaleb(self._lot, _VOLUME_PLACES))
        self._unit_volume: int = int(10 ** (_VOLUME_PLACES - places))

    def charge(self, order: WorkingOrder, notional: int, lots: int, time_ns: int, *, maker: bool) -> int:
        """The fee of an execution that has just come about: what it adds to the order's."""
        bill = order.bill
        if bill is None:
            bill = order.bill = [0, 0, 0, 0]
        _, taker_share, maker_share, a_lot = self._rates(time_ns // _DAY_NS)
        bill[0] += notional * (maker_share if maker else taker_share) + lots * a_lot
        bill[1] += notional
        bill[2] += lots
        fee = self._of(order.side, bill[0], bill[1], bill[2]) - bill[3]
        bill[3] += fee
        if len(self._tiers) > 1:
            amount = lots * self._lot_volume if self._by_quantity else notional * self._unit_volume
            self._volumes.add(self._counts, time_ns // _DAY_NS, amount)
        return fee

    def estimate(self, order: WorkingOrder, parts: Sequence[tuple[int, int]]) -> int:
        """What taking `parts` (notional, lots) would add to the order's fee, in the tier of the last execution."""
        if not parts:
            return 0
        fine, notional, lots, charged = order.bill or (0, 0, 0, 0)
        _, share, _, a_lot = self._rates(self._volumes.latest)
        for part, size in parts:
            fine += part * share + size * a_lot
            notional += part
            lots += size
        return self._of(order.side, fine, notional, lots) - charged

    def at_most(self, side: int, notional: int, lots: int) -> int:
        """What is set aside for an order that rests: the dearest rates, and all that an order pays once."""
        fine = max([max(0, taker, maker) * notional + a_lot * lots for _, taker, maker, a_lot in self._tiers])
        fine = max(fine, self._minimum) + self._fixed + self._levies(side, notional, lots)
        return -(-fine // self._step) * (self._step // _ONE)

    def _rates(self, day: int) -> tuple[int, int, int, int]:
        """Those of the account's tier, by what it traded before this execution."""
        tiers = self._tiers
        if len(tiers) == 1:
            return tiers[0]
        first = _month_begin(day) if self._by_quantity else day - _DAYS + 1
        volume = self._volumes.since(self._counts, first)
        return next(tier for tier in reversed(tiers) if volume >= tier[0])

    def _of(self, side: int, fine: int, notional: int, lots: int) -> int:
        """The fee of an order, in units."""
        if fine < self._minimum:
            fine = self._minimum
        if self._maximum is not None:
            fine = min(fine, self._maximum)
        if self._cap is not None:
            fine = min(fine, notional * self._cap)
        fine += self._fixed
        step = self._step
        steps = half_even(fine, step) - (-self._levies(side, notional, lots) // step)
        return steps * (step // _ONE)

    def _levies(self, side: int, notional: int, lots: int) -> int:
        levies = self._levy * lots
        if side < 0:
            by_lot = self._sell_lot * lots
            levies += notional * self._sell_share
            levies += by_lot if self._sell_most is None else min(by_lot, self._sell_most)
        return levies

    def _fine(self, amount: Decimal) -> int:
        """An amount of the currency, in fine units."""
        return int(CONTEXT.scaleb(amount, self._places + _FINE))

    def _fraction(self, percent: Decimal) -> int:
        """What a rate in per cent makes of one unit, in fine units."""
        return int(CONTEXT.scaleb(percent, _FINE - 2))

    def _a_lot(self, per_unit: Decimal) -> int:
        return self._fine(multiply(per_unit, self._lot))


Charges = PlainCharges | OrderCharges


def charges(
    schedule: FeeSchedule, instrument: Instrument, currency: str, places: int, volumes: Volumes
) -> Charges:
    """What charges executions of `instrument`, paid in `currency`, which counts to `places`."""
    schedule = schedule.of_kind(instrument.kind)
    if schedule.plain:
        return PlainCharges(schedule, currency, places)
    return OrderCharges(schedule, instrument, currency, places, volumes)


def _month_begin(day: int) -> int:
    return day - (_EPOCH + timedelta(days=day)).day + 1
