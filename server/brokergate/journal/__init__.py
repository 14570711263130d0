"""Journals: every account's events in one order, durable before they are sent (laws 1 and 5)."""
