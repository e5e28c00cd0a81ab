"""Tests of `brickwork.database`."""
