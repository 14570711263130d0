"""Tests of the tools that build, check and package the project, and helpers that find what those installed."""
