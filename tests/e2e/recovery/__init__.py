"""Rounds of `kill -9` under load: the processes, the clients that repeat by the rules, the readers, the laws."""
