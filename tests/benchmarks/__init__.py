"""How fast the gateway is, as ratios to an echo that is measured beside it. `docs/benchmarks.md` explains."""
