"""Tests of `brickwork.operations`."""
