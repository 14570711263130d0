"""`python -m tests.emulators.binance --port 0 --key KEY --secret SECRET`: the emulator as a process of its own."""

from __future__ import annotations

import argparse

from tests.emulators.binance.emulator import Binance
from tests.emulators.server import run


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.binance", description=__doc__)
    parser.add_argument(
        "--public-key", default="", help="an Ed25519 public key (PEM, or its file) in place of the secret"
    )

    def start(arguments: argparse.Namespace) -> Binance:
        emulator = Binance(arguments.key, arguments.secret, arguments.public_key)
        emulator.open_market()
        return emulator

    run(start, parser)


if __name__ == "__main__":
    main()
