"""The fault matrix: fault × broker × law, with the real engine and adapter against the venue's emulator in a process of
its own. `tools/fault_matrix.py` writes `docs/fault-matrix.md` from a run."""
