"""Errors of generated code."""

EXIT_FAILURE = 3
"""The exit status of a process that a database failed."""


class ScaffoldError(Exception):
    """An impossible request for generated code. Its text names the remedy."""
