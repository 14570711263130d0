"""What every adapter to a broker outside the process is built from: HTTP, streams, the venue's clock and ids, and the
market data that it passes on. `manager` owns what accounts share."""
