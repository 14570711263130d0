"""Binance spot: REST for commands and questions, the WebSocket API for what happens on the account, public streams for
the market."""
