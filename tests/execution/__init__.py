"""Tests of `brickwork.execution`."""
