"""Makes the golden journals of a release: files that every later one must read (tests/fixtures/journals).

    PYTHONPATH=server:. python tools/golden_journal.py 0.1.0

writes `0.1.0.db`, `0.1.0-crashed.db` (as a kill leaves it: nothing marked, some events in no view) and `0.1.0.json`,
what the release itself reads in it. For an old release, PYTHONPATH names the `server` of its checkout and then this
one's root. A release's files are made once and never again.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from brokergate.journal.sqlite.journal import SqliteJournal
from tests.unit.journal import golden

FOLDER = Path(__file__).parents[1] / "tests" / "fixtures" / "journals"
SEED = 20261121
BOOT_ID = "golden"


def main() -> None:
    """Writes the files of the release that is named."""
    (release,) = sys.argv[1:]
    FOLDER.mkdir(parents=True, exist_ok=True)
    files = [FOLDER / f"{release}{ending}" for ending in (".db", "-crashed.db", ".json")]
    for file in files:
        if file.exists():
            sys.exit(f"{file} is there; a release's golden journal is made once")
    closed, crashed, shown = files
    with TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        journal = SqliteJournal(path, Random(SEED).getrandbits, BOOT_ID)
        golden.write(journal)
        reader = sqlite3.connect(path)
        reader.execute("VACUUM INTO ?", (str(crashed),))
        reader.close()
        shown.write_text(json.dumps(golden.describe(journal), indent=1, sort_keys=True) + "\n", "utf-8")
        journal.close()
        closed.write_bytes(path.read_bytes())


if __name__ == "__main__":
    main()
