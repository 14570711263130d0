"""Linked orders whose venue is taken up again: from what was kept of it, and from the journal alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, ProtectiveLeg
from brokergate.ports.broker import GroupKind, OrderReport, PushedUpdate
from tests.unit.adapters.paper.durable import Desk
from tests.unit.adapters.paper.hand_clock import accepted, order, stop
from tests.unit.adapters.paper.test_live import PUSHED, quote

SPOT = {"initial_balance": {"USDT": "1000000", "BTC": "10"}}
SHORT = {**SPOT, "allow_short": ["spot"]}


async def opened(**settings: object) -> Desk:
    desk = await Desk(PUSHED, **settings).open()
    await pushed(desk, quote("100", "101"))
    return desk


async def pushed(desk: Desk, *updates: PushedUpdate) -> None:
    await desk.broker.push(list(updates))
    desk.commit()


def bracket(quantity: str = "4", limit: str = "99", target: str = "105", guard: str = "95") -> list[Order]:
    """Buys at `limit`; sells at `target`, or as soon as the price falls to `guard`."""
    entry = order("BTC/USDT", 1, quantity, limit, name="entry")
    legs = ProtectiveLeg("target", Decimal(target)), ProtectiveLeg("guard", stop_price=Decimal(guard))
    spec = replace(entry.spec, take_profit=legs[0], stop_loss=legs[1])
    closing = [
        order("BTC/USDT", -1, quantity, target, name="target"),
        stop("BTC/USDT", -1, quantity, guard, name="guard"),
    ]
    return [
        replace(entry, spec=spec),
        *[replace(leg, spec=replace(leg.spec, reduce_only=True)) for leg in closing],
    ]


async def place(desk: Desk, kind: GroupKind, orders: Sequence[Order]) -> None:
    for outcome in await desk.place_group(kind, *orders):
        accepted(outcome)
    desk.commit()


def standing(desk: Desk) -> dict[str, tuple[str, str]]:
    """(filled, left) of what is open, as the journal has it."""
    return {
        name: (f"{known.cum_quantity.normalize():f}", f"{known.leaves_quantity.normalize():f}")
        for name, known in desk.books.open.items()
    }


async def held(desk: Desk, currency: str) -> Decimal:
    (found,) = [balance for balance in await desk.broker.get_balances() if balance.currency == currency]
    return found.held


@pytest.mark.parametrize("settings", [SPOT, SHORT])
async def test_a_bracket_that_sleeps_is_taken_up_from_what_was_kept(settings: dict[str, object]) -> None:
    """The journal's leaves are awake and asleep together: the two agree, and the market goes on."""
    desk = await opened(**settings)
    await place(desk, GroupKind.BRACKET, bracket())
    await desk.die()
    view = desk.broker.quote("BTC/USDT")
    assert view is not None
    assert view.bid_price == 100
    await desk.broker.close()


@pytest.mark.parametrize("settings", [SPOT, SHORT])
async def test_legs_sleep_on_until_their_entry_fills(settings: dict[str, object]) -> None:
    """Without their link, both legs would sell at once what nobody bought."""
    desk = await opened(**settings)
    await place(desk, GroupKind.BRACKET, bracket())
    await desk.lose()
    await pushed(desk, quote("106", "107"))
    assert standing(desk) == {"entry": ("0", "4"), "target": ("0", "4"), "guard": ("0", "4")}
    await pushed(desk, quote("98", "99", "1"))
    await pushed(desk, quote("106", "107"))
    assert standing(desk) == {"entry": ("1", "3"), "target": ("1", "3"), "guard": ("0", "3")}
    await desk.broker.close()


@pytest.mark.parametrize("settings", [SPOT, SHORT])
async def test_an_entry_that_filled_in_part_has_so_much_awake(settings: dict[str, object]) -> None:
    desk = await opened(**settings)
    await place(desk, GroupKind.BRACKET, bracket())
    await pushed(desk, quote("98", "99", "3"))
    assert standing(desk) == {"entry": ("3", "1"), "target": ("0", "4"), "guard": ("0", "4")}
    await desk.lose()
    await pushed(desk, quote("105", "106", "2"))
    assert standing(desk) == {"entry": ("3", "1"), "target": ("2", "2"), "guard": ("0", "2")}
    await desk.lose()
    await pushed(desk, quote("106", "107"))
    assert standing(desk) == {"entry": ("3", "1"), "target": ("3", "1"), "guard": ("0", "1")}
    await desk.cancel("entry")
    assert standing(desk) == {}
    await desk.broker.close()


