"""All the cases, by number."""

from __future__ import annotations

from tests.conformance import cases_knowing, cases_placing, cases_views, cases_wire, cases_working
from tests.conformance.bench import Bench
from tests.conformance.registry import CASES, Case
from tests.conformance.subject import Subject

PARTS = (cases_placing, cases_working, cases_knowing, cases_views, cases_wire)
ALL: tuple[Case, ...] = tuple(CASES[number] for number in sorted(CASES))


async def run(case: Case, subject: Subject) -> None:
    """Runs one case for a broker that has what it needs."""
    async with Bench(subject) as bench:
        await case.body(bench)
        await bench.told()
        for told in bench.orders.values():
            assert told.outcome is None or told.state
