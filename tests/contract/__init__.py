"""Tests of the service through HTTP, on both databases."""
