"""Why the ordinary lane is taken."""


class NotEligible(Exception):
    """An operation, or a route, is not for the fast lane; the text says why."""
