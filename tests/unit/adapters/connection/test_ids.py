"""What an order is called at the venue: computed, within the venue's limits, and read back."""

from __future__ import annotations

import re
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokergate.adapters.connection import ids
from brokergate.adapters.connection.ids import VenueIds
from brokergate.domain.orders import OrderOrigin
from tests.unit.adapters.paper.hand_clock import order

CLIENT_IDS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=64)
BINANCE = re.compile(r"[a-zA-Z0-9-_]{1,36}", re.ASCII).fullmatch


@given(client_order_id=CLIENT_IDS, generation=st.integers(1, 999))
def test_every_id_fits_the_venue_and_is_read_back(client_order_id: str, generation: int) -> None:
    own = VenueIds("binance-main", 36)
    name = own.venue_id(client_order_id, generation)
    assert BINANCE(name)
    assert own.own(name)
    assert own.client_id(name) == (client_order_id, generation)
    assert VenueIds("binance-main", 36).venue_id(client_order_id, generation) == name


@given(first=st.tuples(CLIENT_IDS, st.integers(1, 99)), second=st.tuples(CLIENT_IDS, st.integers(1, 99)))
def test_two_orders_are_never_called_the_same(first: tuple[str, int], second: tuple[str, int]) -> None:
    own = VenueIds("main", 36)
    assert (own.venue_id(*first) == own.venue_id(*second)) == (first == second)


@given(client_order_id=CLIENT_IDS)
def test_another_account_with_the_same_key_takes_nothing_for_its_own(client_order_id: str) -> None:
    mine, other = VenueIds("main", 36), VenueIds("hedge", 36)
    name = mine.venue_id(client_order_id, 1)
    assert (other.own(name), other.client_id(name)) == (False, None)


@pytest.mark.parametrize("name", ["", "web_9f3", "x-R4BD3S82abc", "b", "-", "b1-a", "B2F4C1-a", "ios_17"])
def test_ids_of_others_are_nobodys(name: str) -> None:
    own = VenueIds("main", 36)
    assert (own.own(name), own.client_id(name)) == (False, None)


def test_a_restart_knows_the_orders_that_the_journal_has_open() -> None:
    """Their present generations, those of before, and the one that a replace under way would make."""
    long = "x" * 64
    working = replace(order("BTC/USDT", 1, "1", name=long), generation=2)
    names = [VenueIds("main", 36).venue_id(long, generation) for generation in (1, 2, 3)]
    own = VenueIds("main", 36)
    assert [own.client_id(name) for name in names] == [None, None, None]
    own.load([working])
    assert [own.client_id(name) for name in names] == [(long, 1), (long, 2), (long, 3)]
    others = VenueIds("main", 36)
    others.load([replace(working, origin=OrderOrigin.EXTERNAL)])
    assert others.client_id(names[0]) is None


def test_memory_is_bounded_and_what_was_used_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ids, "REMEMBERED", 3)
    own = VenueIds("main", 36)
    names = [own.venue_id(f"{number:064}", 1) for number in range(3)]
    own.venue_id(f"{0:064}", 1)
    own.venue_id("y" * 64, 1)
    assert [own.client_id(name) is not None for name in names] == [True, False, True]
    assert own.own(names[1])


def test_a_narrow_venue() -> None:
    """18 letters and digits: everything is hashed that does not fit."""
    letters = frozenset(string.ascii_letters + string.digits)
    own = VenueIds("main", 24, alphabet=letters, plain="P", hashed="H")
    for client_order_id in ("a", "my-order", "z" * 64):
        name = own.venue_id(client_order_id, 1)
        assert len(name) <= 24
        assert letters.issuperset(name)
        assert own.client_id(name) == (client_order_id, 1)


@pytest.mark.parametrize(("length", "alphabet"), [(10, ids.ALPHABET), (36, frozenset(string.digits))])
def test_a_venue_whose_ids_tell_no_orders_apart(length: int, alphabet: frozenset[str]) -> None:
    with pytest.raises(ValueError, match="too short, or lack letters"):
        VenueIds("main", length, alphabet=alphabet)
