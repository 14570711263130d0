"""Changes one field of a message, named by its path."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.message import Message

from tests.e2e.badinput.contract import is_map
from tests.e2e.badinput.forms import ABSENT

_step = re.compile(r"([a-z][a-z0-9_]*)(?:\[(\d+)\])?")


def parent_path(path: str) -> str:
    """The path of the message that holds the field, with its point; '' at the top."""
    return path[: path.rfind(".") + 1]


def holder(message: Message, path: str) -> Message:
    """The message that holds the field `path`; made where it is not there yet."""
    for name, index in _step.findall(parent_path(path)):
        inner: Any = getattr(message, name)
        if index:
            while len(inner) <= int(index):
                inner.add()
            message = inner[int(index)]
        else:
            inner.SetInParent()
            message = inner
    return message


def put(message: Message, path: str, value: Any) -> None:
    """Sets the field `path` of `message`: ABSENT clears it, lists and dicts replace what is there."""
    target = holder(message, path)
    name = path[len(parent_path(path)) :]
    field = target.DESCRIPTOR.fields_by_name[name]
    if value is ABSENT:
        target.ClearField(name)
    elif field.is_repeated:
        target.ClearField(name)
        inner: Any = getattr(target, name)
        if is_map(field):
            inner.update(value)
        else:
            inner.extend(value)
    elif isinstance(value, Message):
        getattr(target, name).CopyFrom(value)
    else:
        setattr(target, name, value)
