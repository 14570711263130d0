"""Cases of `tests/conformance` once more from outside: over gRPC, against a real server, by the table's numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from brokergate_client import Side, TimeInForce, limit_order, market_order, stop_order
from tests.e2e.conftest import StartServer
from tests.e2e.process import ServerProcess
from tests.e2e.test_groups import BTC, CONFIG, trading


@pytest.fixture
def server(start_server: StartServer, tmp_path: Path) -> ServerProcess:
    """A server with a market that is pushed."""
    config = tmp_path / "brokergate.yaml"
    config.write_text(CONFIG)
    return start_server("--config", config)


async def test_orders_end_as_the_table_says(server: ServerProcess) -> None:
    """102, 132, 134, 135, 142, 152 and 162: taking, resting, giving, all or nothing, cancels and a stop in a gap."""
    async with trading(server) as at:
        place = at.gateway.place
        await place("paper", market_order(BTC, Side.BUY, "0.5"), client_order_id="102")
        await place("paper", limit_order(BTC, Side.BUY, "2", "100.5"), client_order_id="132")
        await place(
            "paper",
            limit_order(BTC, Side.BUY, "1", "100", time_in_force=TimeInForce.IOC),
            client_order_id="134",
        )
        await place(
            "paper",
            limit_order(BTC, Side.BUY, "50", "101", time_in_force=TimeInForce.FOK),
            client_order_id="135",
        )
        await place("paper", limit_order(BTC, Side.BUY, "1", "90"), client_order_id="142")
        await place("paper", limit_order(BTC, Side.SELL, "0.2", "103"), client_order_id="152")
        await at.gateway.cancel("paper", client_order_id="142")
        at.trade("100.4", "2", Side.SELL)
        at.trade("104", "0.1", Side.BUY)
        await at.gateway.cancel("paper", client_order_id="152")
        await place("paper", stop_order(BTC, Side.SELL, "0.3", "95"), client_order_id="162")
        at.market("92", "93", size="11")
        at.trade("92.5", "1", Side.SELL)
        names = ("102", "132", "134", "135", "142", "152", "162")
        states = dict(zip(names, await at.states(names), strict=True))
        assert states == {
            "102": "FILLED",
            "132": "FILLED",
            "134": "CANCELED",
            "135": "REJECTED",
            "142": "CANCELED",
            "152": "CANCELED",
            "162": "FILLED",
        }
        told = [
            (name, f"{size.normalize():f}", f"{price.normalize():f}")
            for name, size, price in await at.fills()
        ]
        assert told == [
            ("102", "0.5", "101"),
            ("132", "2", "100.5"),
            ("152", "0.1", "103"),
            ("162", "0.3", "92"),
        ]
