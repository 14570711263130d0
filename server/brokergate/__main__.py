"""`brokergate` and `python -m brokergate`: the command line, as far as what is installed allows."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its status; see `brokergate --help` for what they mean."""
    try:
        from brokergate.cli import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "brokergate":
            raise
        print(f"brokergate: {error.name} is not installed; pip install 'brokergate[server]'", file=sys.stderr)
        sys.exit(1)
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


if __name__ == "__main__":
    main()
