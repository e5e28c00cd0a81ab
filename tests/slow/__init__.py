"""Tests that take long or need more of the machine: `make test-all` runs them."""
