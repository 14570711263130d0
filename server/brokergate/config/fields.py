"""Which settings there are: the models, walked by a setting's path."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from brokergate.config.document import Path_


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its path with `<id>` for names that the user chooses and `[]` for items of a list."""

    path: str
    field: FieldInfo
    sections: tuple[type[BaseModel], ...]
    """The sections that it holds, if it holds any."""


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """Every setting of `model` and of the sections in it, in the models' order."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        found = tuple(dict.fromkeys(section for section, _ in _sections(field.annotation, "")))
        yield Setting(path, field, found)
        for section, step in _sections(field.annotation, ""):
            yield from settings(section, f"{path}{step}.")


def _sections(annotation: Any, step: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The sections within a type, each with what comes between the setting's name and theirs."""
    for kind in alternatives(annotation):
        origin, arguments = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield kind, step
        elif origin in (dict, Mapping):
            yield from _sections(arguments[1], f"{step}.<id>")
        elif origin in (list, tuple, Sequence):
            yield from _sections(arguments[0], f"{step}[]")


def alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, without `Annotated` and the like."""
    while hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from alternatives(member)
    else:
        yield annotation


def types_at(model: type[BaseModel], path: Path_) -> list[Any]:
    """The types that a value at `path` may have; none where there is no such setting."""
    found: list[Any] = [model]
    for part in path:
        found = list(_step(found, part))
    return found


def _step(kinds: Iterable[Any], part: str | int) -> Iterator[Any]:
    for kind in kinds:
        origin, arguments = get_origin(kind), get_args(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            for name, field in kind.model_fields.items():
                if part == (field.alias or name):
                    yield from alternatives(field.annotation)
        elif origin in (dict, Mapping) and isinstance(part, str):
            yield from alternatives(arguments[1])
        elif origin in (list, tuple, Sequence):
            # A setting that may be a list may be written as its only item.
            items = list(alternatives(arguments[0]))
            yield from items if isinstance(part, int) else _step(items, part)


def names_at(model: type[BaseModel], path: Path_) -> list[str]:
    """The settings that the section at `path` knows."""
    names: dict[str, None] = {}
    for kind in types_at(model, path):
        is_list = get_origin(kind) in (list, tuple, Sequence)
        for member in alternatives(get_args(kind)[0]) if is_list else (kind,):
            if isinstance(member, type) and issubclass(member, BaseModel):
                names |= {field.alias or name: None for name, field in member.model_fields.items()}
    return list(names)


def description_at(model: type[BaseModel], path: Path_) -> str:
    """What the setting at `path` is said to be; empty where there is none."""
    for depth in range(len(path), 0, -1):
        for kind in types_at(model, path[: depth - 1]):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                for name, field in kind.model_fields.items():
                    if path[depth - 1] == (field.alias or name):
                        return " ".join((field.description or "").split())
    return ""


def is_secret(model: type[BaseModel], path: Path_) -> bool:
    """Whether the value at `path` is, or is below, a secret or the place where secrets are kept."""
    return any(
        kind is SecretStr or (get_origin(kind) is dict and SecretStr in alternatives(get_args(kind)[1]))
        for depth in range(1, len(path) + 1)
        for kind in types_at(model, path[:depth])
    )
