"""What the venue is fed with: recorded tapes and a synthetic market, as `sim/market.py`'s updates.

`opening.open_tape` opens a recording, `info.tape_info` says what is in one, `synthetic.SyntheticFeed` makes a
market up. Only the tape readers touch files, and only the paths that they are handed.
"""
