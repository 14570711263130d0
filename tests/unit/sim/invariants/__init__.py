"""The invariants that a paper venue holds, judged from outside: by what it was asked and what it told."""
