"""IB's own client against the emulator: it asks for every message, and IB's decoder reads every field of every answer.

Usage: PYTHON official.py PORT CONTROL_PORT [VERSION]     PYTHON has `ibapi`, 9.81.1 or 10.46

With VERSION the decoder believes that the server speaks that one: what it then says is how an audit fails.

Prints {"version", "read": {message id: how many}, "left": [fields that the decoder did not read or could not],
"seen": {what the scenario found}}.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
import traceback
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from ibapi.client import EClient
from ibapi.contract import ComboLeg, Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.order_condition import PriceCondition
from ibapi.tag_value import TagValue
from ibapi.wrapper import EWrapper

WAIT_S = 20.0
NEW = "10." in getattr(sys.modules["ibapi"], "get_version_string", lambda: "")()
Heard = tuple[str, tuple[Any, ...]]


class Recorder(EWrapper):  # type: ignore[misc]
    """Everything that it is called with, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: queue.Queue[Heard] = queue.Queue()


def _recording(name: str) -> Callable[..., None]:
    def method(self: Recorder, *arguments: Any) -> None:
        self.heard.put((name, arguments))

    return method


for _name in dir(EWrapper):
    if not _name.startswith("_") and callable(getattr(EWrapper, _name)) and _name != "logAnswer":
        setattr(Recorder, _name, _recording(_name))


class Audit:
    """Has IB's decoder read each message, and looks at what it leaves."""

    def __init__(self, client: Any) -> None:
        self.read: Counter[int] = Counter()
        self.left: list[str] = []
        self._decoder = client.decoder
        client.decoder.interpret = self.interpret
        logging.getLogger("ibapi.decoder").addHandler(_Complaints(self.left))

    def interpret(self, fields: tuple[bytes, ...], message: int = 0) -> None:
        """In place of the decoder's own method, which does the same without looking."""
        number = message or int(fields[0])
        known = self._decoder.msgId2handleInfo.get(number)
        self.read[number] += 1
        if known is None or (known.wrapperMeth is None and known.processMeth is None):
            self.left.append(f"{number}: not known")
        elif known.wrapperMeth is not None:
            self._decoder.interpretWithSignature(fields, known)
        else:
            rest: Iterator[bytes] = iter(fields)
            try:
                known.processMeth(self._decoder, rest)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a field that cannot be read
                self.left.append(f"{number}: {type(error).__name__} {error} in {fields!r}")
                return
            over = list(rest)
            if over:
                self.left.append(f"{number}: {over!r} left of {fields!r}")


