"""Proto messages to domain values and back: `encode`, `decode` (what clients send) and `restore` (what was stored)."""
