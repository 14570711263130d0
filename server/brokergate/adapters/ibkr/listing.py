"""What an account trades: the symbols of its configuration, resolved to contracts. IB has millions of contracts and no
list of them. What was resolved is kept over reconnects; a contract's rules change rarely."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from brokergate.adapters.ibkr.contracts import (
    Contracts,
    IbContract,
    IbDetails,
    Listed,
    Steps,
    UnresolvedContract,
    choose,
    listed,
    wanted,
)
from brokergate.adapters.ibkr.values import NS_PER_S
from brokergate.domain.errors import BrokerError, FinalError
from brokergate.ports.clock import Clock

KEPT_NS = 12 * 3600 * NS_PER_S
UNKNOWN = "200"
"""No security definition has been found."""
SHOWN = 3
"""Problems that one error names."""


class Reference(Protocol):
    """Where contracts are looked up."""

    async def contract_details(self, contract: IbContract) -> Sequence[IbDetails]:
        """All that fit. Raises a `BrokerError`."""

    async def market_rule(self, rule_id: int) -> Steps:
        """A market rule. Raises a `BrokerError`."""


class Listing:
    """The contracts of one account. `described` are those whose notation does not say enough."""

    def __init__(
        self,
        reference: Reference,
        clock: Clock,
        symbols: Sequence[str],
        described: Mapping[str, IbContract],
        log: Callable[..., object],
    ) -> None:
        self._reference = reference
        self._clock = clock
        self._symbols = tuple(dict.fromkeys((*symbols, *described)))
        self._described = described
        self._log = log
        self._loaded_ns: int | None = None
        self._rules: dict[int, Steps] = {}
        self.contracts = Contracts()
        self.unresolved: dict[str, str] = {}
        """Symbols that stand for no contract, or for several, and what is wrong with each. The others are traded: a
        future that has expired keeps nobody from the shares."""

    async def load(self) -> None:
        """Resolves all, unless they are still fresh. Raises a `BrokerError`: a failed question is no unknown contract;
        and where not one could be resolved."""
        now_ns = self._clock.monotonic_ns()
        if self._loaded_ns is not None and now_ns - self._loaded_ns < KEPT_NS:
            return
        self._rules.clear()
        answers = await asyncio.gather(*(self._resolve(symbol) for symbol in self._symbols))
        found: dict[int, Listed] = {}
        self.unresolved = {}
        for symbol, answer in zip(self._symbols, answers, strict=True):
            if isinstance(answer, str):
                self.unresolved[symbol] = answer
            elif (known := found.setdefault(answer.contract.con_id, answer)) is not answer:
                self.unresolved[symbol] = (
                    f"{symbol!r} is the same contract as {known.symbol!r} ({known.contract.described()}); name it once"
                )
        self.contracts.put(found.values())
        for symbol, problem in self.unresolved.items():
            self._log("instrument not listed", symbol=symbol, problem=problem)
        if self.unresolved and len(self.unresolved) == len(self._symbols):
            shown = "; ".join(list(self.unresolved.values())[:SHOWN])
            raise FinalError(f"none of the account's instruments can be traded: {shown}", code=UNKNOWN)
        self._loaded_ns = now_ns

    async def _resolve(self, symbol: str) -> Listed | str:
        """One of them; what is wrong with it where it is none."""
        asked = wanted(symbol, self._described)
        try:
            details = choose(symbol, asked, await self._details(asked))
        except UnresolvedContract as problem:
            return str(problem)
        return listed(symbol, details, await self._steps(details))

    async def _details(self, asked: IbContract) -> Sequence[IbDetails]:
        try:
            return await self._reference.contract_details(asked)
        except BrokerError as error:
            if error.code == UNKNOWN:
                return ()
            raise

    async def _steps(self, details: IbDetails) -> Steps:
        """The market rule. The same few rules are those of most contracts."""
        rule_id = details.market_rule_id
        if rule_id is None:
            return ()
        if rule_id not in self._rules:
            self._rules[rule_id] = await self._reference.market_rule(rule_id)
        return self._rules[rule_id]
