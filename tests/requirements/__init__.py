"""Tests of `requirements`."""
