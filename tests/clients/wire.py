"""Between the scenarios' JSON and the contract's messages."""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from brokergate_client import contract_method

# Field 20000 of the type string: no message of the contract has it, and none will.
_NEWER_FIELD = bytes([0x82, 0xE2, 0x09, 0x05]) + b"newer"


def request_text(rpc: str, content: dict[str, Any]) -> str:
    """A request in base64."""
    return _text(json_format.ParseDict(content, contract_method(rpc).request_type()))


def response_content(rpc: str, text: str) -> dict[str, Any]:
    """What a response in base64 says."""
    return content(contract_method(rpc).response_type.FromString(base64.b64decode(text, validate=True)))


def response(rpc: str, said: dict[str, Any]) -> Any:
    """A response from its content; with `$newer` every message in it has a field that no client knows."""
    said = dict(said)
    newer = said.pop("$newer", False)
    message = json_format.ParseDict(said, contract_method(rpc).response_type())
    if newer:
        _add_newer(message)
    return message


def content(message: Message) -> dict[str, Any]:
    """A message as JSON has it, with the contract's own names; unknown fields are left out."""
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def _text(message: Any) -> str:
    return base64.b64encode(message.SerializeToString(deterministic=True)).decode("ascii")


def _add_newer(message: Any) -> None:
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        # `is_repeated` came with protobuf 6.
        for inner in value if isinstance(value, list) or hasattr(value, "append") else [value]:
            _add_newer(inner)
    message.MergeFromString(_NEWER_FIELD)
