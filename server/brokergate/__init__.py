"""brokergate: one gRPC door to every broker."""

__version__ = "0.1.0"
