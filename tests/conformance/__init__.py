"""What every broker must do alike: numbered cases, run for each adapter through the engine's port (DESIGN, section 6).

A case (`cases_*.py`) talks to an `AbstractBroker` and to a market that the test moves, and to nothing else. It is left
out for a broker only where the broker's declared capabilities lack what the case `needs`. `docs/conformance.md` shows
case × broker; `tools/conformance_docs.py` writes it by running them all.

A new adapter needs one `Subject` (`subject.py`): how to connect it to its emulator and how to move the emulator's
market. Put its factory into `SUBJECTS` (`subjects.py`), run `pytest tests/conformance`, then the tool.
"""
