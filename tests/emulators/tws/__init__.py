"""An emulator of the TWS API: see `docs/emulator-tws.md`."""
