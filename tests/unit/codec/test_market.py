"""Market data as messages."""

from __future__ import annotations

from decimal import Decimal

import pytest

from brokergate.codec.encode.market import encode_quote, trade_fields
from brokergate.domain.market import QuoteView, TradeView
from brokergate.domain.orders import Side
from brokergate.v1 import market_data_pb2


@pytest.mark.parametrize("delayed", [True, False])
def test_what_is_delayed_says_so(delayed: bool) -> None:
    quote = QuoteView("AAPL", Decimal(1), Decimal(2), None, None, 3, 4, delayed=delayed)
    assert encode_quote(quote).delayed is delayed
    trade = TradeView("AAPL", Decimal(1), Decimal(2), Side.UNSPECIFIED, 3, 4, delayed=delayed)
    assert market_data_pb2.Trade(**trade_fields(trade)).delayed is delayed
