"""Takes what the library's decoder reads, and hands it on as plain values. Its methods have the names by which the
decoder calls them (TWS API, `EWrapper`); what the adapter does not follow is ignored by name, so that a message that
nobody thought of is not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC
from typing import Any
from zoneinfo import ZoneInfo

from brokergate.adapters.ibkr import frames
from brokergate.adapters.ibkr.contracts import IbContract, IbDetails
from brokergate.adapters.ibkr.orders import IbOrder, IbShown
from brokergate.adapters.ibkr.times import wire_time
from brokergate.adapters.ibkr.values import moment_ns, number, number_or_none
from brokergate.domain.money import ZERO

_IGNORED = frozenset(
    {
        *("connectAck", "connectionClosed", "nextValidId", "managedAccounts"),
        *("updateAccountValue", "updateAccountTime"),
        *("pnl", "pnlSingle", "positionMulti", "positionMultiEnd", "orderBound", "deltaNeutralValidation"),
        *("tickGeneric", "tickReqParams", "tickEFP", "tickOptionComputation", "tickNews"),
        *("rerouteMktDataReq", "rerouteMktDepthReq", "updateNewsBulletin", "bondContractDetails"),
        *("receiveFA", "familyCodes", "softDollarTiers"),
    }
)


class Ears:
    """The library's wrapper. `ended` is called when the connection has ended."""

    defaultTimezone = UTC
    """ib_async turns times into it."""

    def __init__(
        self, hear: Callable[[frames.Frame], None], ended: Callable[[], None], time_zone: str
    ) -> None:
        self._hear = hear
        self._zone = ZoneInfo(time_zone)
        self.heard = 0
        """Counts what has arrived on the socket: whether anything did."""
        self.setEventsDone = ended

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name in _IGNORED:
            return _ignore
        raise AttributeError(name)

    def tcpDataArrived(self) -> None:
        """Something arrived, whatever it is."""
        self.heard += 1

    # Orders

    def openOrder(self, order_id: int, contract: Any, order: Any, state: Any) -> None:
        """An order as it stands, or what one would do."""
        if order.whatIf:
            self._hear(_what_if(order_id, state))
        else:
            self._hear(frames.OrderShown(_shown(order_id, contract, order, state), warning=state.warningText))

    def completedOrder(self, contract: Any, order: Any, state: Any) -> None:
        """An order that has ended."""
        shown = _shown(0, contract, order, state)
        how = state.completedStatus or state.status
        self._hear(frames.OrderShown(shown, completed=True, how=how))

    def orderStatus(
        self,
        order_id: int,
        status: str,
        filled: float,
        remaining: float,
        _average: float,
        perm_id: int,
        parent_id: int,
        _last: float,
        client_id: int,
        why_held: str,
        _cap: float = 0.0,
    ) -> None:
        """Where an order stands."""
        self._hear(
            frames.StatusShown(
                order_id=order_id,
                status=status,
                filled=number(filled, "filled"),
                remaining=number(remaining, "remaining"),
                perm_id=perm_id,
                parent_id=parent_id,
                client_id=client_id,
                why_held=why_held,
            )
        )

    def openOrderEnd(self) -> None:
        """All open orders were shown."""
        self._hear(frames.ListEnded("openOrderEnd"))

    def completedOrdersEnd(self) -> None:
        """All completed orders were shown."""
        self._hear(frames.ListEnded("completedOrdersEnd"))

    # Executions

    def zoned(self, fields: list[str], index: int) -> list[str]:
        """The message with its time in UTC, and saying so: the library would take it for the machine's own."""
        fields[index] = f"{wire_time(fields[index], self._zone):%Y%m%d %H:%M:%S} UTC"
        return fields

    def execDetails(self, request_id: int, contract: Any, execution: Any) -> None:
        """One execution."""
        self._hear(
            frames.ExecutionShown(
                request_id=request_id,
                order_id=execution.orderId,
                client_id=execution.clientId,
                perm_id=execution.permId,
                account=execution.acctNumber,
                contract=_contract(contract),
                execution_id=execution.execId,
                time_ns=moment_ns(execution.time),
                side=execution.side,
                quantity=number(execution.shares, "shares"),
                price=number(execution.price, "price"),
                cumulative=number(execution.cumQty, "cumQty"),
                order_ref=execution.orderRef,
                liquidity=execution.lastLiquidity,
            )
        )

    def execDetailsEnd(self, request_id: int) -> None:
        """All executions that were asked for were shown."""
        self._hear(frames.ListEnded("execDetailsEnd", request_id))

    def commissionReport(self, report: Any) -> None:
        """What an execution cost."""
        amount = number_or_none(report.commission, "commission")
        self._hear(frames.CommissionShown(report.execId, amount, report.currency))

    # The account

    def position(self, account: str, contract: Any, quantity: float, average_cost: float) -> None:
        """What an account holds of a contract."""
        self._hear(
            frames.PositionShown(
                account, _contract(contract), number(quantity, "position"), number(average_cost, "avgCost")
            )
        )

    def positionEnd(self) -> None:
        """All positions were shown."""
        self._hear(frames.ListEnded("positionEnd"))

    def updatePortfolio(
        self,
        contract: Any,
        quantity: float,
        price: float,
        value: float,
        _average_cost: float,
        unrealized: float,
        _realized: float,
        account: str,
    ) -> None:
        """What a position is worth."""
        self._hear(
            frames.MarkShown(
                account,
                contract.conId,
                number(quantity, "position"),
                number_or_none(price, "marketPrice"),
                number_or_none(value, "marketValue"),
                number_or_none(unrealized, "unrealizedPNL"),
            )
        )

    def accountDownloadEnd(self, account: str) -> None:
        """All that the account has was shown."""
        self._hear(frames.ListEnded(f"accountDownloadEnd {account}"))

    def accountSummary(self, request_id: int, account: str, tag: str, value: str, currency: str) -> None:
        """One figure of an account."""
        self._hear(frames.AccountValue(request_id, account, tag, value, currency))

    def accountSummaryEnd(self, request_id: int) -> None:
        """All figures were shown."""
        self._hear(frames.ListEnded("accountSummaryEnd", request_id))

    def accountUpdateMulti(
        self, request_id: int, account: str, _model: str, tag: str, value: str, currency: str
    ) -> None:
        """One figure of an account."""
        self._hear(frames.AccountValue(request_id, account, tag, value, currency))

    def accountUpdateMultiEnd(self, request_id: int) -> None:
        """All figures were shown."""
        self._hear(frames.ListEnded("accountUpdateMultiEnd", request_id))

    # Contracts

    def contractDetails(self, request_id: int, details: Any) -> None:
        """One contract that fits what was asked for."""
        self._hear(frames.DetailsShown(request_id, _details(details)))

    def contractDetailsEnd(self, request_id: int) -> None:
        """All that fit were shown."""
        self._hear(frames.ListEnded("contractDetailsEnd", request_id))

    def marketRule(self, rule_id: int, increments: Any) -> None:
        """A market rule."""
        steps = tuple(
            (number(each.lowEdge, "lowEdge"), number(each.increment, "increment")) for each in increments
        )
        self._hear(frames.RuleShown(rule_id, steps))

    # Market data

    def priceSizeTick(self, request_id: int, kind: int, price: float, size: float) -> None:
        """A price and its size."""
        self._hear(
            frames.TickShown(request_id, kind, number_or_none(price, "price"), number_or_none(size, "size"))
        )

    def tickSize(self, request_id: int, kind: int, size: float) -> None:
        """A size."""
        self._hear(frames.TickShown(request_id, kind, size=number_or_none(size, "size")))

    def tickString(self, request_id: int, kind: int, text: str) -> None:
        """Something else of the market, in words."""
        self._hear(frames.TickShown(request_id, kind, text=text))

    def tickSnapshotEnd(self, request_id: int) -> None:
        """A snapshot is complete."""
        self._hear(frames.ListEnded("tickSnapshotEnd", request_id))

    def marketDataType(self, request_id: int, data_type: int) -> None:
        """Which market data comes."""
        self._hear(frames.DataTypeShown(request_id, data_type))

    # Everything else

    def error(self, request_id: int, code: int, text: str, _advanced: str = "") -> None:
        """A message."""
        self._hear(frames.ErrorShown(request_id, code, text))

    def currentTime(self, seconds: int) -> None:
        """TWS's clock."""
        self._hear(frames.TimeShown(seconds))


