"""What a command line or a script asked for, and cannot be."""


class UsageError(Exception):
    """What was asked for cannot be done; the text is for people, and tells the remedy."""
