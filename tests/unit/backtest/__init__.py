"""Runs without a gateway: their files, strategies, statistics and page."""
