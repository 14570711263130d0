# %% [markdown]
# # A market maker, and what came of it
#
# Every `# %%` begins a cell: Jupyter (with jupytext), VS Code and PyCharm open this file as a notebook, and Python runs
# it as it is. It makes a market on the paper account for some seconds with the example beside it, and then looks at the
# fills with pandas. Needed: `pip install .[notebook]` in a checkout, and a gateway (`make serve`).

# %%
"""A market maker as a notebook: run it, then look at fills, position and result with pandas."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from typing import Any, TypeVar

import pandas as pd
from market_maker import run

from brokergate_client import Gateway, NotFoundError, Side, name_of

ADDRESS = os.environ.get("BROKERGATE_ADDRESS", "127.0.0.1:50051")
SECONDS = float(os.environ.get("BROKERGATE_SECONDS", "20"))
ACCOUNT, SYMBOL = "paper", "BTC/USDT"

T = TypeVar("T")


def wait_for(coroutine: Coroutine[Any, Any, T]) -> T:
    """Its result, in a script and in a notebook alike: a notebook's own loop runs already, so this takes another."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


# %% [markdown]
# ## Trade
# The market maker closes at its end all that the account holds of the instrument, so it is closed before, too: what
# was held before is not its result. The cursor says where our fills begin.


# %%
async def trade() -> str:
    """Make a market for a while, and give the cursor of before."""
    async with Gateway.connect(ADDRESS) as gateway:
        await gateway.cancel_all(ACCOUNT, symbol=SYMBOL)
        with suppress(NotFoundError):
            await gateway.close_position(ACCOUNT, SYMBOL)
        cursor = await gateway.cursor(ACCOUNT)
    await run(
        argparse.Namespace(
            address=ADDRESS,
            account=ACCOUNT,
            symbol=SYMBOL,
            quantity="0.01",
            ticks=20,
            most=5,
            interval=0.2,
            seconds=SECONDS,
        )
    )
    return cursor


cursor = wait_for(trade())

# %% [markdown]
# ## The fills
# A `DataFrame` of exact decimals: pandas keeps them as objects, and sums them without rounding.


# %%
async def read_fills(after: str) -> pd.DataFrame:
    """Our fills after the cursor, in order, up to now."""
    rows: list[dict[str, Any]] = []
    async with Gateway.connect(ADDRESS) as gateway:
        stream = gateway.fills(after=after, account_ids=[ACCOUNT], symbols=[SYMBOL])
        following = asyncio.create_task(_collect(stream, rows))
        await stream.caught_up.wait()
        following.cancel()
    return pd.DataFrame(rows, columns=["time", "side", "quantity", "price", "fee", "liquidity"])


async def _collect(stream: Any, rows: list[dict[str, Any]]) -> None:
    async for fill in stream:
        row = {
            "time": pd.Timestamp(fill.event_time_ns, unit="ns", tz="UTC"),
            "side": name_of(fill.side),
            "quantity": fill.quantity if fill.side == Side.BUY else -fill.quantity,
            "price": fill.price,
            "fee": sum((fee.amount for fee in fill.fees), Decimal(0)),
            "liquidity": name_of(fill.liquidity),
        }
        rows.append(row)


fills = wait_for(read_fills(cursor))
print(fills.to_string())

# %% [markdown]
# ## Position and result
# Cash goes out for what is bought and comes in for what is sold; what is left when the position is flat is the result.

# %%
fills["position"] = fills["quantity"].cumsum()
fills["cash"] = -(fills["quantity"] * fills["price"] + fills["fee"]).cumsum()
print(fills[["time", "position", "cash"]].tail(10).to_string())

# %%
by_side = fills.groupby(["side", "liquidity"])[["quantity", "fee"]].sum()
print(by_side.to_string())
result = fills["cash"].iloc[-1] if len(fills) else Decimal(0)
flat = not len(fills) or fills["position"].iloc[-1] == 0
print(f"{len(fills)} fills, result {result} USDT, {'flat' if flat else 'NOT FLAT'}")

# %% [markdown]
# A picture, where matplotlib is there: `fills.set_index("time")["cash"].astype(float).plot(drawstyle="steps-post")`.
