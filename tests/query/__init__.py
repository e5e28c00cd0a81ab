"""Tests of `brickwork.query`."""
