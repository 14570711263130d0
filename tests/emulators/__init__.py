"""Venues that speak the wire of real ones, each a process of its own: see `docs/emulators.md`."""