@pytest.mark.parametrize("settings", [SPOT, SHORT])
async def test_the_legs_of_an_entry_that_has_filled_end_each_other(settings: dict[str, object]) -> None:
    desk = await opened(**settings)
    await place(desk, GroupKind.BRACKET, bracket())
    await pushed(desk, quote("98", "99"))
    assert standing(desk) == {"target": ("0", "4"), "guard": ("0", "4")}
    await desk.lose()
    await pushed(desk, quote("105", "106", "1"))
    assert standing(desk) == {"target": ("1", "3"), "guard": ("0", "3")}
    await pushed(desk, quote("95", "96"), quote("94", "95"))
    assert standing(desk) == {}
    (position,) = await desk.broker.get_positions()
    assert position.quantity == 0
    await desk.broker.close()


async def test_an_oco_takes_from_each_other_and_pays_once() -> None:
    desk = await opened(**SPOT)
    orders = [order("BTC/USDT", -1, "8", "105", name="high"), stop("BTC/USDT", -1, "8", "95", name="low")]
    await place(desk, GroupKind.OCO, orders)
    await desk.lose()
    assert await held(desk, "BTC") == 8
    await pushed(desk, quote("105", "106", "5"))
    assert standing(desk) == {"high": ("5", "3"), "low": ("0", "3")}
    assert await held(desk, "BTC") == 3
    await pushed(desk, quote("107", "108"))
    assert standing(desk) == {}
    ends = [said for said in desk.books.log if isinstance(said, OrderReport)]
    assert (ends[-1].client_order_id, ends[-1].event) == ("low", OrderEventType.CANCELED)
    await desk.broker.close()


async def test_an_oco_that_lost_its_first_order_is_one_still() -> None:
    """The order whose id the group has is gone; the others know each other by it."""
    desk = await opened(**SPOT)
    orders = [order("BTC/USDT", -1, "2", price, name=price) for price in ("105", "106", "107")]
    await place(desk, GroupKind.OCO, orders)
    await desk.cancel("105")
    desk.commit()
    await desk.lose()
    await pushed(desk, quote("106", "107"))
    assert standing(desk) == {}
    await desk.broker.close()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("settings", [SPOT, SHORT])
async def test_who_loses_the_venue_trades_as_who_does_not(settings: dict[str, object], seed: int) -> None:
    """The same quotes, one account losing its venue's state between them: orders stand the same after each."""
    random = Random(seed)
    desks = [await opened(**settings) for _ in range(2)]
    for desk in desks:
        await place(desk, GroupKind.BRACKET, bracket("9"))
    for _ in range(40):
        bid, size = random.choice((98, 98, 100, 105, 95)), str(random.randint(1, 3))
        losing = random.random() < 0.5
        for desk in desks:
            if losing and desk is desks[1]:
                await desk.lose()
            # What was taken of a level is forgotten with the venue: between two looks at one it goes.
            await pushed(desk, quote("100", "110"), quote(str(bid), str(bid + 1), size))
        assert standing(desks[0]) == standing(desks[1])
    assert desks[0].books.fills == desks[1].books.fills > 1
    for desk in desks:
        await desk.broker.close()


@pytest.mark.parametrize("filled", [0, 3])
async def test_an_entry_that_cannot_be_taken_up_leaves_what_it_filled(filled: int) -> None:
    """Its price is off the tick of the instrument as it is now: it ends, and its legs close what there is."""
    desk = await opened(**SPOT)
    await place(desk, GroupKind.BRACKET, bracket())
    if filled:
        await pushed(desk, quote("98", "99", str(filled)))
    entry = desk.durable.open["entry"]
    off_tick = replace(entry.spec, limit_price=Decimal("98.0000000001"))
    desk.durable.open["entry"] = replace(entry, spec=off_tick)
    await desk.lose()
    assert standing(desk) == ({"target": ("0", "3"), "guard": ("0", "3")} if filled else {})
    await pushed(desk, quote("105", "106", "1"))
    assert standing(desk) == ({"target": ("1", "2"), "guard": ("0", "2")} if filled else {})
    await desk.broker.close()
