"""What is measured, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of one run. Seconds are of the clock on the wall; every count is of one round unless it says more."""

    name: str
    """Ratios of one plan compare only with ratios of the same plan."""
    rounds: int
    """Each round measures the gateway and the echo one after the other; the order alternates from round to round."""
    warm_up_s: float
    """What a load process does before its clock starts."""
    window_s: float
    """How long a load process then counts."""
    in_flight: tuple[int, ...]
    """Unary calls that wait for their answers at once, over all load processes."""
    batch_size: int
    """Orders in one message."""
    batches_in_flight: int
    """Messages of batches, and of order entry, that wait for their answers at once, over all load processes."""
    backlog_fills: int
    """Fills in the journal for one subscriber to read; as many orders are placed for it."""
    stream_rounds: int
    """Rounds of the scenarios that follow fills, which are longer."""
    shared_backlog_fills: int
    """Fills in the journal for many subscribers to read, each all of them."""
    subscribers: int
    """How many are many."""
    echo_events: int
    """One-event messages that the echo sends, over all subscribers."""
    live_s: float
    """How long orders come at a steady rate while fills are followed."""
    live_rates: tuple[int, int]
    """Orders a second at that rate: with one subscriber, and with many."""
    flood_orders: tuple[int, int]
    """Orders placed as fast as order entry takes them while fills are followed: by one subscriber, and by many."""
    engine_orders: int
    """Orders driven through the engine in process, each way."""
    venue_orders: int
    """Market orders given to the venue alone; the last tenth over the first is its cost curve."""
    limiter_requests: int
    """Requests through the rate limiter alone, each way."""
    cost_block: int
    """Orders in one block of the cost curve."""
    start_orders: tuple[int, ...]
    """Orders in the journal at which a start is measured, rising."""
    load_processes: int = 2
    """Processes that make the load; two keep one server process busy and leave a core to it on a small machine."""


FULL = Plan(
    name="full",
    rounds=5,
    warm_up_s=0.3,
    window_s=1.0,
    in_flight=(1, 16, 64),
    batch_size=100,
    batches_in_flight=16,
    backlog_fills=200_000,
    stream_rounds=3,
    shared_backlog_fills=2_000,
    subscribers=100,
    echo_events=10_000,
    live_s=3.0,
    live_rates=(500, 50),
    flood_orders=(20_000, 2_000),
    engine_orders=10_000,
    venue_orders=200_000,
    limiter_requests=100_000,
    cost_block=1_000,
    start_orders=(10_000, 100_000),
)
"""What `docs/benchmarks.md` and the baseline are made with: some six minutes."""

MOST_START_ORDERS = 1_000_000
"""The journal that `--million` measures a start on, beside the others."""


QUICK = Plan(
    name="quick",
    rounds=2,
    warm_up_s=0.05,
    window_s=0.15,
    in_flight=(1, 16, 64),
    batch_size=100,
    batches_in_flight=4,
    backlog_fills=1_000,
    stream_rounds=1,
    shared_backlog_fills=100,
    subscribers=10,
    echo_events=500,
    live_s=0.5,
    live_rates=(100, 50),
    flood_orders=(300, 100),
    engine_orders=300,
    venue_orders=2_000,
    limiter_requests=1_000,
    cost_block=100,
    start_orders=(200,),
)
"""Shows that everything runs; its figures mean little."""
