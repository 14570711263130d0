"""The Python client against a gateway that does what a test says."""
