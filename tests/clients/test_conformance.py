"""Every client sees of every scenario what is expected, and what every other client sees."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from tests.clients.house import House
from tests.clients.runners import RunnerProcess
from tests.clients.scenarios import Player, load
from tools.clients import LANGUAGES, Language

BUILD_TIMEOUT_S = 1800


def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this run, the same for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "clients"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.timeout(BUILD_TIMEOUT_S)
@pytest.mark.parametrize("language", LANGUAGES, ids=lambda each: each.name)
def test_a_client_sees_what_is_expected_and_what_the_others_see(
    language: Language, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Each pair of clients is compared once, by the one that is done later."""
    if language.left_out:
        pytest.skip(f"{language.name} left out: {language.left_out}")
    try:
        language.build()
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error}\n{error.stdout}")

    house = House(tmp_path / "house")
    try:
        with RunnerProcess(language, tmp_path / "runner.log") as runner:
            player = Player(runner, house)
            outcomes = [player.play(scenario) for scenario in load()]
    finally:
        house.close()

    wrong = [f"{outcome.scenario}: {problem}" for outcome in outcomes for problem in outcome.wrong]
    assert not wrong, "\n".join(wrong)
    seen = {outcome.scenario: outcome.seen for outcome in outcomes}
    unlike = differences(shared_folder(tmp_path_factory), language.name, seen)
    assert not unlike, "\n".join(unlike)


def differences(folder: Path, name: str, seen: dict[str, Any]) -> list[str]:
    """Leave what a client saw for those that come later, and hold it against what others have left."""
    found = []
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file in sorted(folder.glob("*.json")):
            other = json.loads(file.read_text("utf-8"))
            for scenario in sorted(seen.keys() | other.keys()):
                pairs = zip_longest(seen.get(scenario, []), other.get(scenario, []))
                found += [
                    f"{scenario}, {number}: {name} saw {json.dumps(ours)}, {file.stem} {json.dumps(theirs)}"
                    for number, (ours, theirs) in enumerate(pairs, start=1)
                    if ours != theirs and file.stem != name
                ]
        (folder / f"{name}.json").write_text(json.dumps(seen), "utf-8")
    return found
