"""The engine: takes commands, keeps orders, talks to brokers through their port, journals everything."""
