"""The whole engine on a simulated clock, network, disk and broker, broken by seed: `python -m tests.simulation`."""
