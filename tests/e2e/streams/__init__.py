"""Streams of a real server over real sockets: every way to begin, to fall behind, to break and to go on."""
