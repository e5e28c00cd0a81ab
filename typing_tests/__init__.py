"""Tests of the public types: checked, never run."""