class _Complaints(logging.Handler):
    def __init__(self, found: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._found = found

    def emit(self, record: logging.LogRecord) -> None:
        self._found.append(record.getMessage())


class Scenario:
    """A client that asks for everything once."""

    def __init__(self, port: int, control_port: int) -> None:
        self._control_port = control_port
        self.wait_s = WAIT_S
        self.wrapper = Recorder()
        self.client = EClient(self.wrapper)
        self.client.connect("127.0.0.1", port, 5)
        self.audit = Audit(self.client)
        threading.Thread(target=self.client.run, daemon=True).start()
        self.seen: dict[str, Any] = {"errors": []}
        (self.next_id,) = self.until("nextValidId")
        # IB's client does not pace itself.
        self.control("limits", rate=1000)

    def control(self, action: str, **arguments: Any) -> Any:
        """The emulator's control plane."""
        url = f"http://127.0.0.1:{self._control_port}/_emulator/{action}"
        with urllib.request.urlopen(url, json.dumps(arguments).encode(), timeout=WAIT_S) as answer:
            return json.loads(answer.read())["result"]

    def until(self, name: str, wanted: Callable[..., bool] = lambda *_: True) -> tuple[Any, ...]:
        """What is heard under a name."""
        while True:
            heard, arguments = self.wrapper.heard.get(timeout=self.wait_s)
            if heard == "error":
                code, text = (arguments[2], arguments[3]) if NEW else (arguments[1], arguments[2])
                self.seen["errors"].append([arguments[0], code, text])
            if heard == name and wanted(*arguments):
                return arguments

    def status(self, order_id: int, status: str) -> tuple[Any, ...]:
        """The status of an order, once it is this."""
        return self.until("orderStatus", lambda *told: told[0] == order_id and told[1] == status)

    def place(self, contract: Contract, **terms: Any) -> int:
        """An order; its id."""
        order = Order()
        if not NEW:
            # Set unless one says otherwise, and refused by today's servers (10268).
            order.eTradeOnly = order.firmQuoteOnly = False
        for name, value in terms.items():
            setattr(order, name, value)
        order_id: int = self.next_id
        self.next_id += 1
        self.client.placeOrder(order_id, contract, order)
        return order_id

    def cancel(self, order_id: int) -> None:
        """A cancel, which newer clients say more in."""
        if NEW:
            from ibapi.order_cancel import OrderCancel

            self.client.cancelOrder(order_id, OrderCancel())
        else:
            self.client.cancelOrder(order_id)

    def cancel_all(self) -> None:
        """The same for all."""
        if NEW:
            from ibapi.order_cancel import OrderCancel

            self.client.reqGlobalCancel(OrderCancel())
        else:
            self.client.reqGlobalCancel()

    # What is asked

    def contracts(self) -> None:
        """One of each kind, one that there is not, one that could be two."""
        wishes = [
            contract("AAPL", "STK"),
            contract("EUR", "CASH", exchange="IDEALPRO"),
            contract("ES", "FUT", exchange="CME", lastTradeDateOrContractMonth="202612"),
            contract("AAPL", "OPT", lastTradeDateOrContractMonth="20261218", strike=200.0, right="C"),
            contract("BTC", "CRYPTO", exchange="PAXOS"),
            contract("TWIN", "STK"),
        ]
        for number, wish in enumerate(wishes, 100):
            self.client.reqContractDetails(number, wish)
            found = []
            while True:
                name, arguments = self.wrapper.heard.get(timeout=self.wait_s)
                if name == "contractDetails":
                    found.append(arguments[1])
                elif name == "contractDetailsEnd":
                    break
            self.seen[f"{wish.symbol} {wish.secType}"] = [
                [each.contract.conId, each.minTick, each.marketRuleIds] for each in found
            ]
        self.client.reqContractDetails(200, contract("NOSUCH", "STK"))
        self.until("error", lambda *told: told[0] == 200)
        self.client.reqMarketRule(26)
        self.until("marketRule")
        self.client.reqMatchingSymbols(201, "AAP")
        self.seen["matching"] = len(self.until("symbolSamples")[1])

    def orders(self) -> None:
        """Orders of every type: filled, changed, cancelled, refused, in groups, tried out."""
        stock = contract("AAPL", "STK")
        filled = self.place(stock, **limit(10, 190.01), orderRef="filled")
        self.seen["filled"] = float(self.status(filled, "Filled")[2])
        report = self.until("commissionAndFeesReport" if NEW else "commissionReport")[0]
        self.seen["commission"] = report.commissionAndFees if NEW else report.commission
        rests = self.place(stock, **limit(10, 180.0), orderRef="rests")
        self.status(rests, "Submitted")
        self.next_id -= 1
        self.place(stock, **limit(10, 181.0), orderRef="rests")
        self.seen["changed"] = self.until("openOrder", lambda *told: told[2].lmtPrice == 181.0)[0] == rests
        self.cancel(rests)
        self.status(rests, "Cancelled")
        for terms in (
            {"orderType": "STP", "auxPrice": 195.0},
            {"orderType": "STP LMT", "auxPrice": 195.0, "lmtPrice": 196.0},
            {"orderType": "TRAIL", "trailingPercent": 5.0},
            {"orderType": "TRAIL", "auxPrice": 2.0},
            {"orderType": "MIT", "auxPrice": 180.0},
            {"orderType": "LIT", "auxPrice": 180.0, "lmtPrice": 179.0, "tif": "GTC", "outsideRth": True},
            {"orderType": "LMT", "lmtPrice": 170.0, "tif": "GTD", "goodTillDate": "20991231-23:00:00"},
        ):
            waiting = self.place(stock, action="BUY", totalQuantity=1, **terms)
            self.until("orderStatus", lambda *told, number=waiting: told[0] == number)
        self.place(stock, **limit(1, 190.005))
        self.until("error", lambda *told: 110 in told)
        self.place(stock, action="BUY", orderType="MKT", totalQuantity=10_000_000)
        self.until("orderStatus", lambda *told: told[1] == "Inactive")
        self._strange(stock)
        self._groups(stock)
        tried = self.place(stock, action="BUY", orderType="MKT", totalQuantity=100, whatIf=True)
        state = self.until("openOrder", lambda *told: told[0] == tried)[3]
        self.seen["margin"] = state.initMarginChange
        self.next_id += 1

    def _strange(self, stock: Contract) -> None:
        """What nothing there trades is read to its end all the same, and refused."""
        condition = PriceCondition(0, 265598, "SMART", True, 200.0)
        spread = contract("AAPL", "BAG")
        spread.comboLegs = [_leg(780001, "BUY"), _leg(780002, "SELL")]
        wishes: list[tuple[Contract, dict[str, Any]]] = [
            (stock, {"algoStrategy": "Adaptive", "algoParams": [TagValue("adaptivePriority", "Normal")]}),
            (stock, {"scalePriceIncrement": 1.0, "scaleInitLevelSize": 5, "scaleSubsLevelSize": 5}),
            (stock, {"hedgeType": "F", "hedgeParam": ""}),
            (stock, {"deltaNeutralOrderType": "MKT", "orderType": "VOL", "volatility": 20.0}),
            (stock, {"conditions": [condition]}),
            (spread, {}),
            (stock, {"orderType": "REL"}),
        ]
        for wished, terms in wishes:
            refused = self.place(wished, **{**limit(10, 180.0), **terms})
            self.until("error", lambda *told, number=refused: told[0] == number and 387 in told)

    def _groups(self, stock: Contract) -> None:
        parent = self.place(stock, **limit(5, 185.0), transmit=False)
        self.place(stock, **limit(5, 195.0, "SELL"), parentId=parent, transmit=False)
        stop = self.place(
            stock, action="SELL", orderType="STP", auxPrice=180.0, totalQuantity=5, parentId=parent
        )
        self.status(stop, "PreSubmitted")
        for price in (170.0, 171.0):
            self.place(stock, **limit(1, price), ocaGroup="pair", ocaType=1)

    def queries(self) -> None:
        """Orders, executions, positions, values, P&L, the time."""
        client = self.client
        client.reqOpenOrders()
        self.until("openOrderEnd")
        client.reqAllOpenOrders()
        self.until("openOrderEnd")
        client.reqAutoOpenOrders(False)
        client.reqExecutions(300, ExecutionFilter())
        self.until("execDetailsEnd")
        client.reqPositions()
        self.until("positionEnd")
        client.cancelPositions()
        client.reqAccountUpdates(True, "DU1234567")
        self.until("accountDownloadEnd")
        client.reqAccountUpdates(False, "DU1234567")
        client.reqAccountUpdatesMulti(301, "DU1234567", "", False)
        self.until("accountUpdateMultiEnd")
        client.cancelAccountUpdatesMulti(301)
        client.reqAccountSummary(302, "All", "NetLiquidation,AvailableFunds,$LEDGER:ALL")
        self.until("accountSummaryEnd")
        client.cancelAccountSummary(302)
        client.reqPnL(303, "DU1234567", "")
        self.until("pnl")
        client.cancelPnL(303)
        client.reqPnLSingle(304, "DU1234567", "", 265598)
        self.until("pnlSingle")
        client.cancelPnLSingle(304)
        client.reqCurrentTime()
        self.until("currentTime")
        client.reqManagedAccts()
        self.until("managedAccounts")
        client.reqIds(1)
        self.until("nextValidId")

    def market(self) -> None:
        """Quotes and trades, live and delayed, and a snapshot."""
        self.client.reqMarketDataType(1)
        self.client.reqMktData(400, contract("AAPL", "STK"), "", False, False, [])
        self.until("tickSize", lambda *told: told[1] == 3)
        self.control("trade", symbol="AAPL", price="190.00", quantity="3")
        self.seen["last"] = self.until("tickPrice", lambda *told: told[1] == 4 and told[2] == 190.0)[2]
        self.client.cancelMktData(400)
        self.client.reqMktData(401, contract("MSFT", "STK"), "", True, False, [])
        self.until("tickSnapshotEnd")

    def end(self) -> None:
        """Everything is cancelled, and shown as completed."""
        self.cancel_all()
        self.client.reqOpenOrders()
        self.until("openOrderEnd")
        self.client.reqCompletedOrders(False)
        completed = []
        while True:
            name, arguments = self.wrapper.heard.get(timeout=self.wait_s)
            if name == "completedOrder":
                completed.append([arguments[1].orderRef, arguments[2].status])
            elif name == "completedOrdersEnd":
                break
        self.seen["completed"] = completed
        self.client.disconnect()


def contract(symbol: str, security: str, **more: Any) -> Contract:
    """A contract as a person would describe it."""
    made = Contract()
    made.symbol, made.secType, made.currency = symbol, security, "USD"
    made.exchange = "SMART"
    for name, value in more.items():
        setattr(made, name, value)
    return made


def _leg(con_id: int, action: str) -> ComboLeg:
    leg = ComboLeg()
    leg.conId, leg.ratio, leg.action, leg.exchange = con_id, 1, action, "SMART"
    return leg


def limit(quantity: int, price: float, action: str = "BUY") -> dict[str, Any]:
    """The terms of a limit order."""
    return {"action": action, "orderType": "LMT", "totalQuantity": quantity, "lmtPrice": price}


def main() -> int:
    """The scenario; 1 where something that it waits for does not come."""
    scenario = Scenario(int(sys.argv[1]), int(sys.argv[2]))
    version = scenario.client.serverVersion()
    if sys.argv[3:]:
        scenario.client.decoder.serverVersion = int(sys.argv[3])
        scenario.wait_s = 3.0
    missed = False
    try:
        for part in (
            scenario.contracts,
            scenario.orders,
            scenario.queries,
            scenario.market,
            scenario.end,
        ):
            part()
    except queue.Empty:
        missed = True
        traceback.print_exc()
    found = {
        "version": version,
        "read": dict(scenario.audit.read),
        "left": scenario.audit.left,
        "seen": scenario.seen,
    }
    print(json.dumps(found, default=str), flush=True)
    return int(missed)


if __name__ == "__main__":
    status = main()
    # The client's threads do not end by themselves.
    sys.stderr.flush()
    os._exit(status)
