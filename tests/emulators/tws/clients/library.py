"""ib_insync or ib_async against the emulator, as a strategy would use it.

Usage: PYTHON library.py ib_insync|ib_async PORT CONTROL_PORT     PYTHON has the one that is named

Prints what was seen, as JSON.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import urllib.request
from collections.abc import Callable
from typing import Any

WAIT_S = 20.0
STEP_S = 0.005
CLIENT_ID = 7
lib: Any = importlib.import_module(sys.argv[1])
PORT, CONTROL_PORT = int(sys.argv[2]), int(sys.argv[3])
seen: dict[str, Any] = {}


async def control(action: str, **arguments: Any) -> Any:
    """The emulator's control plane."""
    url = f"http://127.0.0.1:{CONTROL_PORT}/_emulator/{action}"

    def ask() -> Any:
        with urllib.request.urlopen(url, json.dumps(arguments).encode(), timeout=WAIT_S) as answer:
            return json.loads(answer.read())["result"]

    return await asyncio.to_thread(ask)


async def until(there: Callable[[], Any]) -> Any:
    """What it gives, once it gives something."""
    async with asyncio.timeout(WAIT_S):
        while True:
            found = there()
            if found:
                return found
            await asyncio.sleep(STEP_S)


async def connected(client_id: int = CLIENT_ID) -> Any:
    """A connection that has all of its sync-up."""
    ib = lib.IB()
    ib.RaiseRequestErrors = True
    await ib.connectAsync("127.0.0.1", PORT, clientId=client_id, timeout=WAIT_S)
    return ib


async def contracts(ib: Any) -> dict[str, Any]:
    """One of each kind."""
    wishes = {
        "STK": lib.Stock("AAPL", "SMART", "USD"),
        "CASH": lib.Forex("EURUSD"),
        "FUT": lib.Future("ES", "202612", "CME"),
        "OPT": lib.Option("AAPL", "20261218", 200, "C", "SMART"),
        "CRYPTO": lib.Crypto("BTC", "PAXOS", "USD"),
    }
    found = await ib.qualifyContractsAsync(*wishes.values())
    seen["contracts"] = [each.conId for each in found]
    details = await ib.reqContractDetailsAsync(lib.Stock("VOD", "LSE", "GBP"))
    seen["magnifier"] = details[0].priceMagnifier
    seen["ambiguous"] = len(await ib.reqContractDetailsAsync(lib.Stock("TWIN", "SMART", "USD")))
    try:
        await ib.reqContractDetailsAsync(lib.Stock("NOSUCH", "SMART", "USD"))
    except Exception as error:  # noqa: BLE001 - the two libraries raise different ones
        seen["unknown"] = getattr(error, "code", 0)
    seen["rule"] = [step.increment for step in await ib.reqMarketRuleAsync(32)]
    return wishes


