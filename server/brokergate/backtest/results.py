"""A run's results as one document of plain values: what `--json` writes and what the page is drawn from.

Decimals are texts in plain digits, times ISO 8601 to the nanosecond, spans are nanoseconds. The same run gives the same
document; nothing in it is of the machine or of the day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from brokergate import __version__
from brokergate.backtest import statistics
from brokergate.backtest.blotter import Blotter, OrderRecord, name_of
from brokergate.backtest.recording import EquityPoint
from brokergate.backtest.runner import Finished
from brokergate.backtest.statistics import Execution, Wish
from brokergate.backtest.times import time_text
from brokergate.domain.accounts import BrokerPosition
from brokergate.domain.fills import Liquidity
from brokergate.domain.instruments import Instrument
from brokergate.domain.money import ZERO, format_decimal, normal
from brokergate.domain.orders import OrderState, Side
from brokergate.ports.broker import FillReport

FORMAT = 1
"""Of the document; a change that a reader must know of raises it."""

Document = dict[str, Any]


def document(run: Finished, inputs: Mapping[str, str], settings: Mapping[str, object]) -> Document:
    """The document of a run; `inputs` says what it was made from, `settings` the account's configuration."""
    instruments = {instrument.symbol: instrument for instrument in run.venue.instruments}
    executions = [_execution(report, run.blotter, instruments) for report in run.blotter.fills]
    wishes = [_wish(record, instruments, run) for record in run.blotter.records.values()]
    return {
        "format": FORMAT,
        "generator": {"name": "brokergate", "version": __version__},
        "inputs": dict(inputs),
        "start": time_text(run.start_ns),
        "end": time_text(run.end_ns),
        "updates": run.updates,
        "settings": dict(settings),
        "instruments": [_instrument(instrument) for instrument in run.venue.instruments],
        "summary": _summary(run, executions, wishes),
        "positions": [_position(position) for position in run.venue.positions()],
        "balances": [
            {"currency": balance.currency, "total": _text(balance.total), "held": _text(balance.held)}
            for balance in run.venue.balances()
        ],
        "orders": [
            _order(record, wish) for record, wish in zip(run.blotter.records.values(), wishes, strict=True)
        ],
        "fills": [
            _fill(report, execution) for report, execution in zip(run.blotter.fills, executions, strict=True)
        ],
        "refused_commands": [
            {
                "time": time_text(refused.time_ns),
                "command": refused.command,
                "client_order_id": refused.client_order_id,
                "reason": refused.reason.name,
                "message": refused.message,
            }
            for refused in run.blotter.refused
        ],
        "equity": [_equity(point) for point in run.recorder.equity],
        "position_steps": {
            symbol: [
                [time_text(time_ns), _text(run.venue.listings[symbol].quantity(lots))]
                for time_ns, lots in steps
            ]
            for symbol, steps in run.recorder.held.items()
            if steps
        },
        "ledger": [
            {
                "time": time_text(entry.event_time_ns),
                "kind": entry.kind.name,
                "amount": _text(entry.amount.amount),
                "currency": entry.amount.currency,
                "symbol": entry.symbol,
                "description": entry.description,
            }
            for entry in run.blotter.entries
        ],
        "notices": [[time_text(notice.time_ns), notice.message] for notice in run.blotter.notices],
    }


def _summary(run: Finished, executions: Sequence[Execution], wishes: Sequence[Wish]) -> Document:
    info = run.venue.info()
    curve = [(point.time_ns, point.equity) for point in run.recorder.equity if point.equity is not None]
    first, last = (curve[0][1], curve[-1][1]) if curve else (None, None)
    fall = statistics.drawdown(curve)
    waits = statistics.queue_waits(wishes)
    return {
        "base_currency": info.base_currency,
        "start_equity": _text(first),
        "end_equity": _text(last),
        "realized_pnl": _text(info.realized_pnl),
        "unrealized_pnl": _text(info.unrealized_pnl),
        "unvalued_currencies": list(info.unvalued_currencies),
        "drawdown": None
        if fall is None
        else {
            "amount": _text(fall.amount),
            "share": _text(fall.share),
            "peak": time_text(fall.peak_ns),
            "trough": time_text(fall.trough_ns),
            "longest_ns": fall.longest_ns,
        },
        "orders": len(wishes),
        "outcomes": statistics.outcomes(wishes),
        "refusals": statistics.refusals(wishes),
        "fill_ratio": {
            symbol: {
                "ordered": _text(ratio.ordered),
                "filled": _text(ratio.filled),
                "ratio": _text(ratio.ratio),
            }
            for symbol, ratio in statistics.fill_ratios(wishes).items()
        },
        "fills": len(executions),
        "maker_fills": sum(execution.maker for execution in executions),
        "volume": {
            currency: {
                "turnover": _text(volume.turnover),
                "maker": _text(volume.maker),
                "maker_share": _text(volume.maker_share),
            }
            for currency, volume in statistics.volumes(executions).items()
        },
        "fees": {currency: _text(amount) for currency, amount in statistics.fees(executions).items()},
        "slippage": {
            currency: {
                "execution": _text(cost.execution),
                "execution_bps": _text(cost.execution_bps),
                "opportunity": _text(cost.opportunity),
                "unknown": cost.unknown,
            }
            for currency, cost in statistics.shortfalls(executions, wishes).items()
        },
        "queue_waits": None
        if waits is None
        else {
            "count": waits.count,
            "shortest_ns": waits.shortest_ns,
            "median_ns": waits.median_ns,
            "p90_ns": waits.p90_ns,
            "longest_ns": waits.longest_ns,
            "never": waits.never,
        },
    }


