"""Runs of orders or of a strategy over a recorded or a made-up market, without a gateway: `brokergate replay`.

The venue is the paper account's own (`sim.Venue` under the account's terms), the checks before it are the gateway's
(`engine.rules`). Pure: a run's time is its market's, its dice are seeded, so that the same inputs give the same bytes.
"""
