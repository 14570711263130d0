"""What an order of the gateway is called at the venue.

A venue's id says whose it is: the account's own mark first, so that orders of others, and of another account that
shares the key, are never taken for this one's. Where it fits, the client's id follows as it is and can be read back;
where not, a hash of it does. Either way it is computed, never drawn: after a crash the same order has the same id
(law 2).

    b4f2c1-my-order-7            generation 1 of `my-order-7`, of the account whose mark is 4f2c
    b4f2c2_mzxw6ytboi4dsmzq...   generation 2 of a client id that is too long
"""

from __future__ import annotations

import hashlib
import re
import string
from base64 import b32encode
from collections.abc import Iterable

from brokergate.domain.orders import Order, OrderOrigin

ALPHABET = frozenset(string.ascii_letters + string.digits + "-_")
"""What Binance, Alpaca and most others take."""
REMEMBERED = 65_536
"""Hashed ids that can be read back; an older order is still found by the broker's own id."""
_MARK = 4
_HASH = 26
"""130 bits."""
_LEAST_HASH = 12
"""60 bits, for the shortest ids that any venue has: 18 characters."""


class VenueIds:
    """The venue's ids of one account's orders, at most `max_length` long and of `alphabet`. `plain` and `hashed` part
    the mark from what follows: two characters of the alphabet."""

    def __init__(
        self,
        account_id: str,
        max_length: int,
        *,
        alphabet: frozenset[str] = ALPHABET,
        plain: str = "-",
        hashed: str = "_",
    ) -> None:
        self._prefix = f"b{_digest(account_id, length=_MARK)}"
        self._max_length = max_length
        self._alphabet = alphabet
        self._plain, self._hashed = plain, hashed
        self._parse = re.compile(
            f"{self._prefix}([0-9]+)({re.escape(plain)}|{re.escape(hashed)})(.+)", re.DOTALL
        ).fullmatch
        self._known: dict[str, tuple[str, int]] = {}
        spare = max_length - len(self._head(999, hashed))
        if spare < _LEAST_HASH or not alphabet.issuperset(self._prefix + string.digits + plain + hashed):
            raise ValueError(
                f"ids of {max_length} characters are too short, or lack letters, to tell orders apart"
            )

    def venue_id(self, client_order_id: str, generation: int) -> str:
        """What this generation of the order is called at the venue."""
        plain = self._head(generation, self._plain) + client_order_id
        if len(plain) <= self._max_length and self._alphabet.issuperset(client_order_id):
            return plain
        head = self._head(generation, self._hashed)
        digest = _digest(client_order_id, str(generation), length=min(_HASH, self._max_length - len(head)))
        self._remember(head + digest, (client_order_id, generation))
        return head + digest

    def client_id(self, venue_id: str) -> tuple[str, int] | None:
        """The client's id and the generation; None for an order of others, and for a hashed id that was forgotten."""
        parsed = self._parse(venue_id)
        if parsed is None:
            return None
        generation, mark, rest = parsed.groups()
        if mark == self._plain:
            return rest, int(generation)
        return self._known.get(venue_id)

    def own(self, venue_id: str) -> bool:
        """Whether the order is this account's, also where its client id is forgotten."""
        return self._parse(venue_id) is not None

    def load(self, orders: Iterable[Order]) -> None:
        """Learns the ids of what the journal has open (`RestoredState.open_orders`): of each order's generations, and
        of the one that a replace under way would make."""
        for order in orders:
            if order.origin is OrderOrigin.EXTERNAL:
                continue
            for generation in range(1, order.generation + 2):
                self.venue_id(order.client_order_id, generation)

    def _head(self, generation: int, parting: str) -> str:
        return f"{self._prefix}{generation}{parting}"

    def _remember(self, venue_id: str, known: tuple[str, int]) -> None:
        # The one that was used last goes last.
        self._known.pop(venue_id, None)
        self._known[venue_id] = known
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]


def _digest(*parts: str, length: int) -> str:
    """Lower-case letters and digits 2-7: the first `length` of a hash of `parts`."""
    whole = "".join(f"{len(part)}:{part}" for part in parts)
    return b32encode(hashlib.sha256(whole.encode()).digest()).decode().lower()[:length]