def _ignore(*_arguments: object) -> None:
    return None


def _contract(contract: Any) -> IbContract:
    return IbContract(
        con_id=contract.conId,
        symbol=contract.symbol,
        sec_type=contract.secType,
        expiry=contract.lastTradeDateOrContractMonth,
        strike=number_or_none(contract.strike, "strike") or None,
        right=contract.right if contract.right in ("C", "P") else "",
        multiplier=contract.multiplier,
        exchange=contract.exchange,
        primary_exchange=contract.primaryExchange,
        currency=contract.currency,
        local_symbol=contract.localSymbol,
        trading_class=contract.tradingClass,
    )


def _details(details: Any) -> IbDetails:
    rules = [part for part in details.marketRuleIds.split(",") if part]
    return IbDetails(
        contract=_contract(details.contract),
        min_tick=number(details.minTick, "minTick"),
        price_magnifier=details.priceMagnifier or 1,
        valid_exchanges=tuple(part for part in details.validExchanges.split(",") if part),
        market_rule_ids=tuple(int(part) for part in rules),
        min_size=number_or_none(details.minSize, "minSize") or None,
        size_increment=number_or_none(details.sizeIncrement, "sizeIncrement") or None,
    )


def _shown(order_id: int, contract: Any, order: Any, state: Any) -> IbShown:
    return IbShown(
        contract=_contract(contract),
        order=IbOrder(
            action=order.action,
            quantity=number(order.totalQuantity, "totalQuantity"),
            order_type=order.orderType,
            limit_price=number_or_none(order.lmtPrice, "lmtPrice"),
            aux_price=number_or_none(order.auxPrice, "auxPrice"),
            trailing_percent=number_or_none(order.trailingPercent, "trailingPercent"),
            tif=order.tif,
            good_till=order.goodTillDate,
            outside_rth=order.outsideRth,
            oca_group=order.ocaGroup,
            oca_type=order.ocaType,
            account=order.account,
            order_ref=order.orderRef,
            order_id=order_id,
            client_id=order.clientId,
            perm_id=order.permId,
            parent_id=order.parentId,
        ),
        status=state.status,
        filled=number_or_none(order.filledQuantity, "filledQuantity") or ZERO,
    )


def _what_if(order_id: int, state: Any) -> frames.WhatIf:
    return frames.WhatIf(
        order_id=order_id,
        initial_margin_change=number_or_none(state.initMarginChange, "initMarginChange"),
        maintenance_margin_change=number_or_none(state.maintMarginChange, "maintMarginChange"),
        initial_margin_after=number_or_none(state.initMarginAfter, "initMarginAfter"),
        equity_after=number_or_none(state.equityWithLoanAfter, "equityWithLoanAfter"),
        commission=number_or_none(state.commission, "commission"),
        min_commission=number_or_none(state.minCommission, "minCommission"),
        max_commission=number_or_none(state.maxCommission, "maxCommission"),
        commission_currency=state.commissionCurrency,
        warning=state.warningText,
    )
