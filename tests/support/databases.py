"""Databases of each kind, empty or migrated."""

import shutil
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.postgres import Postgres

BACKENDS = ("sqlite", "postgresql")

sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
"""The mark of tests that send no statement, so that the database does not matter."""

postgres_only = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)


class Databases:
    """A factory of databases, empty or migrated; copies of a template are quick."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        """Make nothing yet: SQLite files belong in *folder*, other databases on *postgres*."""
        self._postgres = postgres
        self._folder = folder
        self._made: list[str] = []
        self.templates: dict[str, str] = {}

    def empty(self, backend: str) -> str:
        """Return the URL of a new database without a table."""
        return self._new(backend, None)

    def migrated(self, backend: str) -> str:
        """Return the URL of a new database with the tables of the service."""
        return self._new(backend, self.templates[backend])

    def another(self) -> "Databases":
        """Return another factory with the same templates."""
        another = Databases(self._postgres, self._folder)
        another.templates = self.templates
        return another

    def drop(self) -> None:
        """Drop the databases on PostgreSQL; pytest removes files."""
        while self._made:
            self._postgres.drop(self._made.pop())

    def _new(self, backend: str, template: str | None) -> str:
        name = f"test_{uuid4().hex}"
        if backend == "postgresql":
            self._made.append(name)
            return self._postgres.create(name, template=template or "template1")
        file = self._folder / f"{name}.db"
        if template:
            shutil.copyfile(self._folder / template, file)
        return f"sqlite+aiosqlite:///{file}"
