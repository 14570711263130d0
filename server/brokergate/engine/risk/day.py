"""The loss of the day: what the account's positions have made since midnight, in the limit's currency.

Counted is realised plus unrealised profit less fees, by currency, against what it was at the day's start. So neither
deposits nor what was made before today counts, and a currency is converted only by what it moved today. Positions are
valued at their last quote, however old: a holding in a closed market is worth its last price, and must not keep the
account from trading another one.
"""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.errors import ErrorReason
from brokergate.domain.fills import Money
from brokergate.domain.money import ZERO, add, multiply, subtract
from brokergate.domain.policy import StopCause
from brokergate.engine.risk.breach import Breach, NoReference, shown, shown_money
from brokergate.engine.risk.prices import Prices
from brokergate.ports.clock import Clock

LOOK_NS = 100_000_000
"""How long a look at the loss is good for an order, unless a position changed: to value every position for every order
would make an order's cost grow with their number."""

_SECOND_NS = 1_000_000_000


class DayLoss:
    """The loss of the day against its limit. `record` is what `changed_record` gave last; None at first.

    Once the limit is reached it stays so until the day ends, whatever the market does.
    """

    def __init__(self, limit: Money, zone: str, prices: Prices, clock: Clock, record: str | None) -> None:
        self._limit = limit
        self._zone = ZoneInfo(zone)
        self._prices = prices
        self._clock = clock
        self._positions: dict[str, BrokerPosition] = {}
        self._day: date | None = None
        self._ends_ns = 0
        self._baseline: dict[str, Decimal] | None = None
        self._reached: Decimal | None = None
        self._changed = False
        self._looked_ns: int | None = None
        if record is not None:
            self._take_up(record)

    def tell(self, position: BrokerPosition) -> None:
        """The absolute word on one position."""
        self._positions[position.symbol] = position
        self._looked_ns = None

    def begin(self) -> None:
        """Counts from now on: the account was made anew, or learned of what happened before."""
        self._day = None
        self._looked_ns = None

    def breach(self) -> Breach | None:
        """Whether the limit is reached, as of a moment ago. `NoReference` where that cannot be told."""
        now_ns = self._clock.monotonic_ns()
        looked_ns = self._looked_ns
        if looked_ns is None or now_ns - looked_ns >= LOOK_NS or self._clock.now_ns() >= self._ends_ns:
            return self.look()
        return self._told()

    def look(self) -> Breach | None:
        """Whether the limit is reached, as of now. `NoReference` where that cannot be told."""
        self._looked_ns = None
        now_ns = self._clock.now_ns()
        if self._day is None or now_ns >= self._ends_ns:
            self._begin_day(now_ns)
        if self._reached is None:
            worth = self._worth()
            if self._baseline is None:
                self._baseline, self._changed = worth, True
            loss = self._loss(self._baseline, worth)
            if loss >= self._limit.amount:
                self._reached, self._changed = loss, True
        self._looked_ns = self._clock.monotonic_ns()
        return self._told()

    def changed_record(self) -> str | None:
        """What must survive a restart, where it changed since the last call; None otherwise."""
        if not self._changed or self._day is None or self._baseline is None:
            return None
        self._changed = False
        record: dict[str, object] = {
            "day": self._day.isoformat(),
            "worth": {currency: shown(amount) for currency, amount in self._baseline.items()},
        }
        if self._reached is not None:
            record["loss"] = shown(self._reached)
            record["currency"] = self._limit.currency
        return json.dumps(record)

    def _take_up(self, record: str) -> None:
        """Goes on with the day of the record, where it is still that day. A limit that was raised since, or is of
        another currency, is no longer reached for having been."""
        try:
            told = json.loads(record)
            day = date.fromisoformat(told["day"])
            worth = {currency: Decimal(amount) for currency, amount in told["worth"].items()}
            loss = Decimal(told["loss"]) if "loss" in told else None
        except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"the journal's record of the day's loss cannot be read: {record!r}") from error
        now_ns = self._clock.now_ns()
        if day != self._date(now_ns):
            return
        self._begin_day(now_ns)
        self._baseline = worth
        if loss is not None and told.get("currency") == self._limit.currency and loss >= self._limit.amount:
            self._reached = loss

    def _begin_day(self, now_ns: int) -> None:
        self._day = self._date(now_ns)
        # A midnight that daylight saving leaves out is the moment of the change; one that it repeats is the first.
        midnight = datetime.combine(self._day + timedelta(days=1), time(), self._zone)
        self._ends_ns = int(midnight.timestamp()) * _SECOND_NS
        self._baseline = self._reached = None

    def _date(self, now_ns: int) -> date:
        return datetime.fromtimestamp(now_ns // _SECOND_NS, self._zone).date()

    def _worth(self) -> dict[str, Decimal]:
        """What the positions have made until now, by currency."""
        worth: dict[str, Decimal] = {}
        for position in self._positions.values():
            made = position.realized_pnl
            if position.quantity:
                value = multiply(multiply(self._price(position), position.quantity), position.multiplier)
                made = add(made, subtract(value, position.cost))
            currency = position.quote_currency
            worth[currency] = add(worth.get(currency, ZERO), made)
            for fee in position.fees:
                worth[fee.currency] = subtract(worth.get(fee.currency, ZERO), fee.amount)
        return worth

    def _price(self, position: BrokerPosition) -> Decimal:
        price = self._prices.last_reference(position.symbol)
        if price is None:
            price = position.mark_price
        if price is None:
            raise NoReference(
                f"a price of {position.symbol}, which is held, and there is none yet; wait for one"
            )
        return price

    def _loss(self, before: dict[str, Decimal], now: dict[str, Decimal]) -> Decimal:
        loss = ZERO
        for currency in dict.fromkeys((*before, *now)):
            lost = subtract(before.get(currency, ZERO), now.get(currency, ZERO))
            if lost:
                loss = add(loss, self._prices.convert_at_last(lost, currency, self._limit.currency))
        return loss

    def _told(self) -> Breach | None:
        if self._reached is None:
            return None
        until = datetime.fromtimestamp(self._ends_ns // _SECOND_NS, self._zone).strftime("%Y-%m-%d %H:%M")
        return Breach(
            ErrorReason.RISK_LIMIT,
            f"risk_limits.max_daily_loss is {shown_money(self._limit)} and the day's loss came to "
            f"{shown(self._reached)} {self._limit.currency}; until {until} ({self._zone.key}) only orders that reduce "
            "a position are taken",
            StopCause.DAILY_LOSS,
        )
