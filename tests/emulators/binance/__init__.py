"""Binance spot: REST, WebSocket API and market streams, by binance/binance-spot-api-docs as of July 2026."""
