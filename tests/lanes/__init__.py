"""Tests of `brickwork.lanes`."""
