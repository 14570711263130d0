"""The market as it moves: quotes by a stream that is opened anew where it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from brokergate_client import decode
from brokergate_client.calls import Backoff, invites_repeat, log
from brokergate_client.enums import ErrorReason
from brokergate_client.errors import GatewayError
from brokergate_client.instruments import Quote
from brokergate_client.streams import closing_error


async def follow_quotes(
    open_stream: Callable[[], AsyncGenerator[Any, None]], new_backoff: Callable[[], Backoff] = Backoff
) -> AsyncGenerator[Quote, None]:
    """The quotes of one stream after another; see `Gateway.quotes`. What was between two of them is lost: market data
    is not journalled, and each stream begins with the present quote."""
    backoff = new_backoff()
    while True:
        try:
            async with aclosing(open_stream()) as messages:
                async for message in messages:
                    backoff.reset()
                    for update in message.updates:
                        if update.WhichOneof("data") == "quote":
                            yield decode.quote(update.quote)
                    if message.HasField("closing"):
                        raise closing_error(message.closing)
            pause_s = backoff.next_s()
        except GatewayError as error:
            if error.reason != ErrorReason.SLOW_CONSUMER and not invites_repeat(error):
                raise
            pause_s = backoff.next_s(error.retry_after_s)
            log.info("%s; opening the quotes again in %.1f s", error, pause_s)
        await asyncio.sleep(pause_s)
