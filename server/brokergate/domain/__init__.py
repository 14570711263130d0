"""Values and rules of trading: pure, no input or output, no clock, no randomness."""
