"""Slow tests, which `make test-all` runs."""
