"""Tests of `brickwork.schemas`."""
