"""Interactive Brokers, proven: the traps of its library and wire one by one, bad input, event loops, and the soak."""
