"""What is wrong with a configuration, said so that the reader can mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MAX_PROBLEMS = 50
"""Problems that one message lists; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: where, which setting, what with its value, and the way out. Holds no secret."""

    file: str
    """The file as it was named, or the option of the command line."""
    line: int
    """From 1; 0 where there is none, as for a setting that is missing altogether."""
    key: str
    """The path of the setting: `accounts.paper.trading.enabled`, `server.listen[0].address`."""
    text: str
    """What is wrong, with the value as it is written in the file; never a secret, never a variable's value."""
    way_out: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        subject = f"{self.key} " if self.key else ""
        return f"{where}: {subject}{self.text}; {self.way_out}"


class ConfigError(Exception):
    """The configuration cannot be used; `problems` are all that were found, in the order of the files."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [str(problem) for problem in self.problems[:MAX_PROBLEMS]]
        if len(self.problems) > MAX_PROBLEMS:
            lines.append(f"and {len(self.problems) - MAX_PROBLEMS} more")
        super().__init__("\n".join(lines))


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The one of `known` that `word` was most likely meant to be; None where none is near."""
    names = list(known)
    begun = [name for name in names if len(word) > 1 and name.startswith(word.lower())]
    close = difflib.get_close_matches(word.lower(), names, 1)
    return next(iter(begun + close), None)
