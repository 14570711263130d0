"""Invariant 10 on the whole line: nothing comes before its latency, nothing overtakes, a cancel may lose the race."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order
from brokergate.ports.broker import Accepted, FillReport, OrderReport, Outcome, Report
from tests.unit.adapters.paper.hand_clock import NEW, HandClock, Reader, broker, order
from tests.unit.adapters.paper.test_live import PUSHED, quote

MS = 1_000_000


@dataclass
class Step:
    """Something that a test does: after `wait_ms`."""

    wait_ms: int
    what: str
    number: int


STEPS = st.lists(
    st.builds(
        Step,
        st.integers(0, 60),
        st.sampled_from(["place", "place", "cancel", "quote"]),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(0, 80), st.integers(0, 80), st.integers(0, 40))
def test_nothing_comes_before_its_latency(
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[Step],
    request_ms: int,
    response_ms: int,
    more_ms: int,
) -> None:
    file = tmp_path_factory.mktemp("line") / "latency.txt"
    file.write_text(f"{request_ms + more_ms}\n{request_ms}\n{request_ms + more_ms // 2}\n")
    asyncio.run(_run(file, steps, request_ms, response_ms, more_ms))


async def _run(file: Path, steps: list[Step], request_ms: int, response_ms: int, more_ms: int) -> None:
    """Requests take `request_ms` and, two times in three, more: what is sent behind one must not overtake it."""
    clock = HandClock()
    made = broker(
        clock,
        PUSHED,
        latency={
            "request": {"recorded": {"file": str(file)}},
            "response": {"constant_ms": str(response_ms)},
        },
    )
    await made.connect(NEW)
    reader = Stamped(made, clock)
    await made.push([quote("99", "100")])
    orders: list[Order] = []
    sent: list[tuple[int, str, str, asyncio.Task[Outcome]]] = []
    answered: list[tuple[int, int]] = []

    def note(number: int, _: object) -> None:
        answered.append((number, clock.now_ns()))

    for step in steps:
        await clock.advance(step.wait_ms / 1000)
        if step.what == "quote":
            await made.push([quote(str(95 + step.number), str(96 + step.number))])
            continue
        if step.what == "place":
            orders.append(order("BTC/USDT", 1, "1", str(95 + step.number)))
            task = asyncio.create_task(made.place_order(orders[-1]))
        elif orders:
            task = asyncio.create_task(made.cancel_order(orders[step.number % len(orders)]))
        else:
            continue
        chosen = orders[-1 if step.what == "place" else step.number % len(orders)]
        number = len(sent)
        task.add_done_callback(partial(note, number))
        sent.append((clock.now_ns(), step.what, chosen.client_order_id, task))
    await clock.advance(1)
    await asyncio.gather(*[task for *_, task in sent])
    for number, moment_ns in answered:
        assert moment_ns >= sent[number][0] + (request_ms + response_ms) * MS
    assert [number for number, _ in answered] == sorted(number for number, _ in answered)
    placed_ns = {name: at_ns for at_ns, what, name, _ in sent if what == "place"}
    reports = [*reader.told, *[(0, report) for *_, task in sent for report in task.result().reports]]
    ended: set[str] = set()
    for heard_ns, report in reports:
        if isinstance(report, FillReport | OrderReport):
            # It happened after its order arrived, and is heard a response later.
            assert report.event_time_ns >= placed_ns[report.client_order_id] + request_ms * MS
            if heard_ns:
                assert heard_ns >= report.event_time_ns + response_ms * MS
    for _, what, name, task in sent:
        outcome = task.result()
        if what == "cancel" and isinstance(outcome, Accepted):
            ended.add(name)
    cancelled = {
        report.client_order_id
        for _, report in reports
        if isinstance(report, OrderReport) and report.event is OrderEventType.CANCELED
    }
    assert cancelled == ended
    # One that lost the race found an order that had filled.
    filled = {report.client_order_id: report for _, report in reports if isinstance(report, FillReport)}
    assert not cancelled & set(filled)
    assert all(report.quantity == Decimal(1) for report in filled.values())
    await made.park()


class Stamped(Reader):
    """What is told, with the gateway's time at which it was."""

    def __init__(self, source: PaperTradingBroker, clock: HandClock) -> None:
        self.told: list[tuple[int, Report]] = []
        self._clock = clock
        super().__init__(source)

    async def _read(self, source: PaperTradingBroker) -> None:
        async for batch in source.events():
            self.told += [(self._clock.now_ns(), report) for report in batch]
