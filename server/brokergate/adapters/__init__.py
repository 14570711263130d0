"""Adapters to brokers, one folder each; `registry` knows them by name."""
