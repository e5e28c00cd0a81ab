"""A migration says what a column is in the database, and names nothing of ours."""

from collections.abc import Mapping
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.types import JSON, Text, TypeDecorator, TypeEngine
from typing_extensions import override

from brickwork import JSONDocument, UTCDateTime

ENV = """
from alembic import context
from sqlalchemy import create_engine

with create_engine("sqlite://").connect() as connection:
    context.configure(connection=connection, **context.config.attributes)
    context.run_migrations()
"""


class Moment(UTCDateTime):
    """A type of the project's own, made of one of ours."""

    cache_ok = True


class Shouted(TypeDecorator[str]):
    """A type of the project's own."""

    impl = String(20)
    cache_ok = True

    @override
    def process_result_value(self, value: str | None, dialect: Any) -> str | None:
        return value and value.upper()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("path_separator", "os")
    (tmp_path / "versions").mkdir()
    (tmp_path / "env.py").write_text(ENV)
    template = Path(config.get_template_directory(), "generic", "script.py.mako")
    copyfile(template, tmp_path / "script.py.mako")
    return config


def rendered(config: Config, kind: TypeEngine[Any], **options: Any) -> str:
    """Return what a migration has for a column of *kind*."""
    table = Table("rows", MetaData(), Column("value", kind))
    config.attributes.update(target_metadata=table.metadata, **options)
    script: Any = command.revision(config, autogenerate=True)
    (line,) = (each for each in Path(script.path).read_text().splitlines() if "'value'" in each)
    return line.strip()


TYPES: Mapping[str, tuple[TypeEngine[Any], str]] = {
    "a datetime": (UTCDateTime(), "sa.DateTime(timezone=True)"),
    "a document": (JSONDocument(), "sa.JSON(none_as_null=True)"),
    "a subclass": (Moment(), "sa.DateTime(timezone=True)"),
    "a variant of ours": (
        UTCDateTime().with_variant(Text(), "sqlite"),
        "sa.DateTime(timezone=True).with_variant(sa.Text(), 'sqlite')",
    ),
    "ours as a variant": (
        Text().with_variant(UTCDateTime(), "sqlite"),
        "sa.Text().with_variant(sa.DateTime(timezone=True), 'sqlite')",
    ),
    "another's": (JSON(), "sa.JSON()"),
    "the project's": (Shouted(), f"{__name__}.Shouted(length=20)"),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_column_is_written_as_the_database_has_it(config: Config, name: str) -> None:
    kind, text = TYPES[name]
    assert rendered(config, kind) == f"sa.Column('value', {text}, nullable=True)"


@pytest.mark.parametrize(
    ("kind", "text"),
    [(UTCDateTime(), "sa.String()"), (JSONDocument(), "sa.JSON(none_as_null=True)")],
)
def test_what_the_project_renders_itself_comes_first(
    config: Config, kind: TypeEngine[Any], text: str
) -> None:
    def render(_: str, item: object, __: object) -> str | bool:
        return "sa.String()" if isinstance(item, UTCDateTime) else False

    line = rendered(config, kind, render_item=render)
    assert line == f"sa.Column('value', {text}, nullable=True)"
