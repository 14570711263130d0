"""`python -m tests.venue.gateway serve --config FILE`: the real command line, with one more broker, `socket`."""

from __future__ import annotations

from brokergate.__main__ import main
from brokergate.adapters.registry import BrokerRegistry
from tests.venue.broker import ENVIRONMENTS, NAME, SocketBroker, SocketConfig
from tests.venue.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    BrokerRegistry.register(NAME, settings=SocketConfig, environments=ENVIRONMENTS)(SocketBroker)
    main()
