"""Splicing of serialised messages: what was encoded once is put into its envelope as bytes, not parsed and built anew.

Only what protobuf's encoding guide promises is used: a message is its fields one after another, a nested message is
its tag, its length and its bytes, and two serialised messages in a row are their merge. Field numbers are read from
the descriptors, so that the contract stays the only place that knows them.
"""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor

_DELIMITED = 2
_VARINT = 0


def varint(value: int) -> bytes:
    """`value`, 0 or above, in base 128, low group first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_LENGTHS = tuple(varint(length) for length in range(4096))


def delimited_tag(message: Descriptor, field: str) -> bytes:
    """The tag of a field of `message` that is a string, bytes or a message."""
    return varint(message.fields_by_name[field].number << 3 | _DELIMITED)


def varint_tag(message: Descriptor, field: str) -> bytes:
    """The tag of a field of `message` that is an integer, an enum or a bool."""
    return varint(message.fields_by_name[field].number << 3 | _VARINT)


def delimited(tag: bytes, body: bytes) -> bytes:
    """One field: `tag` as `delimited_tag` gives it, and the bytes of its value."""
    length = len(body)
    return tag + (_LENGTHS[length] if length < 4096 else varint(length)) + body
