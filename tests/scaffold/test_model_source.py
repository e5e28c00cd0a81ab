"""The source of models, and their drafts in a database."""

import pytest
from sqlalchemy import Table, inspect
from sqlalchemy.dialects.postgresql.base import PGIdentifierPreparer
from sqlalchemy.dialects.sqlite.base import SQLiteIdentifierPreparer
from sqlalchemy.exc import IntegrityError

from brickwork.database.database import Database
from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.field_specs import parse_fields
from brickwork.scaffold.model_source import ModelSpec, draft_model, model_source
from brickwork.scaffold.names import Names

pytestmark = [pytest.mark.anyio, pytest.mark.both_paths]  # no request


def spec_of(*texts: str) -> ModelSpec:
    return ModelSpec(Names("Thing", "things"), parse_fields(texts), {})


def words_of_sql() -> list[str]:
    """Return the words of SQL that a field can be called."""
    words = set[str]()
    for preparer in (PGIdentifierPreparer, SQLiteIdentifierPreparer):
        words |= preparer.reserved_words
    return sorted(word for word in words if is_name(word))


def is_name(word: str) -> bool:
    try:
        parse_fields([f"{word}:str"])
    except ScaffoldError:
        return False
    return True


async def test_choices_called_like_a_word_of_sql_are_checked(empty_url: str) -> None:
    words = words_of_sql()
    assert {"order", "user", "values", "row"} < {*words}
    model = draft_model(spec_of(*(f"{word}:enum(low,high)" for word in words)))
    table = inspect(model).local_table
    assert isinstance(table, Table)
    engine = Database(empty_url).create_engine()
    async with engine.begin() as connection:
        await connection.run_sync(table.metadata.create_all)
        await connection.execute(table.insert().values(dict.fromkeys(words, "low")))
        await connection.execute(table.update().values(dict.fromkeys(words, "high")))
    for word in words:
        with pytest.raises(IntegrityError, match=f"ck_things_{word}\\b"):
            async with engine.begin() as connection:
                await connection.execute(table.update().values({word: "mid"}))
    await engine.dispose()


def test_the_source_quotes_words_of_sql_alone() -> None:
    source = model_source(spec_of("order:enum(low,high)", "state:enum(a,b)"), "shop")
    assert r"""CheckConstraint("\"order\" IN ('low', 'high')", name="order")""" in source
    assert """CheckConstraint("state IN ('a', 'b')", name="state")""" in source
