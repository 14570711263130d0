"""Open groups: cancels, stops, gaps and restarts."""

from __future__ import annotations

from decimal import Decimal

from brokergate.domain.commands import CancelOrder, EmergencyStop, OrderRef
from brokergate.domain.errors import ErrorReason
from brokergate.domain.events import OrderEventType
from brokergate.domain.orders import Order, OrderSpec, OrderState, OrderType, Side
from brokergate.domain.policy import AccountPolicy, RiskLimits
from brokergate.domain.values import changed
from brokergate.ports.broker import Accepted, OrderReport, Outcome
from tests.unit.engine.groups.bench import (
    BRACKET,
    bracket,
    linking,
    links,
    oco,
    placed,
    report,
    states,
    tell,
)
from tests.unit.engine.street import House, request

LIMITED = AccountPolicy(risk=RiskLimits(max_position_quantity={"BTC/USDT": Decimal(4)}))


def ends_legs(house: House) -> None:
    """The street, as a venue does, ends sleeping legs with their entry, or leaves them what it filled."""
    plain = house.broker.cancel_order

    async def cancel(order: Order) -> Outcome:
        if house.broker.orders[order.client_order_id].state is OrderState.CANCELED:
            return Accepted(order.broker_order_id)
        outcome = await plain(order)
        assert isinstance(outcome, Accepted)
        reports = list(outcome.reports)
        if order.client_order_id == "entry":
            filled = house.broker.orders["entry"].cum_quantity
            for leg in ("tp", "sl"):
                shown = house.broker.orders[leg]
                if shown.state is OrderState.CANCELED:
                    continue
                kind, state = OrderEventType.REPLACED, OrderState.NEW
                if not filled:
                    kind, state = OrderEventType.CANCELED, OrderState.CANCELED
                house.broker.orders[leg] = changed(shown, state=state, quantity=filled or shown.quantity)
                told = report(house, kind, leg, quantity=filled or None)
                reason = ErrorReason.UNSPECIFIED if filled else ErrorReason.LINKED_ORDER
                reports.append(changed(told, reason=reason, message="the entry ended"))
        return Accepted(outcome.broker_order_id, reports)

    house.broker.cancel_order = cancel  # type: ignore[method-assign]


async def cancel(house: House, name: str) -> None:
    await house.gateway.cancel_order(
        CancelOrder("main", OrderRef(client_order_id=name)), request(f"c-{name}")
    )


async def test_one_leg_that_fills_in_part_makes_the_other_smaller() -> None:
    async with linking() as house:
        await placed(house, bracket())
        await tell(house, house.broker.fill("entry", "4", ends=True))
        await tell(
            house,
            house.broker.fill("tp", "1"),
            report(house, OrderEventType.REPLACED, "sl", quantity=Decimal(3), message="tp filled 1"),
        )
        profit, loss = house.order("tp"), house.order("sl")
        assert (profit.leaves_quantity, loss.quantity, loss.generation) == (Decimal(3), Decimal(3), 2)
        await tell(
            house,
            house.broker.fill("tp", "3", ends=True),
            report(
                house, OrderEventType.CANCELED, "sl", reason=ErrorReason.LINKED_ORDER, message="tp filled"
            ),
        )
        assert states(house) == ["FILLED", "FILLED", "CANCELED"]
        assert house.order("sl").reject_reason is ErrorReason.LINKED_ORDER


async def test_a_cancelled_entry_leaves_its_legs_what_it_filled() -> None:
    async with linking() as house:
        ends_legs(house)
        await placed(house, bracket())
        await tell(house, house.broker.fill("entry", "1"))
        await cancel(house, "entry")
        assert states(house) == ["CANCELED", "NEW", "NEW"]
        assert [house.order(leg).quantity for leg in ("tp", "sl")] == [Decimal(1)] * 2


async def test_a_cancelled_entry_that_filled_nothing_takes_its_legs_with_it() -> None:
    async with linking() as house:
        ends_legs(house)
        await placed(house, bracket())
        await cancel(house, "entry")
        assert states(house) == ["CANCELED"] * 3


