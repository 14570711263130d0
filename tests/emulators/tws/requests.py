"""The messages of clients: what each of them asks for, and what is done. Their ids are those of IB's own client
(`ibapi/message.py`, `OUT`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.emulators.tws.asked import read_order
from tests.emulators.tws.contracts import RULES, read_wanted
from tests.emulators.tws.desk import NO_CONTRACT, Refusal
from tests.emulators.tws.session import Request, Session
from tests.emulators.tws.wire import Field, Reader

if TYPE_CHECKING:
    from tests.emulators.tws.venue import Tws

Work = Callable[[], None]
Understood = tuple[dict[str, Any], int, Work]
"""What is logged of a message, the id that an error about it carries, and what it does."""
Handler = Callable[[Session, Reader], Understood]
_MANUAL_CANCEL_TIME = 169
_BOND_ISSUER = 176
IN_USE = "Unable to connect as the client id is already in use. Retry with a unique client id."


class Requests:
    """See the module."""

    def __init__(self, venue: Tws) -> None:
        self._venue = venue
        self._table: dict[int, tuple[str, str, Handler]] = {
            1: ("subscribe", "reqMktData", self._market_data),
            2: ("unsubscribe", "cancelMktData", self._cancel_market_data),
            3: ("place", "placeOrder", self._place),
            4: ("cancel", "cancelOrder", self._cancel),
            5: ("open_orders", "reqOpenOrders", self._open_orders),
            6: ("account", "reqAccountUpdates", self._account_updates),
            7: ("fills", "reqExecutions", self._executions),
            8: ("ids", "reqIds", self._ids),
            9: ("instruments", "reqContractDetails", self._contract_details),
            15: ("open_orders", "reqAutoOpenOrders", self._auto_open_orders),
            16: ("open_orders", "reqAllOpenOrders", self._all_open_orders),
            17: ("accounts", "reqManagedAccts", self._managed_accounts),
            49: ("time", "reqCurrentTime", self._current_time),
            58: ("cancel_all", "reqGlobalCancel", self._global_cancel),
            59: ("market_data_type", "reqMarketDataType", self._market_data_type),
            61: ("positions", "reqPositions", self._positions),
            62: ("account", "reqAccountSummary", self._account_summary),
            63: ("account", "cancelAccountSummary", self._cancel_by_id(versioned=True)),
            64: ("positions", "cancelPositions", self._cancel_positions),
            71: ("logon", "startApi", self._start),
            76: ("account", "reqAccountUpdatesMulti", self._account_updates_multi),
            77: ("account", "cancelAccountUpdatesMulti", self._cancel_by_id(versioned=True)),
            91: ("market_rule", "reqMarketRule", self._market_rule),
            92: ("pnl", "reqPnL", self._pnl),
            93: ("pnl", "cancelPnL", self._cancel_by_id(versioned=False)),
            94: ("pnl", "reqPnLSingle", self._pnl_single),
            95: ("pnl", "cancelPnLSingle", self._cancel_by_id(versioned=False)),
            81: ("instruments", "reqMatchingSymbols", self._matching_symbols),
            99: ("completed_orders", "reqCompletedOrders", self._completed_orders),
        }

    def read(self, session: Session, reader: Reader) -> Request:
        """Understands one message; raises `Malformed` for one that is none."""
        message = reader.integer()
        known = self._table.get(message)
        if known is None:
            parameters = {"fields": list(reader.fields)}
            return Request("unknown", str(message), parameters, -1, lambda: None)
        kind, name, handler = known
        parameters, request_id, work = handler(session, reader)
        if kind == "place":
            order = self._venue.desk.find(session.client_id or 0, request_id)
            kind = (
                "what_if"
                if parameters["what_if"]
                else "replace"
                if order is not None and order.live
                else kind
            )
        if kind in ("place", "replace", "cancel", "cancel_all", "open_orders", "completed_orders", "what_if"):
            work = self._guarded(work)
        return Request(kind, name, parameters, request_id, work)

    def _guarded(self, work: Work) -> Work:
        """What a read-only API refuses (its settings: "Read-Only API")."""

        def guarded() -> None:
            if self._venue.is_read_only():
                raise Refusal(
                    321,
                    "Error validating request.-'b6' : cause - The API interface is currently in Read-Only mode.",
                )
            work()

        return guarded

    # The session

    def _start(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        client_id = reader.integer()
        return (
            {"client_id": client_id, "version": session.version},
            -1,
            lambda: self._venue.logon(session, client_id),
        )

    def _ids(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: session.write([9, 1, self._venue.desk.next_id(session.client_id or 0)])

    def _managed_accounts(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: session.write([15, 1, ",".join(self._venue.accounts)])

    def _current_time(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: session.write([49, 1, self._venue.clock.shown_ns() // 1_000_000_000])

    # Orders

    def _place(self, session: Session, reader: Reader) -> Understood:
        asked = read_order(reader, session.version)
        parameters = {
            "order_id": asked.order_id,
            "client_id": session.client_id,
            "order_ref": asked.ref,
            "con_id": asked.contract.con_id,
            "symbol": asked.contract.symbol,
            "action": asked.action,
            "quantity": f"{asked.quantity:f}",
            "type": asked.type,
            "limit": _text(asked.limit),
            "aux": _text(asked.aux),
            "tif": asked.tif,
            "account": asked.account,
            "transmit": asked.transmit,
            "parent_id": asked.parent_id,
            "oca_group": asked.oca_group,
            "what_if": asked.what_if,
            "unread": asked.unread,
        }
        if asked.what_if:
            return parameters, asked.order_id, lambda: self._venue.show_margins(session, asked)
        return parameters, asked.order_id, lambda: self._venue.place(session, asked)

    def _cancel(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        order_id = reader.integer()
        order = self._venue.desk.find(session.client_id or 0, order_id)
        parameters = {
            "order_id": order_id,
            "client_id": session.client_id,
            "order_ref": "" if order is None else order.asked.ref,
        }
        return parameters, order_id, lambda: self._venue.cancel(session, order_id)

    def _global_cancel(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, self._venue.desk.cancel_all

    def _open_orders(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: self._venue.show_open(session, everybody=False)

    def _all_open_orders(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: self._venue.show_open(session, everybody=True)

    def _auto_open_orders(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        binds = reader.flag()

        def work() -> None:
            session.binds_orders = binds and session.client_id == 0

        return {"auto_bind": binds}, -1, work

    def _completed_orders(self, session: Session, reader: Reader) -> Understood:
        api_only = reader.flag()
        return {"api_only": api_only}, -1, lambda: self._venue.show_completed(session, api_only=api_only)

    def _executions(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        request_id, client_id = reader.integer(), reader.integer()
        account, since = reader.text(), reader.text()
        symbol, security, _, side = reader.text(), reader.text(), reader.text(), reader.text()
        parameters = {
            "client_id": client_id,
            "account": account,
            "time": since,
            "symbol": symbol,
            "security": security,
            "side": side,
        }
        return parameters, request_id, lambda: self._venue.show_executions(session, request_id, parameters)

    # Accounts

    def _account_updates(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        wanted, account = reader.flag(), reader.text()

        def work() -> None:
            self._venue.telling.follow(session, self._account(account) if wanted else "")

        return {"subscribe": wanted, "account": account}, -1, work

    def _account_updates_multi(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        request_id, account = reader.integer(), reader.text()

        def work() -> None:
            self._venue.telling.values_multi(session, request_id, self._account(account))

        return {"account": account}, request_id, work

    def _account_summary(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        request_id, group, tags = reader.integer(), reader.text(), reader.text()

        def work() -> None:
            self._venue.telling.summary(session, request_id, tags.split(","))

        return {"group": group, "tags": tags}, request_id, work

    def _positions(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: self._venue.telling.positions(session)

    def _cancel_positions(self, session: Session, reader: Reader) -> Understood:
        return {}, -1, lambda: self._venue.telling.forget_positions(session)

    def _pnl(self, session: Session, reader: Reader) -> Understood:
        request_id, account = reader.integer(), reader.text()
        return (
            {"account": account},
            request_id,
            lambda: self._venue.telling.pnl(session, request_id, self._account(account)),
        )

    def _pnl_single(self, session: Session, reader: Reader) -> Understood:
        request_id, account = reader.integer(), reader.text()
        reader.skip(1)
        con_id = reader.integer()
        return (
            {"account": account, "con_id": con_id},
            request_id,
            lambda: self._venue.telling.pnl_single(session, request_id, self._account(account), con_id),
        )

    def _account(self, name: str) -> str:
        if name and name not in self._venue.accounts:
            raise Refusal(321, "Error validating request.-'b7' : cause - Invalid account code")
        return name or next(iter(self._venue.accounts))

    # Contracts and the market

    def _contract_details(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        request_id, wanted = reader.integer(), read_wanted(reader)
        parameters = {"con_id": wanted.con_id, "symbol": wanted.symbol, "security": wanted.security}

        def work() -> None:
            if not wanted.con_id and not wanted.security:
                raise Refusal(
                    321, "Error validating request.-'bW' : cause - Please enter a valid security type"
                )
            found = self._venue.contracts.find(wanted)
            if not found:
                raise Refusal(200, NO_CONTRACT)
            self._venue.show_contracts(session, request_id, found)

        return parameters, request_id, work

    def _matching_symbols(self, session: Session, reader: Reader) -> Understood:
        request_id, pattern = reader.integer(), reader.text()

        def work() -> None:
            found = self._venue.contracts.matching(pattern)
            fields: list[Field] = [79, request_id, len(found)]
            for listed in found:
                fields += [listed.con_id, listed.symbol, listed.security, listed.primary, listed.currency, 0]
                fields += [listed.long_name, ""] if session.version >= _BOND_ISSUER else []
            session.write(fields)

        return {"pattern": pattern}, request_id, work

    def _market_rule(self, session: Session, reader: Reader) -> Understood:
        number = reader.integer()

        def work() -> None:
            steps = RULES.get(number)
            if steps is None:
                raise Refusal(321, "Error validating request.-'cl' : cause - Invalid market rule")
            session.write([93, number, len(steps), *(field for step in steps for field in step)])

        return {"rule": number}, -1, work

    def _market_data(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        request_id, wanted = reader.integer(), read_wanted(reader)
        reader.skip(1)
        generic, snapshot = reader.text(), reader.flag()
        parameters = {
            "con_id": wanted.con_id,
            "symbol": wanted.symbol,
            "generic": generic,
            "snapshot": snapshot,
        }
        return (
            parameters,
            request_id,
            lambda: self._venue.tape.subscribe(session, request_id, wanted, snapshot=snapshot),
        )

    def _cancel_market_data(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        request_id = reader.integer()
        return {}, request_id, lambda: self._venue.tape.unsubscribe(session, request_id)

    def _market_data_type(self, session: Session, reader: Reader) -> Understood:
        reader.skip(1)
        kind = reader.integer()
        return {"type": kind}, -1, lambda: self._venue.tape.choose(session, kind)

    def _cancel_by_id(self, *, versioned: bool) -> Handler:
        """For the end of a subscription; some of these messages have a version before the request's id."""

        def handler(session: Session, reader: Reader) -> Understood:
            reader.skip(int(versioned))
            request_id = reader.integer()
            return {}, request_id, lambda: self._venue.telling.forget(session, request_id)

        return handler


def _text(value: object) -> str | None:
    return None if value is None else f"{value:f}"
