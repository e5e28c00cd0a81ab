"""Migrations of the database."""

from pathlib import Path

from brickwork.migrations import upgrade


def migrate(database_url: str) -> None:
    """Migrate the database at *database_url* to the newest schema."""
    upgrade(Path(__file__).parents[2], database_url)
