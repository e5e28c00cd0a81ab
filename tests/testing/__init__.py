"""Tests of `brickwork.testing`."""
