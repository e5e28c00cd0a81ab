"""Errors of the command line."""


class UsageError(Exception):
    """An impossible request by the user. Its text names the remedy."""
