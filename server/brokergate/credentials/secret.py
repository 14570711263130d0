"""Secrets of the configuration: texts that show themselves to nobody until they are used (law 10)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, SecretStr

MAX_SECRET_BYTES = 64 * 1024
"""Size of a file that holds a secret: an RSA key in PEM is some 3 KiB."""


def _secret(value: object) -> object:
    """A text, or `{file: PATH}`: what the file holds without the line's end. Errors hold no part of the value."""
    if isinstance(value, Mapping):
        if set(value) != {"file"} or not isinstance(value["file"], str | Path):
            raise ValueError("is a mapping; write '{file: PATH}' to read a secret from a file")
        value = read_secret(Path(value["file"]))
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if not isinstance(value, str):
        raise ValueError("is not a text; write '${NAME}' to take it from the environment")
    if not value.strip():
        raise ValueError("is empty; set the variable or the file that it is taken from")
    if not is_text(value):
        raise ValueError("is not UTF-8; set it again, as the broker shows it")
    return SecretStr(value)


def is_text(value: str) -> bool:
    """Whether it can be sent: what a variable holds that is not UTF-8 cannot, and the error of an attempt would hold
    all of it."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def read_secret(path: Path) -> str:
    """What a file holds, without the line's end. `ValueError` for a file that cannot be read, is too large or no text;
    it holds no part of what is in it."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        if len(raw) > MAX_SECRET_BYTES:
            raise ValueError(
                f"is in a file larger than {MAX_SECRET_BYTES} bytes; name a file that holds it alone"
            )
        return raw.decode("utf-8").rstrip("\r\n")
    except OSError as error:
        raise ValueError(
            f"is in a file that cannot be read ({error.strerror}); name a file that this user may read"
        ) from None
    except UnicodeDecodeError:
        raise ValueError("is in a file that is not UTF-8; name a file that holds a text") from None


Secret = Annotated[SecretStr, BeforeValidator(_secret)]
"""A secret: written `${NAME}` or `{file: PATH}`; outside production also as a text in the file."""
