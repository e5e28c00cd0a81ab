"""Example programs, which the tests run."""
