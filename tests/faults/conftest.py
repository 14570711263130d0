"""The brokers and their emulators."""

from tests.faults.fixtures import emulator, ended_emulators, venue

__all__ = ["emulator", "ended_emulators", "venue"]
