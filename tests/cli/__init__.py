"""Tests of `brickwork.cli`."""
