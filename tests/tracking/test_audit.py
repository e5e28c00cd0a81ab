"""Audit entries."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import MetaData, delete, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, defer, load_only, mapped_column

from brickwork import AuditEntry, Database, Model, ServiceUnavailable, audit_entries
from tests.support import mappings
from tests.support.blog import Article, Articles, Comment
from tests.support.mappings import Chapter, Edition, Editor
from tests.support.recording import statements
from tests.support.services import Service
from tests.support.tables import Tables


@pytest.fixture
def database(blog_service: Service) -> Database:
    """Return the blog's database."""
    return blog_service.database


async def all_entries(database: Database) -> list[AuditEntry]:
    """Return all entries, the oldest first."""
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(AuditEntry).order_by(AuditEntry.id))]


# --- Actors ------------------------------------------------------------------------------------


async def test_script_names_its_actor(database: Database) -> None:
    async with database.session() as session:
        session.info["actor"] = "import"
        session.add(Article(slug="a"))

    (entry,) = await all_entries(database)
    assert (entry.actor, entry.request_id) == ("import", None)


async def test_script_without_an_actor_leaves_it_open(database: Database) -> None:
    async with database.session() as session:
        session.add(Article(slug="a"))

    (entry,) = await all_entries(database)
    assert entry.actor is None


async def test_resource_names_the_actor(database: Database) -> None:
    async with database.session() as session:
        await Articles(session=session, user="ann", site="a").create(Article(slug="a"))

    (entry,) = await all_entries(database)
    assert entry.actor == "ann"


# --- Entries -----------------------------------------------------------------------------------


async def test_entries_of_a_flush_are_one_statement(database: Database) -> None:
    async with database.session() as session:
        session.add_all([Article(slug=str(number)) for number in range(50)])
        with statements() as sent:
            await session.flush()

    assert {statement.split()[0] for statement in sent} == {"INSERT"}  # nothing is read
    assert len([statement for statement in sent if "audit_entries" in statement]) == 1
    entries = await all_entries(database)
    assert [(entry.row_key, entry.changes["slug"]["after"]) for entry in entries] == [
        (str(number + 1), str(number)) for number in range(50)
    ]


async def test_entries_outlive_their_row(database: Database) -> None:
    async with database.session() as session:
        session.add(article := Article(slug="a"))
        await session.flush()
        await session.delete(article)
    async with database.session(readonly=True) as session:
        created, deleted = await session.scalars(audit_entries(Article, 1).order_by(AuditEntry.id))

    assert (created.action, deleted.action) == ("create", "delete")
    assert created.changes.keys() == deleted.changes.keys() == set(inspect(Article).columns.keys())
    assert deleted.changes["slug"] == {"before": "a"}


async def test_secret_is_in_no_entry(database: Database) -> None:
    async with database.session() as session:
        session.add(article := Article(slug="a", token="1234"))  # noqa: S106 — a test's
        await session.flush()
        article.token = "5678"  # noqa: S105 — as above
        await session.flush()
        await session.delete(article)

    assert [entry.changes["token"] for entry in await all_entries(database)] == [{}, {}, {}]


async def test_rows_deleted_by_a_cascade_have_entries(database: Database) -> None:
    async with database.session() as session:
        first, second = Comment(text="a"), Comment(text="b")
        session.add(article := Article(slug="a", comments=[first, second]))
        await session.flush()
        article.comments.remove(first)  # which makes it an orphan
        await session.flush()
        await session.delete(article)

    entries = await all_entries(database)
    assert entries[1].changes["article_id"] == {"after": 1}
    assert [(entry.table_name, entry.row_key, entry.action) for entry in entries] == [
        ("articles", "1", "create"),
        ("comments", "1", "create"),
        ("comments", "2", "create"),
        ("comments", "1", "delete"),
        ("comments", "2", "delete"),
        ("articles", "1", "delete"),
    ]


async def load_another_column(session: AsyncSession) -> Article:
    statement = select(Article).options(load_only(Article.site))
    return (await session.scalars(statement)).one()


async def forbid_to_load(session: AsyncSession) -> Article:
    statement = select(Article).options(defer(Article.slug, raiseload=True))
    return (await session.scalars(statement)).one()


async def load_and_expire(session: AsyncSession) -> Article:
    article = (await session.scalars(select(Article))).one()
    session.expire(article)
    await session.run_sync(lambda _: article.id)
    session.expire(article, ["slug"])
    return article


