"""`python -m tests.emulators.alpaca --port 0 --key KEY --secret SECRET`: the emulator as a process of its own."""

from __future__ import annotations

import argparse

from tests.emulators.alpaca.hours import Mode
from tests.emulators.alpaca.venue import Alpaca
from tests.emulators.server import run


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.alpaca", description=__doc__)
    parser.add_argument(
        "--hours",
        type=Mode,
        choices=list(Mode),
        default=Mode.ALWAYS,
        help="when stocks trade: always, or in New York's sessions by the emulator's clock",
    )
    parser.add_argument("--live", action="store_true", help="be the live host: frames of text")
    parser.add_argument("--seed", type=int, default=0, help="of the ids that it makes")
    run(
        lambda arguments: Alpaca(
            arguments.key,
            arguments.secret,
            paper=not arguments.live,
            hours=arguments.hours,
            seed=arguments.seed,
        ),
        parser,
    )


if __name__ == "__main__":
    main()
