"""Alembic environment."""

import app.routers  # noqa: F401  # pyright: ignore[reportUnusedImport] — they bring the tables
from app.settings import Settings
from brickwork import Model
from brickwork.migrations import run_migrations

run_migrations(Model.metadata, Settings().database_url)
