"""Play the scenarios at the runners of some languages, or of all that this machine can build.

Usage: python -m tests.clients [LANGUAGE ...] [--only TEXT] [--verbose]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.clients.house import House
from tests.clients.runners import RunnerProcess
from tests.clients.scenarios import Player, load
from tools.clients import LANGUAGES, Language, language


def play(each: Language, only: str, verbose: bool) -> int:
    """Play at one; returns how many scenarios went wrong."""
    try:
        each.build()
    except subprocess.CalledProcessError as error:
        print(f"{each.name}: {error}\n{error.stdout}")
        return 1
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        house = House(Path(folder) / "house")
        try:
            with RunnerProcess(each, Path(folder) / "runner.log") as runner:
                player = Player(runner, house, print if verbose else lambda line: None)
                for scenario in load():
                    if only in scenario.name:
                        began = time.monotonic()
                        outcome = player.play(scenario)
                        wrong += bool(outcome.wrong)
                        word = "FAILED" if outcome.wrong else "ok"
                        print(
                            f"{each.name}: {word}: {scenario.name} ({time.monotonic() - began:.1f} s)",
                            flush=True,
                        )
                        for problem in outcome.wrong:
                            print(f"    {problem}")
                if wrong and verbose:
                    print(runner.log.read_text("utf-8", "replace"))
        finally:
            house.close()
    return wrong


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("languages", nargs="*", metavar="LANGUAGE")
    parser.add_argument("--only", default="", help="the scenarios whose name has this in it")
    parser.add_argument("--verbose", action="store_true", help="show every line that is exchanged")
    options = parser.parse_args()
    wrong = 0
    for each in [language(name) for name in options.languages] or LANGUAGES:
        if each.missing:
            print(f"{each.name}: left out ({each.missing})")
            wrong += bool(options.languages)
        else:
            wrong += play(each, options.only, options.verbose)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
