"""Tests of `brickwork.resource`."""
