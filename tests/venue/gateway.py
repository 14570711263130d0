"""`python -m tests.venue.gateway serve --config FILE`: the real command line, with one more broker, `socket`."""

from __future__ import annotations

from brokergate.__main__ import main
from brokergate.adapters.registry import register
from tests.venue.broker import NAME, SocketBroker, SocketConfig
from tests.venue.parent import end_with_parent

if __name__ == "__main__":
    end_with_parent()
    register(NAME, SocketBroker, SocketConfig)
    main()
