"""Tests of `brickwork.models`."""
