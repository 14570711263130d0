"""A broker from somebody else's package; `wheel` makes the package."""