@pytest.mark.parametrize("load", [load_another_column, forbid_to_load, load_and_expire])
async def test_entry_has_unloaded_values(
    database: Database, load: Callable[[AsyncSession], Awaitable[Article]]
) -> None:
    async with database.session() as session:
        session.add(Article(slug="a", notes="new"))
    async with database.session() as session:
        article = await load(session)
        article.slug = "b"
    async with database.session() as session:
        await session.delete(await load(session))

    _, update, deletion = await all_entries(database)
    assert update.changes["slug"] == {"before": "a", "after": "b"}
    assert update.changes.keys() == {"slug", "updated_at"}
    assert update.changes["updated_at"].keys() == {"before", "after"}
    assert deletion.changes.keys() == set(inspect(Article).columns.keys())
    assert deletion.changes["slug"] == {"before": "b"}
    assert deletion.changes["notes"] == {"before": "new"}


async def test_row_that_replaces_a_deleted_row_has_an_update(database: Database) -> None:
    async with database.session() as session:
        session.add(Article(id=5, slug="a", source="1", notes="old"))
    async with database.session() as session:
        await session.delete(await session.get_one(Article, 5))
        session.add(article := Article(id=5, slug="b", source=None))
        await session.flush()
        await session.refresh(article)
        assert article.notes == "old"  # SQLAlchemy updates the row

    _, entry = await all_entries(database)
    del entry.changes["updated_at"]
    assert (entry.action, entry.row_key) == ("update", "5")
    assert entry.changes == {
        "slug": {"before": "a", "after": "b"},
        "source": {"before": "1", "after": None},
    }


async def test_entry_has_values_computed_by_the_database(database: Database) -> None:
    async with database.session() as session:
        session.add(article := Article(slug=func.upper("a")))
        await session.flush()
        article.views = Article.views + 2
        await session.flush()
        article.views, article.notes = Article.views * 5, None
        await session.flush()

    created, *updates = await all_entries(database)
    assert created.changes["slug"] == {"after": "A"}
    assert [update.changes["views"] for update in updates] == [
        {"before": 0, "after": 2},
        {"before": 2, "after": 10},
    ]
    assert all(update.changes.keys() == {"views", "updated_at"} for update in updates)


async def test_rolled_back_savepoint_leaves_no_entry(database: Database) -> None:
    async with database.session() as session:
        session.add(Article(slug="a"))
        await session.flush()
        savepoint = await session.begin_nested()
        session.add(Article(slug="b"))
        await session.flush()
        await savepoint.rollback()
        session.add(Comment(text="a", article_id=1))

    assert [(entry.table_name, entry.action) for entry in await all_entries(database)] == [
        ("articles", "create"),
        ("comments", "create"),
    ]


async def test_failed_flush_leaves_no_entry(database: Database) -> None:
    async with database.session() as session:
        session.add(Article(slug="a"))
        await session.flush()
        with pytest.raises(IntegrityError):
            async with session.begin_nested():
                session.add_all([Article(slug="b"), Article(slug="a")])
        session.add(Comment(text="a", article_id=1))

    assert [(entry.table_name, entry.action) for entry in await all_entries(database)] == [
        ("articles", "create"),
        ("comments", "create"),
    ]


async def test_entries_of_concurrent_updates_form_a_sequence(database: Database) -> None:
    async def count_view() -> None:
        async with database.session() as session:
            article = (await session.scalars(select(Article).with_for_update())).one()
            article.views += 1

    async with database.session() as session:
        session.add(Article(slug="a", views=0))
    await asyncio.gather(*(count_view() for _ in range(10)))

    _, *updates = await all_entries(database)
    assert [update.changes["views"] for update in updates] == [
        {"before": views, "after": views + 1} for views in range(10)
    ]


async def test_bulk_delete_leaves_no_entry(database: Database) -> None:
    async with database.session() as session:
        session.add(Article(slug="a"))
        await session.flush()
        await session.execute(delete(Article))

    assert [entry.action for entry in await all_entries(database)] == ["create"]


# --- Mappings ----------------------------------------------------------------------------------


@pytest.fixture
async def mapped(tables: Tables, backend: str) -> AsyncIterator[Database]:
    """Return a database with the tables of `mappings`."""
    database = Database(await tables.of(mappings.Base.metadata, backend))
    async with database.lifespan(None):
        yield database


async def test_row_of_two_tables_has_one_history(mapped: Database) -> None:
    async with mapped.session() as session:
        session.add(Editor(title="Chief"))
    async with mapped.session() as session:
        (await session.scalars(select(Editor))).one().title = "Deputy"
    async with mapped.session(readonly=True) as session:
        created, updated = await session.scalars(audit_entries(Editor, 1).order_by(AuditEntry.id))

    assert created.table_name == "people"
    assert created.changes == {
        "id": {"after": 1},
        "kind": {"after": "editor"},
        "title": {"after": "Chief"},
        "desk": {"after": None},
    }
    assert updated.changes == {"title": {"before": "Chief", "after": "Deputy"}}


