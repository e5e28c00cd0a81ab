"""Reasons for the ORM path."""

from dataclasses import dataclass


class NotEligible(Exception):
    """An operation, a route or a plan without a statement. The text is the reason."""


@dataclass(slots=True, frozen=True)
class Declined:
    """The answer of the statement executor to a plan that it does not execute.

    Nothing has changed then.
    """

    reason: str
