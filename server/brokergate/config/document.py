"""A YAML file as a tree that remembers where each value stands.

Every scalar stays the text that is written (YAML 1.1 would make `0.1` a binary float, `no` a boolean and `1_000` a
number): what it becomes is decided by the setting that it is for, so quotes make no difference. Only a plain `null`,
`~` or nothing at all is None. Keys are unique, aliases are followed, and tags, merge keys and further documents are
refused: a configuration is read by people, and each of them reads differently what it seems to say.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from brokergate.config.problems import ConfigError, Problem

MAX_FILE_BYTES = 1 << 20
"""Size of a configuration file: 1 MiB."""

MAX_VALUES = 100_000
"""Values in a file once its aliases are followed."""

MAX_DEPTH = 32
"""Mappings and lists within one another."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_CORE_TAGS = frozenset({"tag:yaml.org,2002:str", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_without_quoted = re.compile(r"'[^\n]*'|\"[^\n]*\"").sub


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value stands: the file as it was named, or a command line's option, and the line from 1 (0: none)."""

    file: str
    line: int = 0


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value: the text that it stands for (None for null), and as it is written, `${…}` and all."""

    origin: Origin
    text: str | None
    written: str = ""
    literal: bool = True
    """Whether any of the text stands in the file itself and not in a variable."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A list."""

    origin: Origin
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Settings by key, in the order of the file. `keys` tells where each key stands."""

    origin: Origin
    items: dict[str, Node]
    keys: dict[str, Origin]


Node = Scalar | Listing | Mapping
Path_ = tuple[str | int, ...]
"""The way from the top to a value: keys and, in lists, indices from 0."""


def render_path(path: Path_) -> str:
    """`accounts.paper.routes[0]`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(path: Path) -> tuple[Mapping, list[Problem]]:
    """The tree of a file, and the duplicate keys in it; raises `ConfigError` where it cannot be read at all."""
    name = str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigError(
            [Problem(name, 0, "", f"cannot be read ({reason})", "give the path of a YAML file")]
        ) from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError(
            [Problem(name, 0, "", f"is larger than {MAX_FILE_BYTES} bytes", "give a configuration file")]
        )
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Problem(name, line, "", "is not UTF-8", "save the file as UTF-8")]) from None
    return parse_document(text, name)


def parse_document(text: str, name: str) -> tuple[Mapping, list[Problem]]:
    """As `read_document`, of a text; `name` is what errors call it."""
    try:
        documents = list(yaml.compose_all(text, Loader=yaml.BaseLoader))
    except yaml.YAMLError as error:
        raise ConfigError([_syntax(error, name)]) from None
    except RecursionError:
        raise ConfigError([_too_deep(name, 1)]) from None
    if len(documents) > 1:
        line = documents[1].start_mark.line + 1
        raise ConfigError(
            [Problem(name, line, "", "a second YAML document begins", "put it into a file of its own")]
        )
    builder = _Builder(name)
    node = builder.build(documents[0], (), 0) if documents else Scalar(Origin(name, 1), None)
    if isinstance(node, Scalar) and node.text is None:
        node = Mapping(Origin(name, 1), {}, {})
    if not isinstance(node, Mapping):
        raise ConfigError(
            [
                Problem(
                    name,
                    node.origin.line,
                    "",
                    "holds no settings",
                    "write 'accounts:' and what belongs below it",
                )
            ]
        )
    return node, builder.problems


class _Builder:
    """Makes our tree of PyYAML's, and bounds it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []
        self.values = 0
        self.open: set[int] = set()
        """Nodes that are being built: an alias to one of them would have no end."""

    def build(self, node: yaml.Node, path: Path_, depth: int) -> Node:
        line = node.start_mark.line + 1
        self.values += 1
        if self.values > MAX_VALUES:
            raise ConfigError(
                [Problem(self.name, line, "", f"holds more than {MAX_VALUES} values", "use fewer aliases")]
            )
        if depth > MAX_DEPTH:
            raise ConfigError([_too_deep(self.name, line)])
        if id(node) in self.open:
            raise ConfigError(
                [Problem(self.name, line, render_path(path), "is an alias of what it is in", "write it out")]
            )
        if node.tag not in _CORE_TAGS:
            self._refuse(
                line, path, "has a YAML tag", "write the plain value; quote a text that begins with '!'"
            )
        origin = Origin(self.name, line)
        if isinstance(node, yaml.ScalarNode):
            null = node.style is None and node.value in _NULLS
            return Scalar(origin, None if null else node.value, node.value)
        self.open.add(id(node))
        built: Node
        if isinstance(node, yaml.SequenceNode):
            built = Listing(
                origin, tuple(self.build(item, (*path, i), depth + 1) for i, item in enumerate(node.value))
            )
        else:
            built = self._mapping(node, origin, path, depth)
        self.open.discard(id(node))
        return built

    def _mapping(self, node: yaml.Node, origin: Origin, path: Path_, depth: int) -> Mapping:
        items: dict[str, Node] = {}
        keys: dict[str, Origin] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(line, path, "has a key that is not a name", "write 'name: value'")
                continue
            key = key_node.value
            if key == "<<" and key_node.style is None:
                self._refuse(
                    line,
                    path,
                    "has a merge key '<<'",
                    "write the settings out, or lay a second --config over",
                )
                continue
            value = self.build(value_node, (*path, key), depth + 1)
            if key in keys:
                # What follows `credentials` may be a secret in the wrong place.
                shown = path if "credentials" in path else (*path, key)
                self._refuse(
                    line, shown, f"is set twice, first on line {keys[key].line}", "keep one of the two"
                )
                continue
            items[key] = value
            keys[key] = Origin(self.name, line)
        return Mapping(origin, items, keys)

    def _refuse(self, line: int, path: Path_, text: str, way_out: str) -> None:
        self.problems.append(Problem(self.name, line, render_path(path), text, way_out))


def _too_deep(name: str, line: int) -> Problem:
    return Problem(
        name, line, "", f"is nested deeper than {MAX_DEPTH} levels", "check its brackets and indentation"
    )


def _syntax(error: yaml.YAMLError, name: str) -> Problem:
    """PyYAML's own message without what it quotes of the file, which may be a secret."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "cannot be read"
    line = mark.line + 1 if mark is not None else 0
    told = _without_quoted("'…'", str(what))
    return Problem(
        name,
        line,
        "",
        f"is not YAML ({told})",
        "mend the line; write values with ': ', '#' or brackets in quotes, such as \"${NAME}\" within braces",
    )


def scalars(node: Node, path: Path_ = ()) -> Iterator[tuple[Path_, Scalar]]:
    """Every value at and below `node` with its path from it."""
    match node:
        case Scalar():
            yield path, node
        case Listing():
            for index, item in enumerate(node.items):
                yield from scalars(item, (*path, index))
        case Mapping():
            for key, item in node.items.items():
                yield from scalars(item, (*path, key))


def plain(node: Node) -> object:
    """The tree as dicts, lists, texts and None."""
    match node:
        case Scalar():
            return node.text
        case Listing():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(item) for key, item in node.items.items()}


def lay_over(lower: Node, upper: Node) -> Node:
    """`upper` laid over `lower`: mappings merge key by key at every depth; a value, a null or a list replaces what was
    there.
    """
    if not (isinstance(lower, Mapping) and isinstance(upper, Mapping)):
        return upper
    items = dict(lower.items)
    for key, node in upper.items.items():
        items[key] = lay_over(items[key], node) if key in items else node
    return Mapping(upper.origin, items, lower.keys | upper.keys)
