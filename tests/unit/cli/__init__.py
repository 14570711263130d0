"""The command line and what it keeps."""
