"""Tests of `examples/shop`."""
