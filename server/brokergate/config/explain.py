"""pydantic's errors as problems: where in the file, which setting, the value as it is written, the way out.

What a variable holds is never shown, and of a secret nothing at all (law 10). The value that is shown is the text of
the file; pydantic's message, which may repeat what it was given, has every variable's value taken out of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from brokergate.config.document import Listing, Mapping, Node, Origin, Path_, Scalar, render_path, scalars
from brokergate.config.fields import description_at, is_secret, names_at
from brokergate.config.problems import Problem, nearest
from brokergate.config.section import ID_PATTERN
from brokergate.domain.errors import shorten

_looks_secret = re.compile(r"secret|token|passw|passphrase|private|api_?key|credential", re.IGNORECASE).search
_NULL = Scalar(Origin(""), None, "")


def explain(
    model: type[BaseModel], tree: Mapping, errors: Sequence[ErrorDetails], failed: Collection[Path_]
) -> Iterator[Problem]:
    """A problem for each of `errors`, but for what only follows from the values at `failed`, which were told before."""
    for error in errors:
        path, problem = _explain(model, tree, error)
        within = any(path[: len(other)] == other for other in failed)
        around = error["type"] == "value_error" and any(other[: len(path)] == path for other in failed)
        if not (within or around):
            yield problem


def _explain(model: type[BaseModel], tree: Mapping, error: ErrorDetails) -> tuple[Path_, Problem]:
    path, node, origin = _locate(tree, error)
    kind = error["type"]
    if kind == "missing":
        what, way_out = "is missing", f"add it: {_first_sentence(description_at(model, path))}"
    elif kind == "extra_forbidden":
        what, way_out = _unknown(model, path)
    elif error["loc"][-1:] == ("[key]",):
        if is_secret(model, path[:-1]):
            # A name where a secret was meant may be the secret.
            path = path[:-1]
            what, way_out = (
                "has a name that is not allowed",
                "write names of a-z, 0-9 and '_', such as api_key",
            )
        elif (pattern := error.get("ctx", {}).get("pattern")) in (None, ID_PATTERN):
            what, way_out = "is not an id", "use letters, digits, '_' and '-', at most 64"
        else:
            what, way_out = "is not a name for it", f"write one that matches {pattern}"
    else:
        what, way_out = _invalid(model, path, node, error)
    return path, Problem(origin.file, origin.line, render_path(path), what, way_out)


def _locate(tree: Mapping, error: ErrorDetails) -> tuple[Path_, Node, Origin]:
    """The path in the file of what pydantic names by its own: it puts in the tags of unions, and items where a list
    was written as its only one."""
    path: list[str | int] = []
    node: Node = tree
    origin = tree.origin
    location = error["loc"]
    for index, part in enumerate(location):
        match node:
            case Mapping() if isinstance(part, str) and part in node.items:
                origin = node.keys[part]
                node = node.items[part]
                path.append(part)
            case Mapping() if (
                index == len(location) - 1 and isinstance(part, str) and error["type"] == "missing"
            ):
                path.append(part)
            case Listing() if isinstance(part, int) and part < len(node.items):
                node = node.items[part]
                origin = node.origin
                path.append(part)
            case _:
                continue
    return tuple(path), node, origin


def _unknown(model: type[BaseModel], path: Path_) -> tuple[str, str]:
    names = names_at(model, path[:-1])
    if close := nearest(str(path[-1]), names):
        return "is not a setting", f"did you mean {close}?"
    return "is not a setting", f"remove it; known here: {', '.join(names) or 'nothing'}"


def _invalid(model: type[BaseModel], path: Path_, node: Node, error: ErrorDetails) -> tuple[str, str]:
    expected = f"it is: {_first_sentence(description_at(model, path))}"
    context: dict[str, Any] = error.get("ctx", {})
    kind = error["type"]
    message = _cleaned(error["msg"], node).removeprefix("Value error, ")
    value = _shown(model, path, node)
    if isinstance(node, Scalar) and node.text is None and kind != "value_error":
        return "is null", f"give it a value or remove the line; {expected}"
    match kind:
        case "value_error":
            what, _, way_out = message.partition("; ")
            return f"{value}{what}", way_out or expected
        case "enum" | "literal_error":
            choices = re.findall(r"'([^']*)'", str(context.get("expected", "")))
            secret = is_secret(model, path) or not isinstance(node, Scalar) or node.text != node.written
            close = None if secret else nearest(_written(node), choices)
            hint = f" (did you mean {close}?)" if close else ""
            return f"{value}is not one of {', '.join(choices)}", f"write one of them{hint}"
        case "model_type" | "model_attributes_type" | "dict_type" | "mapping_type":
            return f"{value}is not a section", f"write its settings below it, indented; {expected}"
        case "list_type" | "tuple_type":
            return f"{value}is not a list", f"write '[a, b]', or one item a line after '- '; {expected}"
        case "string_pattern_mismatch":
            return f"{value}does not match {context.get('pattern')}", expected
        case "too_short" | "too_long":
            return f"{value}{_count_text(context)}", expected
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            return f"{value}is out of range", f"{_bound_text(kind, context)}; {expected}"
        case _:
            return f"{value}is refused: {message}", expected


def _bound_text(kind: str, context: dict[str, Any]) -> str:
    sign, key = {
        "greater_than_equal": ("at least", "ge"),
        "greater_than": ("more than", "gt"),
        "less_than_equal": ("at most", "le"),
        "less_than": ("less than", "lt"),
    }[kind]
    return f"write {sign} {context.get(key)}"


def _count_text(context: dict[str, Any]) -> str:
    if "min_length" in context:
        return f"holds fewer than {context['min_length']} entries"
    return f"holds more than {context.get('max_length')} entries"


def _shown(model: type[BaseModel], path: Path_, node: Node) -> str:
    """The value as the file has it, with a blank after it; nothing of what is or looks like a secret."""
    match node:
        case Scalar(text=None):
            return "(null) "
        case Scalar() if is_secret(model, path) or any(_looks_secret(str(part)) for part in path):
            return ""
        case Scalar():
            return f"({shorten(node.written)!r}) "
        case _:
            return ""


def _cleaned(message: str, node: Node) -> str:
    """`message` without what came from variables, or could not be known to be no secret."""
    for _, scalar in scalars(node):
        if scalar.text and scalar.text != scalar.written:
            message = message.replace(scalar.text, scalar.written)
    return message


def _written(node: Node) -> str:
    return node.written if isinstance(node, Scalar) else ""


def _first_sentence(description: str) -> str:
    """The beginning of a description, enough to know what to write."""
    return (
        re.split(r"(?<=[^.])\. ", description, maxsplit=1)[0].rstrip(".").replace("`", "'")
        or "see the documentation"
    )
