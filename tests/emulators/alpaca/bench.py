"""A desk of Alpaca's without a socket, by a clock of the test's own."""

from __future__ import annotations

from decimal import Decimal
from random import Random
from typing import Any

import pytest

from tests.emulators.alpaca.assets import Assets
from tests.emulators.alpaca.core import AlpacaCore
from tests.emulators.alpaca.desk import Desk
from tests.emulators.alpaca.hours import Hours, Mode
from tests.emulators.alpaca.numbers import moment_ns
from tests.emulators.alpaca.refusal import Refused

D = Decimal


def at(text: str) -> int:
    moment = moment_ns(text)
    assert moment is not None
    return moment


MONDAY = at("2026-06-15T14:00:00Z")
"""10:00 in New York."""


class Bench:
    """A desk, its clock and what it told."""

    def __init__(self, now_ns: int = MONDAY, mode: Mode = Mode.NYSE, cash: str = "100000") -> None:
        self.now_ns = now_ns
        self.told: list[dict[str, Any]] = []
        self.assets = Assets()
        self.core = AlpacaCore(self.assets, {"USD": D(cash)}, now_ns)
        self.desk = Desk(self.core, self.assets, Hours(mode), Random(1), self.told.append)

    def place(
        self, symbol: str = "AAPL", side: str = "buy", qty: str | None = "10", **more: Any
    ) -> dict[str, Any]:
        type_ = "limit" if "limit_price" in more else "market"
        body = {"symbol": symbol, "side": side, "qty": qty, "type": type_, "time_in_force": "gtc", **more}
        return self.desk.place(body, self.now_ns)

    def order(self, placed: dict[str, Any]) -> dict[str, Any]:
        return self.desk.floor.shape(self.desk.order(placed["id"]))

    def status(self, placed: dict[str, Any]) -> str:
        return str(self.order(placed)["status"])

    def show(self, symbol: str, bid: str, ask: str, size: str = "1000") -> None:
        self.core.show(symbol, [(D(bid), D(size))], [(D(ask), D(size))], self.now_ns)

    def trade(self, symbol: str, bid: str, ask: str, size: str = "1000") -> None:
        """The market moves there, and others trade at the bid: what sets stops off."""
        self.show(symbol, bid, ask, size)
        self.core.trade(symbol, D(bid), D(1), "sell", self.now_ns)

    def go(self, text: str) -> None:
        """Time passes until then."""
        self.now_ns = at(text)
        self.core.advance(self.now_ns)

    def events(self) -> list[str]:
        told = [str(each["event"]) for each in self.told]
        self.told.clear()
        return told

    def refused(self, **order: Any) -> Refused:
        with pytest.raises(Refused) as refused:
            self.place(**order)
        return refused.value


def bracket(bench: Bench, **more: Any) -> dict[str, Any]:
    return bench.place(
        order_class="bracket", take_profit={"limit_price": "200"}, stop_loss={"stop_price": "180"}, **more
    )


def legs(bench: Bench, placed: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(leg["status"], leg["qty"], leg["filled_qty"]) for leg in bench.order(placed)["legs"]]
