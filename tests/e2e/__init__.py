"""A real server process, a real channel."""
