"""Tests of `brickwork.tracking`."""
