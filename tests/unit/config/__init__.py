"""The configuration: files, variables, layers, models and what is said when they are wrong."""
