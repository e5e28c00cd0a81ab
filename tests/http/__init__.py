"""Tests of `brickwork.http`."""
