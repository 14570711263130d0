"""The matching venue: its own book, queue and clock. Pure: time and randomness are handed in."""