async def test_a_total_whose_report_was_lost_is_found_by_a_poll() -> None:
    async with linking() as house:
        await placed(house, oco())
        house.broker.orders["low"] = changed(house.broker.orders["low"], quantity=Decimal(3))
        house.broker.fill("high", "1")
        await house.clock.advance(60)
        low, high = house.order("low"), house.order("high")
        assert (low.quantity, low.generation, high.leaves_quantity) == (Decimal(3), 2, Decimal(3))
        await house.clock.advance(60)
        assert house.order("low").generation == 2


async def test_what_a_group_did_during_a_gap_is_found_after_it() -> None:
    async with linking() as house:
        await placed(house, bracket())
        house.broker.reachable = False
        house.broker.lose()
        house.broker.fill("entry", "4", ends=True)
        house.broker.fill("tp", "4", ends=True)
        house.broker.orders["sl"] = changed(
            house.broker.orders["sl"],
            state=OrderState.CANCELED,
            reason=ErrorReason.LINKED_ORDER,
            message="tp",
        )
        house.broker.reachable = True
        await house.clock.advance(30)
        assert states(house) == ["FILLED", "FILLED", "CANCELED"]
        assert house.gateway.account("main").position("BTC/USDT") == 0
        assert house.order("sl").reject_reason is ErrorReason.LINKED_ORDER


async def test_a_group_is_the_same_after_a_restart() -> None:
    async with linking(LIMITED) as house:
        first = await placed(house, bracket())
        await tell(house, house.broker.fill("entry", "3"))
        links(house.broker)
        await house.again(5)
        entry, *legs = (house.order(name) for name in BRACKET)
        assert (entry.cum_quantity, {leg.group_id for leg in legs}) == (Decimal(3), {first.order.order_id})
        # The limits know of it too: 3 are held and 1 may still be bought; selling all that is held again would be
        # a second close beside that of the legs, and a short of no more than the limit.
        over = OrderSpec("BTC/USDT", Side.BUY, OrderType.MARKET, Decimal(1))
        account = house.gateway.account("main")
        assert account.risk is not None
        instrument = account.instruments["BTC/USDT"]
        assert account.risk.preview(over, Decimal(1), instrument) is not None
        sale = changed(over, side=Side.SELL, quantity=Decimal(4))
        assert account.risk.preview(sale, Decimal(4), instrument) is None
        sale = changed(sale, quantity=Decimal(5))
        assert account.risk.preview(sale, Decimal(5), instrument) is not None


async def test_a_stop_cancels_a_whole_bracket() -> None:
    async with linking() as house:
        ends_legs(house)
        await placed(house, bracket())
        await house.gateway.emergency_stop(EmergencyStop((), "test"), request("s"))
        await house.clock.advance(5)
        assert states(house) == ["CANCELED"] * 3


async def test_a_stop_keeps_the_stop_loss_of_what_the_entry_filled() -> None:
    """It stands for 4, and closes the 1 that is held: the rest of the entry and the take-profit go."""
    async with linking() as house:
        ends_legs(house)
        await placed(house, bracket())
        await tell(house, house.broker.fill("entry", "1"))
        command = EmergencyStop((), "test", keep_protective_stops=True)
        await house.gateway.emergency_stop(command, request("s"))
        await house.clock.advance(5)
        assert states(house) == ["CANCELED", "CANCELED", "NEW"]
        assert house.order("sl").leaves_quantity == Decimal(1)


async def test_a_stop_that_flattens_lets_the_kept_stop_go_at_last() -> None:
    async with linking() as house:
        ends_legs(house)
        await placed(house, bracket())
        await tell(house, house.broker.fill("entry", "4", ends=True))
        command = EmergencyStop((), "test", keep_protective_stops=True, flatten=True)
        await house.gateway.emergency_stop(command, request("s"))
        await house.clock.advance(2)
        (closing,) = house.broker.placed
        assert (closing.spec.side, closing.quantity, closing.spec.reduce_only) == (
            Side.SELL,
            Decimal(4),
            True,
        )
        assert house.order("sl").state is OrderState.NEW
        await tell(house, house.broker.fill(closing.client_order_id, "4", ends=True))
        await house.clock.advance(10)
        assert states(house) == ["FILLED", "CANCELED", "CANCELED"]


async def test_a_report_that_names_a_leg_by_the_brokers_id_alone_finds_it() -> None:
    async with linking() as house:
        await placed(house, bracket())
        name = house.broker.orders["sl"].broker_order_id
        await tell(house, OrderReport(OrderEventType.TRIGGERED, "", name, 1))
        assert house.order("sl").triggered
