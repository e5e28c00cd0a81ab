"""Reasons for the ORM path."""


class NotEligible(Exception):
    """An operation or a route that the fast path does not serve; the text is the reason."""
