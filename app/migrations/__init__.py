"""The schema of the database, step by step."""

from pathlib import Path

from alembic import command
from alembic.config import Config


def migrate(database_url: str) -> None:
    """Bring the database at *database_url* to the newest schema; nothing happens if it is."""
    config = Config(toml_file=Path(__file__).parents[2] / "pyproject.toml")
    config.attributes["database_url"] = database_url
    command.upgrade(config, "head")
