"""Ids under which a thing is done once."""

from __future__ import annotations

import base64
import secrets


def new_id() -> str:
    """A client_order_id or request_id that nobody else makes: 128 random bits in 26 characters of `[A-Z2-7]`."""
    return base64.b32encode(secrets.token_bytes(16)).decode("ascii").rstrip("=")
