"""Paper accounts as they are made: those of the configuration, in the order that they can start in, and those of a
request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from brokergate.adapters.context import BrokerContext
from brokergate.adapters.paper.broker import PaperTradingBroker
from brokergate.adapters.paper.config import PaperTradingConfig
from brokergate.adapters.paper.feed_config import FeedConfig, PushConfig
from brokergate.adapters.paper.fills_config import SlippageConfig
from brokergate.adapters.paper.instruments_config import PushInstrumentConfig, SyntheticConfig
from brokergate.adapters.paper.link_config import LatencyConfig, OneWayConfig
from brokergate.adapters.paper.money_config import CommissionConfig, MarginConfig
from brokergate.config.accounts import PAPER, AccountConfig
from brokergate.domain.commands import CreatePaperAccount
from brokergate.domain.errors import invalid_field
from brokergate.ports.broker import AbstractBroker
from brokergate.ports.clock import Clock


def make_paper(account: AccountConfig, context: BrokerContext) -> PaperTradingBroker:
    """The broker of a configured paper account."""
    broker = PaperTradingBroker(account.settings(PaperTradingConfig), context.clock)
    broker.follow(context.market_of)
    return broker


def market_order(accounts: Mapping[str, AccountConfig]) -> list[str]:
    """The accounts so that each comes after the one whose market it follows; otherwise in their order. That none
    follows itself, over others too, is checked with the configuration."""
    ordered: dict[str, None] = {}
    for account_id in accounts:
        line = [account_id]
        while (followed := _followed(accounts[line[-1]])) in accounts and followed not in line:
            line.append(followed)
        ordered.update(dict.fromkeys(reversed(line)))
    return list(ordered)


def _followed(account: AccountConfig) -> str:
    """The account whose market an account follows; empty for none."""
    if account.broker != PAPER:
        return ""
    return account.settings(PaperTradingConfig).feed.account or ""


def create_paper_broker(command: CreatePaperAccount, clock: Clock) -> AbstractBroker:
    """The broker of a paper account that was made at run time. GatewayError INVALID_FIELD for settings that cannot
    be."""
    path = ""
    try:
        instruments = []
        for index, pushed in enumerate(command.push_instruments):
            path = f"push.instruments[{index}]"
            instruments.append(
                PushInstrumentConfig(
                    symbol=pushed.symbol,
                    price_increment=pushed.price_increment,
                    quantity_increment=pushed.quantity_increment,
                    quote_currency=pushed.quote_currency or None,
                )
            )
        path = "push" if instruments else "synthetic"
        feed = (
            FeedConfig(push=PushConfig(instruments=tuple(instruments)))
            if instruments
            else FeedConfig(synthetic=SyntheticConfig(seed=command.seed or 0))
        )
        path = "slippage"
        slippage = SlippageConfig()
        if command.slippage is not None:
            slippage = SlippageConfig.model_validate(
                {"model": command.slippage.model, **dict(command.slippage.figures)}
            )
        path = "commission_preset"
        preset = command.commission_preset
        commission = CommissionConfig(preset=preset) if preset else None
        path = "leverage"
        margin = None if command.leverage is None else MarginConfig(leverage=command.leverage)
        path = ""
        config = PaperTradingConfig(
            initial_balance={money.currency: money.amount for money in command.initial_balances},
            taker_fee_percent=command.taker_fee_percent,
            maker_fee_percent=command.maker_fee_percent,
            commission=commission,
            margin=margin,
            slippage=slippage,
            participation_percent=command.participation_percent,
            feed=feed,
            latency=_latency(command),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise invalid_field(_field(command, path, first["loc"]), message) from error
    return PaperTradingBroker(config, clock)


def _latency(command: CreatePaperAccount) -> LatencyConfig:
    request_ms, response_ms = command.request_latency_ms, command.response_latency_ms
    deviation_ms = command.latency_deviation_ms or None
    if deviation_ms is None:
        ways = [OneWayConfig(constant_ms=latency_ms) for latency_ms in (request_ms, response_ms)]
    else:
        ways = [
            OneWayConfig(mean_ms=latency_ms, deviation_ms=deviation_ms)
            for latency_ms in (request_ms, response_ms)
        ]
    return LatencyConfig(request=ways[0], response=ways[1])


def _field(command: CreatePaperAccount, path: str, where: Sequence[int | str]) -> str:
    """The request's field that a setting came from: balances are a list there, and by currency here."""
    match where:
        case ["initial_balance", currency, *_]:
            names = [money.currency for money in command.initial_balances]
            return f"initial_balances[{names.index(str(currency))}].amount"
        case _ if path in ("commission_preset", "leverage"):
            return path
        case ["initial_balance"]:
            return "initial_balances"
        case _:
            return ".".join(str(part) for part in (path, *where) if part != "")
