"""Migrations of the database."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(database_url: str) -> None:
    """Migrate the database at *database_url* to the newest schema."""
    config = Config(toml_file=Path(__file__).parents[2] / "pyproject.toml")
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")
