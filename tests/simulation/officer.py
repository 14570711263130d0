"""The person who stops and resumes trading, clears freezes and says what became of orders: by the venue's screen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from random import Random

from brokergate.codec.decode.fingerprint import fingerprint_of
from brokergate.domain.commands import (
    ClearFreeze,
    EmergencyStop,
    OrderRef,
    Request,
    ResolveOrder,
    ResumeTrading,
)
from brokergate.domain.control import DiscrepancyState, OrderResolution
from brokergate.domain.orders import Order, OrderState
from brokergate.engine.views import StopView
from tests.simulation.answer_laws import AnswerLaws
from tests.simulation.client import Client, encode
from tests.simulation.faults import stand_of
from tests.simulation.laws import Judge

SURE_AFTER_S = 4.0
"""How long an order must be uncertain before the person looks: nothing is on its way any more then."""


class Officer:
    """Uses a client's door and ids."""

    def __init__(self, client: Client, judge: Judge, laws: AnswerLaws, random: Random) -> None:
        self._client = client
        self._judge = judge
        self._laws = laws
        self._random = random
        self.stops = 0
        self._doubts: dict[str, float] = {}

    async def run(self) -> None:
        """Works until it is cancelled."""
        due = self._random.expovariate(1 / 12)
        while True:
            await asyncio.sleep(0.5)
            due -= 0.5
            await self.repair()
            if due <= 0:
                await self.stop_and_resume()
                due = self._random.expovariate(1 / 15)

    # Stops

    async def stop_and_resume(self) -> None:
        """Stops one account or all, looks on for a while, and resumes."""
        random = self._random
        accounts = random.choice(((), ("remote",), ("remote",), ("paper",)))
        for _ in range(random.choice((1, 1, 2))):
            command = EmergencyStop(
                accounts,
                "simulated",
                keep_protective_stops=random.random() < 0.4,
                flatten=random.random() < 0.5,
            )
            request = self._request("EmergencyStop", command, _encode_stop)
            self.stops += 1

            def judged(body: bytes) -> None:
                self._laws.stopped(json.loads(body))

            await self._client.change(
                "*",
                request,
                lambda gateway, command=command, request=request: gateway.emergency_stop(command, request),  # type: ignore[misc]
                (),
                judged,
            )
            await asyncio.sleep(random.uniform(0.2, 6.0))
        await self.resume()

    async def resume(self) -> bool:
        """Resumes all accounts; whether that was answered."""
        resume = ResumeTrading((), "simulated")
        request = self._request("ResumeTrading", resume, encode)
        # From the moment of asking nobody knows whether the stop still holds.
        self._judge.latched.clear()
        return (
            await self._client.change(
                "*", request, lambda gateway: gateway.resume_trading(resume, request), ()
            )
            is not None
        )

    # Repairs

    async def repair(self) -> None:
        """Frees what is frozen, and resolves what nobody can prove."""
        terms = self._judge.accounts["remote"]
        account = self._judge.truth.account("remote")
        frozen = {
            each.symbol: None
            for each in account.discrepancies.values()
            if int(each.state) == DiscrepancyState.OPEN and each.symbol
        }
        for symbol in frozen:
            if self._random.random() < 0.3:
                clear = ClearFreeze("remote", symbol, "simulated")
                request = self._request("ClearFreeze", clear, encode)
                await self._client.change(
                    "remote",
                    request,
                    lambda gateway, clear=clear, request=request: gateway.clear_freeze(clear, request),  # type: ignore[misc]
                    (),
                )
        if terms.absence_provable:
            return
        uncertain = {
            order_id: story.latest
            for order_id, story in account.orders.items()
            if not story.latest.ended and story.latest.uncertain
        }
        self._doubts = {order_id: self._doubts.get(order_id, 0.0) + 0.5 for order_id in uncertain}
        for order_id, order in uncertain.items():
            if self._doubts[order_id] > SURE_AFTER_S and self._random.random() < 0.3:
                await self._resolve(order)

    async def _resolve(self, order: Order) -> None:
        held = self._judge.held("remote", order.client_order_id)
        quantity, broker_order_id = None, ""
        if held is None:
            if order.state is not OrderState.PENDING_NEW:
                return
            resolution = OrderResolution.NEVER_PLACED
        elif held.open:
            resolution, broker_order_id = OrderResolution.WORKING, held.broker_order_id
        else:
            resolution, quantity = OrderResolution.ENDED, held.cum_quantity
        command = ResolveOrder(
            "remote", OrderRef(order_id=order.order_id), resolution, quantity, broker_order_id, "simulated"
        )
        request = self._request("ResolveOrder", command, encode)
        await self._client.change(
            "remote", request, lambda gateway: gateway.resolve_order(command, request), (stand_of(order),)
        )

    def _request(self, method: str, body: object, encoder: Callable[..., bytes]) -> Request:
        return Request(
            self._client.draw_id(),
            method,
            fingerprint_of(method, body),
            encoder,
            self._client.caller,
        )


def _encode_stop(view: object) -> bytes:
    assert isinstance(view, StopView)
    return json.dumps({each.account_id: each.stop_operation_id for each in view.states}).encode()
