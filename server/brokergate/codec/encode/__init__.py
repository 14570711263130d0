"""Domain values to messages of the contract: one module a noun."""
