"""What an account may risk: its limits, held against every order before it is journalled.

Synchronous and without I/O: between `Risk.check` and the order's being counted (`Risk.hold`) nothing else runs, so two
orders that fit one by one and not together never both pass. What each limit means stands in
`docs/risk.md`.
"""
