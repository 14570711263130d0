"""What holds orders back on an account: an emergency stop, and instruments that are frozen. All of it durable."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from brokergate.domain.control import Discrepancy, DiscrepancyState, Stop, StopPhase
from brokergate.domain.errors import ErrorReason
from brokergate.domain.values import changed
from brokergate.ports.journal import Journal, Setting

STOP_SETTING = "stop"
_ALL = 1 << 62

Refusal = tuple[ErrorReason, str]
"""Why an order ends REJECTED before it is sent."""


class AccountControl:
    """The stop that holds on an account, and its open discrepancies; as the journal has them at first."""

    def __init__(self, account_id: str, journal: Journal) -> None:
        self.account_id = account_id
        text = journal.account_setting(account_id, STOP_SETTING)
        self.stop: Stop | None = None if text is None else stop_of(text)
        self.discrepancies: dict[str, Discrepancy] = {
            found.discrepancy_id: found for _, found in journal.discrepancies(account_id, False, None, _ALL)
        }

    def refusal(self, symbol: str, uncertain: Iterable[str]) -> Refusal | None:
        """Why an order in `symbol` may not go out; `uncertain` are the symbols of orders whose absence at the venue
        nobody can prove. None where nothing holds it back."""
        if (stop := self.stop) is not None:
            return (
                ErrorReason.TRADING_STOPPED,
                f"emergency stop {stop.operation_id} holds: {stop.reason}; ResumeTrading ends it",
            )
        for found in self.discrepancies.values():
            if found.symbol == symbol:
                return (
                    ErrorReason.INSTRUMENT_FROZEN,
                    f"{symbol} is frozen by {found.discrepancy_id}: {found.message}; ClearFreeze ends it",
                )
        if symbol in uncertain:
            return (
                ErrorReason.INSTRUMENT_FROZEN,
                f"{symbol} is frozen by an order whose outcome cannot be proven; ResolveOrder says what became of it",
            )
        return None

    def frozen(self, uncertain: Iterable[str]) -> Sequence[str]:
        """The instruments that are frozen, by symbol."""
        symbols = {found.symbol for found in self.discrepancies.values() if found.symbol}
        return sorted(symbols.union(uncertain))

    def take(self, discrepancy: Discrepancy) -> None:
        """A disagreement was found, or resolved."""
        if discrepancy.state is DiscrepancyState.OPEN:
            self.discrepancies[discrepancy.discrepancy_id] = discrepancy
        else:
            self.discrepancies.pop(discrepancy.discrepancy_id, None)

    def resolved(self, discrepancies: Sequence[Discrepancy]) -> list[Discrepancy]:
        """They are no longer; as they now stand."""
        ended = [changed(found, state=DiscrepancyState.RESOLVED) for found in discrepancies]
        for found in ended:
            self.take(found)
        return ended


def stop_setting(stop: Stop | None) -> Setting:
    """How the journal keeps the stop that holds."""
    return Setting(STOP_SETTING, None if stop is None else json.dumps(asdict(stop), sort_keys=True))


def stop_of(text: str) -> Stop:
    """The stop that `stop_setting` wrote."""
    fields = json.loads(text)
    fields["phase"] = StopPhase(fields["phase"])
    return Stop(**fields)
