"""Alpaca's paper trading and market data, emulated: US stocks and crypto."""
