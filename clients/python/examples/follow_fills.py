"""Follow an account's fills for ever, and go on after a restart where this program was stopped.

    python clients/python/examples/follow_fills.py paper fills.cursor

The cursor is written after the fill was dealt with, so a crash in between gives that one fill again (at least once).
What must happen exactly once belongs into one transaction with the cursor.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path

from brokergate_client import CursorExpiredError, Fill, Gateway, StartPosition, name_of


def deal_with(fill: Fill) -> None:
    """What a strategy would do."""
    print(
        f"{fill.event_time:%H:%M:%S.%f} {name_of(fill.side)} {fill.quantity} {fill.symbol} at {fill.price}",
        flush=True,
    )


def keep(cursor: str, file: Path) -> None:
    """Replace the file as a whole: half a cursor is worth nothing."""
    new = file.with_suffix(".new")
    new.write_text(cursor, "utf-8")
    new.replace(file)


def kept(file: Path) -> str | None:
    """The cursor of an earlier run."""
    return file.read_text("utf-8") if file.exists() else None


async def follow(account_id: str, file: Path) -> None:
    """Fills from the kept cursor on, or all that the gateway still has."""
    cursor = kept(file)
    address = os.environ.get("BROKERGATE_ADDRESS", "127.0.0.1:50051")
    async with Gateway.connect(address, token=os.environ.get("BROKERGATE_TOKEN")) as gateway:
        try:
            async for fill in gateway.fills(
                after=cursor, start=StartPosition.EARLIEST, account_ids=[account_id]
            ):
                deal_with(fill)
                keep(fill.cursor, file)
        except CursorExpiredError as error:
            sys.exit(
                f"{error}\nThe fills in between are in the history (Gateway.fill_history); remove {file} to go on."
            )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    logging.basicConfig(level=logging.INFO)
    with suppress(KeyboardInterrupt):
        asyncio.run(follow(sys.argv[1], Path(sys.argv[2])))
