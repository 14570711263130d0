"""The definition of a paper account made at run time, as the journal keeps it: JSON, decimals as text."""

from __future__ import annotations

import json
from decimal import Decimal

from brokergate.domain.commands import CreatePaperAccount, PushInstrument, Slippage
from brokergate.domain.fills import Money
from brokergate.domain.money import format_decimal

PAPER_SETTING = "paper-account/"
"""What the keys of such definitions begin with."""


def to_setting(command: CreatePaperAccount) -> str:
    """A paper account's definition as the journal keeps it."""
    slippage, part = command.slippage, command.participation_percent
    return json.dumps(
        {
            "initial_balances": {m.currency: format_decimal(m.amount) for m in command.initial_balances},
            "seed": command.seed,
            "push_instruments": [
                [
                    i.symbol,
                    format_decimal(i.price_increment),
                    format_decimal(i.quantity_increment),
                    i.quote_currency,
                ]
                for i in command.push_instruments
            ],
            "taker_fee_percent": format_decimal(command.taker_fee_percent),
            "maker_fee_percent": format_decimal(command.maker_fee_percent),
            "slippage": None
            if slippage is None
            else [slippage.model, {name: format_decimal(figure) for name, figure in slippage.figures}],
            "participation_percent": None if part is None else format_decimal(part),
            "commission_preset": command.commission_preset,
            "leverage": None if command.leverage is None else format_decimal(command.leverage),
            "latency_ms": [
                format_decimal(latency)
                for latency in (
                    command.request_latency_ms,
                    command.response_latency_ms,
                    command.latency_deviation_ms,
                )
            ],
        }
    )


def from_setting(account_id: str, text: str) -> CreatePaperAccount:
    """The definition that `to_setting` wrote."""
    kept = json.loads(text)
    # Accounts of earlier releases have none of these.
    slippage, part, leverage = kept.get("slippage"), kept.get("participation_percent"), kept.get("leverage")
    request_ms, response_ms, deviation_ms = map(Decimal, kept.get("latency_ms", "000"))
    return CreatePaperAccount(
        account_id=account_id,
        initial_balances=tuple(Money(Decimal(a), c) for c, a in kept["initial_balances"].items()),
        seed=kept["seed"],
        push_instruments=tuple(
            PushInstrument(symbol, Decimal(price), Decimal(quantity), currency)
            for symbol, price, quantity, currency in kept["push_instruments"]
        ),
        taker_fee_percent=Decimal(kept["taker_fee_percent"]),
        maker_fee_percent=Decimal(kept["maker_fee_percent"]),
        slippage=slippage
        and Slippage(slippage[0], tuple((name, Decimal(figure)) for name, figure in slippage[1].items())),
        participation_percent=part and Decimal(part),
        commission_preset=kept.get("commission_preset", ""),
        leverage=leverage and Decimal(leverage),
        request_latency_ms=request_ms,
        response_latency_ms=response_ms,
        latency_deviation_ms=deviation_ms,
    )
