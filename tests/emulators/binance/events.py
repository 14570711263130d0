"""What happens on the account, as its user data stream tells it (user-data-stream.md)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from brokergate.domain.orders import OrderState
from tests.emulators.binance.lists import ListExchange, OrderList
from tests.emulators.binance.reading import Reading
from tests.emulators.binance.showing import execution_report, kept, milliseconds, status
from tests.emulators.binance.symbols import eight
from tests.emulators.orders import (
    BalanceMoved,
    BookMoved,
    Ended,
    Filled,
    Happening,
    Placed,
    Triggered,
    VenueOrderState,
)

Sink = Callable[[dict[str, Any]], None]


class UserEvents:
    """Makes events of what happens and gives them to every sink, in order. Balances are told when a step is over."""

    def __init__(self, exchange: ListExchange) -> None:
        self.sinks: list[Sink] = []
        self._exchange = exchange
        self._reading = Reading(exchange)
        self._number = 0
        self._moved: dict[str, None] = {}
        """Currencies whose balance may be another one, in the order in which they came."""
        exchange.core.listeners.insert(0, self._happened)
        exchange.amended = self._amended
        exchange.list_changed = self._list_changed

    def tell(self, event: dict[str, Any]) -> None:
        """To everybody who listens."""
        for sink in list(self.sinks):
            sink(event)

    def _happened(self, happening: Happening) -> None:
        match happening:
            case Placed(order):
                self._report(order, "NEW")
            case Triggered(order):
                order.working_ns = order.updated_ns
                self._report(order, "NEW")
            case Filled(execution):
                order = execution.order
                self._number += 1
                self.tell(
                    execution_report(order, "TRADE", self._event_ms, execution=execution, number=self._number)
                )
                self._touch(order)
            case Ended(order):
                self._ended(order)
                self._flush()
            case BalanceMoved(currency, amount, time_ns):
                self.tell(
                    {
                        "e": "balanceUpdate",
                        "E": self._event_ms,
                        "a": currency,
                        "d": eight(amount),
                        "T": milliseconds(time_ns),
                    }
                )
                self._moved[currency] = None
                self._flush()
            case BookMoved():
                self._flush()
            case _:
                pass

    def _ended(self, order: VenueOrderState) -> None:
        what = {"CANCELED": "CANCELED", "EXPIRED_IN_MATCH": "TRADE_PREVENTION"}.get(status(order), "EXPIRED")
        if order.state is OrderState.REJECTED:
            what = "REJECTED"
        cancel_id = self._exchange.cancel_ids.get(order.number, "") if what == "CANCELED" else ""
        self._report(order, what, cancel_id=cancel_id)

    def _report(
        self, order: VenueOrderState, what: str, *, cancel_id: str = "", original_id: str = ""
    ) -> int:
        self._number += 1
        self.tell(
            execution_report(
                order,
                what,
                self._event_ms,
                cancel_id=cancel_id,
                number=self._number,
                original_id=original_id,
            )
        )
        self._touch(order)
        return self._number

    def _amended(self, order: VenueOrderState, before: str) -> int:
        if not order.open:
            return self._number
        number = self._report(order, "REPLACED", original_id=before)
        self._flush()
        return number

    def _list_changed(self, order_list: OrderList) -> None:
        self.tell(
            {
                "e": "listStatus",
                "E": self._event_ms,
                "s": order_list.symbol,
                "g": order_list.number,
                "c": order_list.contingency,
                "l": "ALL_DONE" if order_list.done else "EXEC_STARTED",
                "L": "ALL_DONE" if order_list.done else "EXECUTING",
                "r": "NONE",
                "C": order_list.client_id,
                "T": milliseconds(order_list.time_ns),
                "O": [
                    {"s": order_list.symbol, "i": leg.number, "c": leg.client_order_id}
                    for leg in order_list.legs
                ],
            }
        )

    def _touch(self, order: VenueOrderState) -> None:
        symbol = self._exchange.symbols[kept(order)["symbol"]]
        for currency in (symbol.base, symbol.quote):
            self._moved[currency] = None

    def _flush(self) -> None:
        if not self._moved:
            return
        moved, self._moved = list(self._moved), {}
        balances = [
            {"a": row["asset"], "f": row["free"], "l": row["locked"]} for row in self._reading.balances(moved)
        ]
        self.tell(
            {
                "e": "outboundAccountPosition",
                "E": self._event_ms,
                "u": milliseconds(self._exchange.core.now_ns),
                "B": balances,
            }
        )

    @property
    def _event_ms(self) -> int:
        return self._exchange.clock.shown_ms()
