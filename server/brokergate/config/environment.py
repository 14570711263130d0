"""Variables: `${NAME}` and `${NAME:-default}` in a configuration, and the `.env` file that feeds them.

`${NAME}` is the variable's value, and an error where it is not set. `${NAME:-default}` is `default` where the variable
is not set or empty; the default is taken as it stands, up to the `}`. `$${` is a plain `${`. What a variable holds is
never read as YAML and never expanded again. Keys are not expanded.

`.env` lies beside the first configuration file, or in the current folder where there is none. It is read as
python-dotenv reads it (`NAME=value`, quotes, `export`, comments) but for expansions: a `$` in it is a `$`. A variable
of the process's environment wins over one of `.env`, also when it is empty.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping as MappingOf
from pathlib import Path

from dotenv.parser import parse_stream

from brokergate.config.document import Listing, Mapping, Node, Path_, Scalar, render_path
from brokergate.config.problems import Problem

MAX_ENV_BYTES = 1 << 20
"""Size of a `.env` file: 1 MiB."""

_reference = re.compile(r"\$?\$\{([^}]*)(\}?)")
_name = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII).fullmatch


def read_env_file(path: Path) -> tuple[dict[str, str], list[Problem]]:
    """The variables of a `.env` file, none where there is no file, and what is wrong with it (never its values)."""
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_ENV_BYTES + 1)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        reason = error.strerror or type(error).__name__
        return {}, [Problem(name, 0, "", f"cannot be read ({reason})", "give it to this user, or remove it")]
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return {}, [Problem(name, line, "", "is not UTF-8", "save the file as UTF-8")]
    if len(raw) > MAX_ENV_BYTES:
        return {}, [
            Problem(name, 0, "", f"is larger than {MAX_ENV_BYTES} bytes", "give a file of NAME=value lines")
        ]
    variables: dict[str, str] = {}
    problems: list[Problem] = []
    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            # What could not be read begins with the blank lines before it.
            broken = binding.original.string
            line = binding.original.line + broken[: len(broken) - len(broken.lstrip())].count("\n")
            problems.append(Problem(name, line, "", "is not 'NAME=value'", "mend the line; close its quotes"))
        elif binding.key is not None and binding.value is not None:
            variables[binding.key] = binding.value
    return variables, problems


class Expansion:
    """Expands the variables of a tree, and collects what is missing.

    `failed` holds the paths of values that could not be expanded; they are left out of the tree's text.
    """

    def __init__(self, variables: MappingOf[str, str]) -> None:
        self._variables = variables
        self.problems: list[Problem] = []
        self.failed: set[Path_] = set()

    def expand(self, node: Node, path: Path_ = ()) -> Node:
        """`node` with every reference replaced."""
        match node:
            case Scalar():
                return self._scalar(node, path)
            case Listing():
                items = tuple(self.expand(item, (*path, index)) for index, item in enumerate(node.items))
                return Listing(node.origin, items)
            case Mapping():
                settings = {key: self.expand(item, (*path, key)) for key, item in node.items.items()}
                return Mapping(node.origin, settings, node.keys)

    def _scalar(self, scalar: Scalar, path: Path_) -> Scalar:
        text = scalar.text
        if text is None or "${" not in text:
            return scalar
        parts: list[str] = []
        literal = False
        end = 0
        for match in _reference.finditer(text):
            literal = literal or match.start() > end
            parts.append(text[end : match.start()])
            end = match.end()
            if match[0].startswith("$$"):
                parts.append(match[0][1:])
                literal = True
                continue
            value, has_default = self._value(match, scalar, path)
            parts.append(value)
            literal = literal or has_default
        parts.append(text[end:])
        literal = literal or end < len(text)
        return Scalar(scalar.origin, "".join(parts), scalar.written, literal)

    def _value(self, match: re.Match[str], scalar: Scalar, path: Path_) -> tuple[str, bool]:
        """What a reference stands for, and whether a default for it stands in the file."""
        name, colon, default = match[1].partition(":-")
        if not match[2] or not _name(name) or "${" in default:
            self._fail(
                scalar,
                path,
                "holds a '${' that is not '${NAME}' or '${NAME:-default}'",
                "mend it; a plain '${' is written '$${'",
            )
            return "", False
        value = self._variables.get(name)
        if value or (value is not None and not colon):
            return value, bool(default)
        if not colon:
            self._fail(
                scalar,
                path,
                f"needs the variable {name}, which is not set",
                f"set {name} in the environment or in .env, or write '${{{name}:-default}}'",
            )
        return default, bool(default)

    def _fail(self, scalar: Scalar, path: Path_, text: str, way_out: str) -> None:
        self.failed.add(path)
        origin = scalar.origin
        self.problems.append(Problem(origin.file, origin.line, render_path(path), text, way_out))