async def test_composite_key_is_a_json_array(mapped: Database) -> None:
    async with mapped.session() as session:
        session.add(Edition(slug="a", day=date(2026, 1, 2)))
    async with mapped.session(readonly=True) as session:
        (entry,) = await session.scalars(audit_entries(Edition, "a", date(2026, 1, 2)))

    assert entry.row_key == '["a","2026-01-02"]'
    assert entry.changes["meta"] == entry.changes["cover"] == {"after": None}


async def test_update_of_loaded_values_reads_nothing(mapped: Database) -> None:
    async with mapped.session() as session:
        session.add(Edition(slug="a", day=date(2026, 1, 2), cover=b"a", rating=0.5))
    async with mapped.session() as session:
        edition = (await session.scalars(select(Edition).options(defer(Edition.cover)))).one()
        edition.rating = 1.0
        with statements() as sent:
            await session.flush()

    assert [statement.split()[0] for statement in sent] == ["UPDATE", "INSERT"]
    _, entry = await all_entries(mapped)
    assert entry.changes == {"rating": {"before": 0.5, "after": 1.0}}


async def test_entry_has_the_version(mapped: Database) -> None:
    async with mapped.session() as session:
        session.add(chapter := Chapter())
        await session.flush()
        chapter.title = "new"

    created, updated = await all_entries(mapped)
    assert created.changes["version"] == {"after": 1}
    assert updated.changes == {
        "title": {"before": None, "after": "new"},
        "version": {"before": 1, "after": 2},
    }


async def test_entries_of_a_cycle_have_both_references(mapped: Database) -> None:
    async with mapped.session() as session:
        one, other = Chapter(), Chapter()
        one.next, other.next = other, one
        session.add_all([one, other])

    entries = await all_entries(mapped)
    assert {(entry.row_key, entry.changes["next_id"]["after"]) for entry in entries} == {
        ("1", 2),
        ("2", 1),
    }


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        pytest.param("price", Decimal("0.50"), "0.50", id="Decimal"),
        pytest.param("rating", float("inf"), "Infinity", id="infinity"),
        pytest.param("cover", b"\xff\x00", "/wA=", id="bytes"),
        pytest.param("code", UUID(int=5), "00000000-0000-0000-0000-000000000005", id="UUID"),
        pytest.param(
            "until", datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z", id="datetime"
        ),
    ],
)
async def test_value_without_a_json_type_is_text(
    mapped: Database, column: str, value: object, text: str
) -> None:
    async with mapped.session() as session:
        session.add(Edition(slug="a", day=date(2026, 1, 2), **{column: value}))

    (entry,) = await all_entries(mapped)
    assert entry.changes[column] == {"after": text}


async def test_json_value_stays_json(mapped: Database) -> None:
    async with mapped.session() as session:
        session.add(Edition(slug="a", day=date(2026, 1, 2), meta={"when": [1, None]}))

    (entry,) = await all_entries(mapped)
    assert entry.changes["meta"] == {"after": {"when": [1, None]}}


async def test_update_of_a_concurrently_deleted_row_is_unavailable(mapped: Database) -> None:
    async with mapped.session() as session:
        session.add(Edition(slug="a", day=date(2026, 1, 2)))

    async def update() -> None:
        async with mapped.session() as session:
            loaded = select(Edition).options(load_only(Edition.slug))
            edition = (await session.scalars(loaded)).one()
            await session.execute(delete(Edition), execution_options={"synchronize_session": False})
            edition.rating = 0.5

    with pytest.raises(ServiceUnavailable, match="changing the same rows"):
        await update()
    assert [entry.action for entry in await all_entries(mapped)] == ["create"]


# --- The table ---------------------------------------------------------------------------------


def test_audited_class_has_the_table_in_its_metadata() -> None:
    assert "audit_entries" in mappings.Base.metadata.tables
    (index,) = mappings.Base.metadata.tables["audit_entries"].indexes
    assert index.name == "ix_audit_entries_table_name_row_key_id"


def test_other_metadata_is_without_the_table() -> None:
    class Base(Model):
        __abstract__ = True
        metadata = MetaData()

    class Stone(Base):
        __tablename__ = "stones"

        id: Mapped[int] = mapped_column(primary_key=True)

    assert Base.metadata.tables.keys() == {Stone.__tablename__}
    assert "audit_entries" not in Model.metadata.tables
