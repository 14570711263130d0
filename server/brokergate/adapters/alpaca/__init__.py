"""Alpaca: US stocks and crypto. `docs/brokers/alpaca.md` says what a user has to know."""
