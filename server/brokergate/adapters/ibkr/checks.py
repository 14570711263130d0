"""What accounts at Interactive Brokers cannot be together, said before anything connects: several may be of one login,
and share its connection. What TWS alone knows (which accounts there are) is said when it is connected to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from brokergate.adapters.ibkr.accounts import is_paper
from brokergate.adapters.ibkr.config import IBKR, InteractiveBrokersConfig
from brokergate.config.accounts import AccountConfig
from brokergate.config.brokers import Conflict
from brokergate.domain.accounts import Environment

_SHARED = ("messages_per_second", "time_zone", "market_data_type", "market_data_lines")
"""Settings of a connection, which all accounts that share it have."""
_SHARED_TIMES = ("request_timeout_ms", "quiet_timeout_ms")


def conflicts(accounts: Mapping[str, AccountConfig]) -> Iterator[Conflict]:
    """One for each setting that does not go with the others."""
    first: dict[tuple[str, int, int], str] = {}
    named: dict[tuple[str, int, int, str], str] = {}
    for name, config in accounts.items():
        settings = config.settings(InteractiveBrokersConfig)
        yield from _environment(name, config.environment, settings.account)
        if config.credentials:
            text = "are none of this account's: TWS is logged in to by a person, or a program of theirs"
            yield Conflict(name, ("credentials",), text, "remove them")
        elsewhere, _, port_there = settings.host.partition(":")
        if port_there.isdecimal():
            way_out = f"write host: {elsewhere}, and port: {port_there}"
            yield Conflict(name, (IBKR, "host"), "has a port in it", way_out)
        if config.trading_enabled and not settings.instruments and not settings.contracts:
            text = "is missing, and Interactive Brokers has no list of all that there is to trade"
            way_out = (
                "write what is to be, such as instruments: [AAPL, EUR/USD], or trading: {enabled: false}"
            )
            yield Conflict(name, (IBKR, "instruments"), text, way_out)
        port = settings.api_port(config.environment)
        line = settings.host, port, settings.client_id
        other = first.setdefault(line, name)
        if other != name:
            yield from _on_one_line(name, config, other, accounts[other])
        if settings.account is not None:
            twin = named.setdefault((*line, settings.account), name)
            if twin != name:
                text = f"is account {twin!r} already"
                yield Conflict(
                    name, (IBKR, "account"), text, "name another account, or remove one of the two"
                )


def _environment(name: str, environment: Environment, account: str | None) -> Iterator[Conflict]:
    if account is not None and is_paper(account) != (environment is not Environment.LIVE):
        kind, other = ("a paper", "paper") if is_paper(account) else ("a live", "live")
        text = f"is {kind} account, and the environment is {environment.name.lower()}"
        yield Conflict(name, (IBKR, "account"), text, f"write environment: {other}, or name another account")


def _on_one_line(name: str, config: AccountConfig, other: str, others: AccountConfig) -> Iterator[Conflict]:
    """Of two accounts that share a connection."""
    mine, theirs = config.settings(InteractiveBrokersConfig), others.settings(InteractiveBrokersConfig)
    for account, settings in ((name, mine), (other, theirs)):
        if settings.account is None:
            sharer = other if account == name else name
            yield Conflict(
                account,
                (IBKR, "account"),
                f"is missing, and account {sharer!r} has the same host, port and client_id",
                "write which account of the login it is, such as account: DU1234567, or give it a client_id of its own",
            )
    pairs = [((IBKR, key), getattr(mine, key), getattr(theirs, key)) for key in _SHARED]
    pairs += [
        (("connection", key), getattr(config.connection, key), getattr(others.connection, key))
        for key in _SHARED_TIMES
    ]
    for key, own, their in pairs:
        if own != their:
            yield Conflict(
                name,
                key,
                f"differs from that of account {other!r}, which shares its connection: {their}",
                "write the same in both, or give one of them a client_id of its own",
            )
