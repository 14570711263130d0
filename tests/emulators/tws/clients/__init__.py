"""Clients of the TWS API that certify the emulator. Each runs in an environment of its own (`tools/ib_clients.py`), in
which nothing of this project can be imported: what they find they print as JSON."""
