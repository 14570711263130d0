"""Tests of single pieces: no server, no network, no sleep."""
