"""`python -m tests.venue --port 0 --log FILE --seed N`: the venue as a process of its own. Prints its port, then serves
until it is killed."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from random import Random

from tests.venue.core import JudgedVenue, VenueRules
from tests.venue.faults import FaultRates, Faults
from tests.venue.log import Entry
from tests.venue.market import LivelyMarket
from tests.venue.parent import end_with_parent
from tests.venue.server import VenueServer
from tests.venue.wire import dump, line


async def serve(arguments: argparse.Namespace) -> None:
    """Serves for ever."""
    now_ns = time.time_ns()
    market = LivelyMarket(arguments.seed, now_ns)
    faults = Faults(FaultRates(**json.loads(arguments.faults)), Random(f"faults {arguments.seed}"))
    with arguments.log.open("ab", buffering=0) as log:

        def write(entry: Entry) -> None:
            log.write(line(dump(entry)))

        rules = VenueRules(
            order_latency_ns=arguments.order_latency_ms * 1_000_000,
            fill_latency_ns=arguments.fill_latency_ms * 1_000_000,
        )
        venue = JudgedVenue(market.instruments, now_ns, rules, write)
        server = VenueServer(venue, market, faults, arguments.page)
        print(await server.start(arguments.port), flush=True)
        await server.run()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.venue", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 for any free one")
    parser.add_argument("--log", type=Path, required=True, help="what is written down goes here, a line each")
    parser.add_argument("--seed", type=int, default=0, help="of the market and the faults")
    parser.add_argument(
        "--faults", default="{}", help='rates, as {"lose_answer": 0.01}; see tests/venue/faults.py'
    )
    parser.add_argument("--page", type=int, default=50, help="fills that a query gives")
    parser.add_argument(
        "--order-latency-ms", type=int, default=0, help="until an order is visible to queries"
    )
    parser.add_argument("--fill-latency-ms", type=int, default=0, help="until a fill is visible to queries")
    arguments = parser.parse_args()
    end_with_parent()
    asyncio.run(serve(arguments))


if __name__ == "__main__":
    main()
