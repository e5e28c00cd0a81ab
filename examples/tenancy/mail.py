"""Mails to users."""

import logging

log = logging.getLogger(__name__)


async def send_assignment(email: str, title: str) -> None:
    """Send a mail about a new task. A real application sends a mail here."""
    log.info("Mail to %s: %s", email, title)
