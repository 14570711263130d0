"""Interactive Brokers, through a TWS or an IB Gateway. `docs/brokers/ibkr.md` says what a user has to know."""
