"""Tests of `brickwork.fastpath`."""
