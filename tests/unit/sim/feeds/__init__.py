"""Tests of the venue's feeds."""
