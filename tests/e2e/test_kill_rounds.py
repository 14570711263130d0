"""Nothing is lost and nothing is doubled: rounds of `kill -9` at random moments under load, judged by the venue's log.

The seed decides what is asked for and when what is killed; it is printed, and can be given as KILL_ROUNDS_SEED (with
KILL_ROUNDS the number of rounds of the slow test). A failure keeps the directory and names it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.e2e.recovery.rounds import Rounds


async def kill(rounds: int) -> None:
    seed = int(os.environ.get("KILL_ROUNDS_SEED") or secrets.randbelow(1_000_000))
    folder = Path(tempfile.mkdtemp(prefix="kill-rounds-"))
    print(f"seed {seed}, {rounds} rounds, in {folder}")
    try:
        print(await Rounds(folder, seed).run(rounds))
    except BaseException as error:
        error.add_note(f"seed {seed} (KILL_ROUNDS_SEED); journal, logs and configuration are in {folder}")
        raise
    shutil.rmtree(folder)


@pytest.mark.timeout(300)
async def test_nothing_is_lost_or_doubled_over_a_few_kills() -> None:
    """Every acknowledged order and every fill is in the journal and at the venue, once, after eight kills."""
    await kill(8)


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_nothing_is_lost_or_doubled_over_two_hundred_kills() -> None:
    """The same over two hundred."""
    await kill(int(os.environ.get("KILL_ROUNDS") or 200))