async def orders(ib: Any, stock: Any) -> None:
    """Placed, partly filled, changed, cancelled, refused, linked."""
    await control("show", symbol="AAPL", bids=[["189.99", "100"]], asks=[["190.01", "4"]])
    part = ib.placeOrder(stock, lib.LimitOrder("BUY", 10, 190.01, orderRef="part"))
    await until(lambda: part.orderStatus.filled == 4)
    seen["partly"] = [part.orderStatus.status, part.orderStatus.remaining]
    part.order.lmtPrice = 190.02
    ib.placeOrder(stock, part.order)
    await control("show", symbol="AAPL", bids=[["189.99", "1000"]], asks=[["190.02", "1000"]])
    await until(
        lambda: part.orderStatus.status == "Filled" and all(f.commissionReport.execId for f in part.fills)
    )
    seen["prices"] = [fill.execution.price for fill in part.fills]
    seen["commissions"] = [fill.commissionReport.commission for fill in part.fills]
    seen["utc"] = part.fills[0].execution.time.tzinfo is not None
    rests = ib.placeOrder(stock, lib.LimitOrder("BUY", 1, 180, orderRef="rests"))
    await until(lambda: rests.orderStatus.status == "Submitted")
    ib.cancelOrder(rests.order)
    await until(lambda: rests.orderStatus.status == "Cancelled")
    bracket = [ib.placeOrder(stock, each) for each in ib.bracketOrder("BUY", 5, 190.02, 195, 185)]
    await until(
        lambda: [trade.orderStatus.status for trade in bracket] == ["Filled", "Submitted", "PreSubmitted"]
    )
    await control("show", symbol="AAPL", bids=[["195", "1000"]], asks=[["195.02", "1000"]])
    await until(
        lambda: bracket[1].orderStatus.status == "Filled" and bracket[2].orderStatus.status == "Cancelled"
    )
    pair = lib.IB.oneCancelsAll([lib.LimitOrder("BUY", 1, price) for price in (194, 195.02)], "pair", 1)
    both = [ib.placeOrder(stock, each) for each in pair]
    await until(lambda: [trade.orderStatus.status for trade in both] == ["Cancelled", "Filled"])
    await control("reject", symbol="MSFT", code=201, text="Order rejected - reason:Exchange is closed")
    refused = ib.placeOrder(lib.Stock("MSFT", "SMART", "USD"), lib.MarketOrder("BUY", 1))
    await until(lambda: refused.orderStatus.status == "Inactive")
    seen["refused"] = [entry.errorCode for entry in refused.log if entry.errorCode]
    tried = await ib.whatIfOrderAsync(stock, lib.MarketOrder("BUY", 100))
    seen["what_if"] = tried.initMarginChange


async def account(ib: Any) -> None:
    """Values, positions, executions, what has ended."""
    summary = {each.tag: each.value for each in await ib.accountSummaryAsync()}
    seen["paper"] = ib.managedAccounts()
    seen["net"] = float(summary["NetLiquidation"]) > 0
    seen["positions"] = [[each.contract.symbol, each.position] for each in ib.positions()]
    seen["portfolio"] = [[item.contract.symbol, item.position] for item in ib.portfolio()]
    seen["executions"] = len(await ib.reqExecutionsAsync())
    completed = await ib.reqCompletedOrdersAsync(False)
    seen["completed"] = sorted({trade.orderStatus.status for trade in completed})
    seen["open"] = len(await ib.reqAllOpenOrdersAsync())
    pnl = ib.reqPnL(seen["paper"][0])
    await until(lambda: pnl.realizedPnL == pnl.realizedPnL)  # not a number until it is told
    seen["realized"] = pnl.realizedPnL


async def market(ib: Any, stock: Any) -> None:
    """Quotes and a trade."""
    ticker = ib.reqMktData(stock)
    await until(lambda: ticker.bid == 195 and ticker.ask == 195.02)
    await control("trade", symbol="AAPL", price="195.01", quantity="3")
    await until(lambda: ticker.last == 195.01 and ticker.lastSize == 3)
    seen["quote"] = [ticker.bid, ticker.ask, ticker.last]
    ib.cancelMktData(stock)


async def again(ib: Any, stock: Any) -> None:
    """A fill while nobody listens, found after coming back; a client id that is taken."""
    away = ib.placeOrder(stock, lib.LimitOrder("BUY", 2, 194, orderRef="away", tif="GTC"))
    await until(lambda: away.orderStatus.status == "Submitted")
    ib.disconnect()
    await control("show", symbol="AAPL", bids=[["193", "10"]], asks=[["194", "10"]])
    ib = await connected()
    seen["away"] = [fill.execution.shares for fill in ib.fills() if fill.execution.orderRef == "away"]
    other = lib.IB()
    codes: list[int] = []
    other.errorEvent += lambda _, code, *more: codes.append(code)
    try:
        await other.connectAsync("127.0.0.1", PORT, clientId=CLIENT_ID, timeout=1)
    except (TimeoutError, ConnectionError):
        seen["taken"] = codes
    ib.disconnect()


async def main() -> None:
    """The scenario."""
    asyncio.set_event_loop(asyncio.get_running_loop())
    ib = await connected()
    seen["version"] = ib.client.serverVersion()
    stock = (await contracts(ib))["STK"]
    await orders(ib, stock)
    await account(ib)
    await market(ib, stock)
    await again(ib, stock)
    print(json.dumps(seen))


if __name__ == "__main__":
    asyncio.run(main())
