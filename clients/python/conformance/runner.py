"""The conformance runner of the Python client: `clients/CONFORMANCE.md` says what it is told and what it prints."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import grpc

from brokergate_client import (
    CaughtUp,
    ErrorReason,
    Event,
    EventKind,
    EventStream,
    FieldViolation,
    Fill,
    FillStream,
    Gateway,
    GatewayError,
    InvalidRequestError,
    Order,
    OrderSpec,
    OrderType,
    Side,
    StartPosition,
    TimeInForce,
    Tls,
    contract_method,
    exact,
    name_of,
    new_id,
)

CHUNK = 1000

Step = dict[str, Any]
Seen = dict[str, Any]


class _Mistake(Exception):
    """The runner was told something that it cannot do."""


def _decimal(text: str | None, name: str) -> Decimal | None:
    return None if text is None else exact(text, name)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else format(value, "f")


def _order(order: Order) -> Seen:
    return {
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "account_id": order.account_id,
        "symbol": order.spec.symbol,
        "side": name_of(order.spec.side),
        "type": name_of(order.spec.type),
        "state": name_of(order.state),
        "generation": order.generation,
        "quantity": _text(order.quantity),
        "cum_quantity": _text(order.cum_quantity),
        "leaves_quantity": _text(order.leaves_quantity),
        "limit_price": _text(order.spec.limit_price),
        "average_price": _text(order.average_price),
        "reject_reason": name_of(order.reject_reason),
    }


def _item(item: Fill | Event) -> Seen:
    place = {
        "event_id": item.event_id,
        "account_id": item.account_id,
        "sequence": str(item.sequence),
        "cursor": item.cursor,
    }
    if isinstance(item, Event):
        kind = name_of(item.kind)
        return {**place, "kind": "UNKNOWN" if kind == "UNSPECIFIED" else kind}
    return {
        **place,
        "fill_id": item.fill_id,
        "client_order_id": item.client_order_id,
        "symbol": item.symbol,
        "side": name_of(item.side),
        "quantity": _text(item.quantity),
        "price": _text(item.price),
        "kind": name_of(item.kind),
        "liquidity": name_of(item.liquidity),
        "fees": [{"amount": _text(fee.amount), "currency_code": fee.currency_code} for fee in item.fees],
    }


def _error(error: GatewayError) -> Seen:
    delay = error.retry_after_s
    return {
        "code": error.code.name,
        "reason": "" if error.reason_name == "UNSPECIFIED" else error.reason_name,
        "message": error.message,
        "violations": [{"field": v.field, "description": v.description} for v in error.violations],
        "metadata": error.metadata,
        "retry_delay_ms": None if delay is None else round(delay * 1000),
        "outcome_unknown": error.outcome_unknown,
        "id": error.request_id,
    }


class _Open:
    """A stream that is open. It is read while somebody takes, in chunks, and up to one item further."""

    def __init__(self, stream: FillStream | EventStream) -> None:
        self.stream = stream
        self.in_order = True
        self._seen: dict[str, int] = {}
        self._items: deque[Any] = deque()
        self._limit = 0
        self._room = asyncio.Event()
        self._ready = asyncio.Event()
        self._error: Exception | None = None
        self._reader = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            source: Any = aiter(self.stream)
            async with aclosing(source) as items:
                async for item in items:
                    self._items.append(item)
                    self._ready.set()
                    if len(self._items) >= self._limit:
                        self._room.clear()
                        await self._room.wait()
        except Exception as error:  # noqa: BLE001, whoever takes is told
            self._error = error
            self._ready.set()

    async def chunk(self, most: int, until_caught_up: bool, timeout_s: float) -> list[Any]:
        """One to `most` items; none once the stream has caught up. Raises what the stream does, and `TimeoutError`."""
        self._limit = min(most, CHUNK)
        if len(self._items) < self._limit:
            self._ready.clear()
            self._room.set()
        if not self._items and self._error is None:
            waiting: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._ready.wait())]
            if until_caught_up:
                waiting.append(asyncio.ensure_future(self.stream.caught_up.wait()))
            try:
                await asyncio.wait(waiting, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
                if not any(task.done() for task in waiting):
                    raise TimeoutError
            finally:
                for task in waiting:
                    task.cancel()
                # What ended the stream is told to its reader as well.
                await asyncio.gather(*waiting, return_exceptions=True)
                self._limit = 0
        self._limit = 0
        if not self._items and self._error is not None:
            raise self._error
        return [self._items.popleft() for _ in range(min(most, len(self._items)))]

    def count(self, item: Fill | Event) -> None:
        """Hold the item's sequence against the one before."""
        if item.sequence <= self._seen.get(item.account_id, 0):
            self.in_order = False
        self._seen[item.account_id] = item.sequence

    async def close(self) -> None:
        """End it, and the call under it."""
        self._reader.cancel()
        with suppress(asyncio.CancelledError):
            await self._reader


