"""`python -m tests.emulators.tws --port 0 --server-version 176`: the emulator as a process of its own."""

from tests.emulators.tws.server import run

if __name__ == "__main__":
    run()