def _execution(report: FillReport, blotter: Blotter, instruments: Mapping[str, Instrument]) -> Execution:
    instrument = instruments[report.symbol]
    return Execution(
        report.event_time_ns,
        report.symbol,
        1 if report.side is Side.BUY else -1,
        report.quantity,
        report.price,
        instrument.multiplier,
        instrument.quote_currency,
        tuple(report.fees),
        report.liquidity is Liquidity.MAKER,
        blotter.records[name_of(report)].arrival_mid,
    )


def _wish(record: OrderRecord, instruments: Mapping[str, Instrument], run: Finished) -> Wish:
    order, spec = record.order, record.order.spec
    instrument = instruments.get(spec.symbol)
    rested, first = record.rested_ns, record.first_maker_ns
    return Wish(
        spec.symbol,
        1 if spec.side is Side.BUY else -1,
        order.quantity,
        order.cum_quantity,
        order.multiplier,
        instrument.quote_currency if instrument else "",
        _outcome(record),
        order.reject_reason.name if order.state is OrderState.REJECTED else "",
        record.arrival_mid,
        record.last_mid if record.ended_ns is not None else run.blotter.mid(spec.symbol),
        None if rested is None or first is None else first - rested,
        rested is not None,
    )


def _outcome(record: OrderRecord) -> str:
    order = record.order
    if order.state is OrderState.REJECTED:
        return "refused"
    if not order.cum_quantity:
        return "not filled"
    return "filled" if order.cum_quantity >= order.quantity else "partly filled"


def _order(record: OrderRecord, wish: Wish) -> Document:
    order, spec = record.order, record.order.spec
    return {
        "client_order_id": order.client_order_id,
        "given": time_text(record.given_ns),
        "symbol": spec.symbol,
        "side": spec.side.name,
        "type": spec.type.name,
        "time_in_force": spec.time_in_force.name,
        "quantity": _text(order.quantity),
        "limit_price": _text(spec.limit_price),
        "stop_price": _text(spec.stop_price),
        "state": order.state.name,
        "outcome": wish.outcome,
        "filled_quantity": _text(order.cum_quantity),
        "average_price": _text(order.average_price),
        "arrival_mid": _text(record.arrival_mid),
        "rested": None if record.rested_ns is None else time_text(record.rested_ns),
        "queue_wait_ns": wish.queue_wait_ns,
        "ended": None if record.ended_ns is None else time_text(record.ended_ns),
        "reason": order.reject_reason.name if order.reject_reason else "",
        "message": record.message,
    }


def _fill(report: FillReport, execution: Execution) -> Document:
    return {
        "execution_id": report.execution_id,
        "client_order_id": name_of(report),
        "time": time_text(report.event_time_ns),
        "symbol": report.symbol,
        "side": report.side.name,
        "quantity": _text(report.quantity),
        "price": _text(report.price),
        "liquidity": report.liquidity.name,
        "fees": [{"amount": _text(fee.amount), "currency": fee.currency} for fee in report.fees],
        "arrival_mid": _text(execution.arrival_mid),
        "slippage": _text(statistics.slippage(execution)),
        "slippage_bps": _text(statistics.slippage_bps(execution)),
        "currency": execution.currency,
    }


def _instrument(instrument: Instrument) -> Document:
    return {
        "symbol": instrument.symbol,
        "kind": instrument.kind.name,
        "quote_currency": instrument.quote_currency,
        "price_increment": _text(instrument.price_increment),
        "quantity_increment": _text(instrument.quantity_increment),
        "multiplier": _text(instrument.multiplier),
    }


def _position(position: BrokerPosition) -> Document:
    return {
        "symbol": position.symbol,
        "quantity": _text(position.quantity),
        "average_price": _text(position.average_price),
        "currency": position.quote_currency,
        "realized_pnl": _text(position.realized_pnl),
        "unrealized_pnl": _text(position.unrealized_pnl),
        "mark_price": _text(position.mark_price),
    }


def _equity(point: EquityPoint) -> list[str | None]:
    return [
        time_text(point.time_ns),
        _text(point.equity),
        _text(point.realized_pnl),
        _text(point.unrealized_pnl),
    ]


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format_decimal(normal(value) if value else ZERO)