class Runner:
    """Does steps, one client at a time."""

    def __init__(self) -> None:
        self._gateway: Gateway | None = None
        self._streams: dict[str, _Open] = {}

    async def do(self, step: Step) -> Seen:
        """What came of a step."""
        step = {name: value for name, value in step.items() if value is not None}
        method: Callable[[Step], Awaitable[Seen]] | None = getattr(self, f"_do_{step['do']}", None)
        if method is None:
            return {"failed": f"no step {step['do']!r}"}
        try:
            seen = await method(step)
        except asyncio.CancelledError:
            return {"error": {"code": "CANCELLED"}}
        except GatewayError as error:
            return {"error": _error(error)}
        except Exception as error:  # noqa: BLE001, a bug is told and fails the scenario
            return {"failed": f"{type(error).__name__}: {error}"}
        return {"ok": seen}

    @property
    def _client(self) -> Gateway:
        if self._gateway is None:
            raise _Mistake("not connected")
        return self._gateway

    def _within(self, step: Step) -> Gateway:
        return self._client.within(step["timeout_ms"] / 1000) if "timeout_ms" in step else self._client

    async def _do_connect(self, step: Step) -> Seen:
        await self._do_disconnect(step)
        tls = None
        if "ca_file" in step:
            tls = Tls(step["ca_file"], step.get("cert_file"), step.get("key_file"), step.get("server_name"))
        timeout = {"timeout_s": step["timeout_ms"] / 1000} if "timeout_ms" in step else {}
        try:
            gateway = Gateway.connect(
                step["address"], token=step.get("token"), tls=tls, connect_timeout_s=None, **timeout
            )
        except ValueError as error:
            raise InvalidRequestError(
                grpc.StatusCode.INVALID_ARGUMENT,
                str(error),
                reason=ErrorReason.INVALID_FIELD,
                violations=[FieldViolation("token", str(error))],
            ) from None
        self._gateway = gateway
        await self._gateway.open()
        return {}

    async def _do_disconnect(self, step: Step) -> Seen:
        for name in list(self._streams):
            await self._streams.pop(name).close()
        if self._gateway is not None:
            await self._gateway.close()
            self._gateway = None
        return {}

    async def _do_show(self, step: Step) -> Seen:
        gateway = self._client
        shown = (repr(gateway), str(gateway), repr(vars(gateway)), repr(gateway._caller))
        return {"text": "\n".join(shown)}

    async def _do_new_id(self, step: Step) -> Seen:
        return {"ids": [new_id() for _ in range(step["count"])]}

    async def _do_decimal(self, step: Step) -> Seen:
        return {"text": _text(_decimal(step["text"], "text"))}

    async def _do_call(self, step: Step) -> Seen:
        request = contract_method(step["rpc"]).request_type.FromString(base64.b64decode(step["request"]))
        calling = self._within(step).call(step["rpc"], request, request_id=step.get("id", ""))
        if "cancel_after_ms" not in step:
            return _message(await calling)
        task = asyncio.ensure_future(calling)
        asyncio.get_running_loop().call_later(step["cancel_after_ms"] / 1000, task.cancel)
        return _message(await task)

    async def _do_stream_call(self, step: Step) -> Seen:
        kind = contract_method(step["rpc"]).request_type
        requests = [kind.FromString(base64.b64decode(text)) for text in step["requests"]]
        responses = []
        timeout_s = step["timeout_ms"] / 1000 if "timeout_ms" in step else 10.0
        async for response in self._client.stream(step["rpc"], requests, timeout_s=timeout_s):
            responses.append(response)
            if len(responses) == step.get("take", 0):
                break
        return {"responses": [_message(response)["response"] for response in responses]}

    async def _do_place(self, step: Step) -> Seen:
        spec = OrderSpec(
            symbol=step["symbol"],
            side=Side[step["side"]],
            type=OrderType[step["type"]],
            quantity=_decimal(step.get("quantity"), "order.quantity"),
            limit_price=_decimal(step.get("limit_price"), "order.limit_price"),
            stop_price=_decimal(step.get("stop_price"), "order.stop_price"),
            time_in_force=TimeInForce[step.get("time_in_force", "UNSPECIFIED")],
            post_only=step.get("post_only", False),
        )
        placed = await self._within(step).place(
            step["account_id"], spec, client_order_id=step.get("client_order_id")
        )
        return {"order": _order(placed.order), "already_existed": placed.already_existed}

    async def _do_replace(self, step: Step) -> Seen:
        order = await self._within(step).replace(
            step["account_id"],
            order_id=step.get("order_id"),
            client_order_id=step.get("client_order_id"),
            expected_generation=step["expected_generation"],
            quantity=step.get("quantity"),
            limit_price=step.get("limit_price"),
            request_id=step.get("request_id"),
        )
        return {"order": _order(order)}

    async def _do_cancel(self, step: Step) -> Seen:
        order = await self._within(step).cancel(
            step["account_id"],
            order_id=step.get("order_id"),
            client_order_id=step.get("client_order_id"),
            request_id=step.get("request_id"),
        )
        if order is None:
            raise _Mistake("a cancel without TOMBSTONE has an order")
        return {"order": _order(order)}

    async def _do_open(self, step: Step) -> Seen:
        if step["name"] in self._streams:
            raise _Mistake(f"{step['name']!r} is open")
        start = step.get("start", "LIVE")
        at: StartPosition | datetime = (
            StartPosition[start] if start in StartPosition.__members__ else datetime.fromisoformat(start)
        )
        heartbeat = {"heartbeat_s": step["heartbeat_ms"] / 1000} if "heartbeat_ms" in step else {}
        after, account_ids = step.get("after"), step.get("account_ids", [])
        stream: FillStream | EventStream
        if step["stream"] == "fills":
            symbols: Sequence[str] = step.get("symbols", [])
            stream = self._client.fills(
                after=after, start=at, account_ids=account_ids, symbols=symbols, **heartbeat
            )
        else:
            kinds = [EventKind[kind] for kind in step.get("kinds", [])]
            stream = self._client.events(
                after=after, start=at, account_ids=account_ids, kinds=kinds, **heartbeat
            )
        self._streams[step["name"]] = _Open(stream)
        return {}

    async def _do_take(self, step: Step) -> Seen:
        taken = self._streams[step["name"]]
        until = step.get("until") == "caught_up"
        count: int = step.get("count", 0)
        summary = step.get("summary", False)
        deadline = time.monotonic() + step.get("timeout_ms", 20_000) / 1000
        items: list[Seen] = []
        number = 0
        last: Fill | Event | None = None
        ending: Seen = {}
        while not ending and (until or number != count):
            most = CHUNK if until else count - number
            try:
                chunk = await taken.chunk(most, until, deadline - time.monotonic())
            except TimeoutError:
                ending = {"timed_out": True}
                break
            if not chunk:
                ending = {"caught_up": True}
            for item in chunk:
                if isinstance(item, CaughtUp):
                    ending = {"caught_up": True} if until else {}
                    continue
                number += 1
                taken.count(item)
                last = item
                if not summary:
                    items.append(_item(item))
        if summary:
            told = None if last is None else _item(last)
            return {"count": number, "in_order": taken.in_order, "last": told, **ending}
        return {"items": items, **ending}

    async def _do_stream(self, step: Step) -> Seen:
        stream = self._streams[step["name"]].stream
        return {"cursor": stream.cursor, "reconnects": stream.reconnects}

    async def _do_close(self, step: Step) -> Seen:
        await self._streams.pop(step["name"]).close()
        return {}


def _message(message: Any) -> Seen:
    return {"response": base64.b64encode(message.SerializeToString()).decode("ascii")}


async def main() -> None:
    """Answer the steps on stdin until it ends."""
    runner = Runner()
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await runner.do(json.loads(line))), flush=True)
    await runner.do({"do": "disconnect"})


if __name__ == "__main__":
    asyncio.run(main())
