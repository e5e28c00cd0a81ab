"""List queries: declaration, filters, cursors and indexes."""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, NewType, cast

import pytest
from fastapi import FastAPI, Query
from pydantic import TypeAdapter, create_model
from sqlalchemy import ColumnElement, Integer, bindparam, event, func, insert, literal, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import ORMExecuteState
from typing_extensions import override

from brickwork import (
    CustomFilter,
    Database,
    InvalidCursor,
    ListQuery,
    OneOf,
    Search,
    SortBy,
    SortKey,
    UTCDateTime,
    install,
    paginate,
)
from brickwork.limits import Limits
from brickwork.query.cursors import Cursor, CursorCipher, cursor_cipher
from brickwork.query.index_check import missing_indexes
from brickwork.query.lookup import base_statement, statement_fingerprint
from tests.support.atlas import Base, Climate, Land, Region, Stray

pytestmark = pytest.mark.anyio

Size = NewType("Size", int)


def query_class(model: type[Base], name: str, annotation: object) -> type[ListQuery[Any]]:
    """Return a query class with one field."""
    fields: Any = {name: (annotation, None)}
    base: Any = ListQuery[model]  # type: ignore[valid-type]
    query: Any = create_model("Query", __base__=base, **fields)
    return cast("type[ListQuery[Any]]", query)


@pytest.mark.parametrize(
    ("name", "annotation"),
    [
        ("size", int | None),
        ("size__in", OneOf[int] | None),
        ("height__gte", int | None),
        ("height__gte", float | None),
        ("found__lt", date | None),
        ("climate", Climate | None),
        ("climate__in", OneOf[Climate] | None),
        ("more__isnull", bool | None),
        ("money__isnull", bool | None),
        ("name", Literal["a", "b"] | None),
        ("name__icontains", str | None),
        ("land__name__startswith", str | None),
        ("land_code", str | None),
        ("near", Annotated[str | None, CustomFilter]),
        ("sort", Annotated[str | None, CustomFilter]),
        ("q", Annotated[str | None, CustomFilter]),
        ("size", Size | None),
        ("eq", int | None),
        ("eq__gt", int | None),
    ],
)
def test_matching_parameter_is_declared(name: str, annotation: object) -> None:
    assert name in query_class(Region, name, annotation).model_fields


@pytest.mark.parametrize(
    ("model", "name", "annotation", "remedy"),
    [
        (
            Region,
            "sise",
            int | None,
            r"Query\.sise: Region has no column sise; it has id, name.*CustomFilter",
        ),
        (Region, "size__near", int | None, "has no relationship size.*ne, gt"),
        (Region, "size__gte__lt", int | None, "has no relationship"),
        (
            Land,
            "parts__name",
            int | None,
            "Region.name is str, but is compared with int. Compare it with str",
        ),
        (Land, "parts__nam", str | None, "Region has no column nam"),
        (Region, "size", str | None, "Region.size is int, but is compared with str"),
        (Region, "size", bool | None, "Region.size is int, but is compared with bool"),
        (Region, "size", float | None, "Region.size is int, but is compared with float"),
        (Region, "found", datetime | None, "Region.found is date, but is compared with datetime"),
        (
            Region,
            "size__contains",
            int | None,
            "Region.size is int, which contains does not compare",
        ),
        (Region, "climate__gt", Climate | None, "Region.climate is Climate, which gt does not"),
        (Region, "size__in", int | None, r"Region.size with in: annotate it OneOf\[int\] | None"),
        (Region, "size", OneOf[int] | None, "Region.size with eq: annotate it"),
        (
            Region,
            "size__isnull",
            int | None,
            r"Region.size with isnull is true or false: .* bool \| None",
        ),
        (Region, "more", dict[str, Any] | None, r"Region.more has a type .* filter\(\)"),
        (Region, "money", float | None, "Region.money is Decimal, but is compared with float"),
        (Stray, "other_id", int | None, "has the type of elsewhere.id: import its model before"),
        (Region, "sort", SortBy[Literal["sise"]], "Region has no column sise"),  # type: ignore[misc]
        (Region, "sort", SortBy[Literal["climate"]], r"sort .*climate differently\. Remove"),  # type: ignore[misc]
        (Region, "sort", SortBy[Literal["note"]], r"Region.note has no length, .* String\(200\)"),  # type: ignore[misc]
        (Region, "q", Search, "needs both q: Search and the columns in search_fields"),
    ],
)
def test_parameter_without_a_matching_column_is_a_type_error(
    model: type[Base], name: str, annotation: object, remedy: str
) -> None:
    with pytest.raises(TypeError, match=remedy):
        query_class(model, name, annotation)


def test_parameter_named_sort_can_be_a_custom_filter() -> None:
    query = query_class(Region, "sort", Annotated[str | None, CustomFilter])
    assert not query.model_validate({"sort": "upwards"}).sort_keys()


def test_search_fields_must_be_text() -> None:
    with pytest.raises(TypeError, match="size is int, which icontains does not compare"):

        class Query(ListQuery[Region]):  # pyright: ignore[reportUnusedClass]
            q: Search = None
            search_fields = ("name", "size")


def test_one_of_accepts_a_tuple() -> None:
    kind = TypeAdapter[tuple[int, ...]](OneOf[int])
    assert kind.validate_python("1,2") == kind.validate_python((1, 2)) == (1, 2)


class RegionQuery(ListQuery[Region]):
    size__gt: int | None = None
    size__in: OneOf[int] | None = None
    climate: Climate | None = None
    land__name: str | None = None
    land__name__ne: str | None = None
    sort: SortBy[Literal["name", "size", "word", "height", "land_code"]] = None


@pytest.fixture
async def database(empty_url: str) -> AsyncGenerator[Database]:
    """Return a database with four parts, two of them with a land."""
    database = Database(empty_url)
    async with database.lifespan(None):
        async with database.writer.begin() as connection:
            await connection.run_sync(Base.metadata.tables["lands"].create)
            await connection.run_sync(Base.metadata.tables["parts"].create)
        async with database.session() as session:
            await session.execute(insert(Land), [{"code": "A", "name": "a"}, {"code": "B"}])
            parts: list[dict[str, Any]] = [
                {"size": 1, "land_code": "A", "word": "a"},
                {"size": 2, "land_code": "B", "climate": Climate.MILD, "word": "B"},
                {"size": None, "land_code": None, "word": "z"},
                {"size": 2**31 - 1, "land_code": None, "word": "Ä"},
            ]
            for part in parts:
                await session.execute(insert(Region), part)
        yield database


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (RegionQuery(size__gt=2**40), []),
        (RegionQuery(size__gt=-(2**40)), [1, 2, 4]),
        (RegionQuery(size__in=(2**40, 1)), [1]),
        (RegionQuery(climate=Climate.MILD), [2]),
        (RegionQuery(land__name="a"), [1]),
        (RegionQuery(land__name__ne="a"), [2, 3, 4]),
        (RegionQuery(sort=(SortKey("size", descending=True),)), [3, 4, 2, 1]),
        (RegionQuery(sort=(SortKey("word"),)), [2, 1, 3, 4]),
    ],
)
async def test_list_has_the_rows_that_match(
    database: Database, query: RegionQuery, ids: list[int]
) -> None:
    async with database.session(readonly=True) as session:
        page = await paginate(session, select(Region), query)
        assert [part.id for part in page.items] == ids


async def test_statement_with_an_order_or_limit_is_a_type_error(
    database: Database,
) -> None:
    async with database.session(readonly=True) as session:
        with pytest.raises(TypeError, match=r"remove order_by\(\) and limit\(\), .*sort_keys"):
            await paginate(session, select(Region).order_by(Region.name), ListQuery())
        with pytest.raises(TypeError, match="an order or a limit"):
            await paginate(session, select(Region).limit(3), ListQuery())


async def test_rows_are_counted_or_estimated(database: Database) -> None:
    async with database.session(readonly=True) as session:
        page = await paginate(session, select(Region), ListQuery(count="exact"))
        assert page.total == 4
        guess = (await paginate(session, select(Region), ListQuery(count="estimated"))).total
        assert guess is not None
        assert guess >= 0
        assert page.last
        assert (await paginate(session, select(Region), ListQuery(count="estimated"))).last is None


# --- Cursors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [("",), ("k" * 31,), ("k" * 32, "short")])
def test_short_cursor_key_is_rejected(keys: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a secret of at least 32 characters"):
        CursorCipher(*keys)


def test_cursor_is_decrypted_with_any_key() -> None:
    old, new = CursorCipher("old" * 11), CursorCipher("new" * 11, "old" * 11)
    cursor = Cursor([1, None, "é"], backwards=True)
    assert new.decode(old.encode(cursor, b"a"), b"a") == cursor
    for reader, text, binding in (
        (old, new.encode(cursor, b"a"), b"a"),
        (new, new.encode(cursor, b"a"), b"b"),
        (CursorCipher(), old.encode(cursor, b"a"), b"a"),
        (CursorCipher(), CursorCipher().encode(cursor, b"a"), b"a"),
    ):
        with pytest.raises(InvalidCursor):
            reader.decode(text, binding)


async def cursor_of(session: AsyncSession, scope: Any, query: ListQuery[Region]) -> str:
    page = await paginate(session, scope, query)
    assert page.next is not None
    return page.next["cursor"]


async def test_cursor_is_bound_to_its_scope(database: Database) -> None:
    async with database.session(readonly=True) as session:
        scope = select(Region).where(Region.size <= 5)
        text = await cursor_of(session, scope, ListQuery(limit=1))
        at = ListQuery[Region](limit=1, cursor=text)
        assert [part.id for part in (await paginate(session, scope, at)).items] == [2]
        for other in (select(Region), select(Region).where(Region.size <= 6), scope.distinct()):
            with pytest.raises(InvalidCursor):
                await paginate(session, other, at)


def test_fingerprint_depends_on_the_values_of_params() -> None:
    scope = select(Region).where(Region.size <= bindparam("size", type_=Integer))
    one, other = (
        statement_fingerprint(scope.params(size=size), sqlite.dialect()) for size in (5, 6)
    )
    assert one != other
    assert one == statement_fingerprint(scope.params(size=5), sqlite.dialect())


async def test_cursor_is_bound_to_a_scope_without_a_cache_key(
    database: Database,
) -> None:
    class _Uncached(ColumnElement[bool]):
        inherit_cache = False

    @compiles(_Uncached)
    def _(*_: object, **__: object) -> str:
        return "1 = 1"

    def up_to(size: int, *others: Any) -> Any:
        return select(Region).where(Region.size <= size, *others)

    async with database.session(readonly=True) as session:
        for others in ((), (_Uncached(),)):
            text = await cursor_of(session, up_to(5, *others), ListQuery(limit=1))
            at = ListQuery[Region](limit=1, cursor=text)
            page = await paginate(session, up_to(5, *others), at)
            assert [part.id for part in page.items] == [2]
            with pytest.raises(InvalidCursor):
                await paginate(session, up_to(6, *others), at)


async def test_cursor_is_bound_to_a_custom_filter(database: Database) -> None:
    class Changing(ListQuery[Region]):
        largest: ClassVar = 5

        @override
        def filter(self, statement: Any) -> Any:
            return super().filter(statement).where(Region.size <= self.largest)

    async with database.session(readonly=True) as session:
        text = await cursor_of(session, select(Region), Changing(limit=1))
        assert (await paginate(session, select(Region), Changing(cursor=text))).items
        Changing.largest = 6
        with pytest.raises(InvalidCursor):
            await paginate(session, select(Region), Changing(cursor=text))


async def test_statement_of_a_page_is_cached(database: Database) -> None:
    async def statements() -> Sequence[Any]:
        sent: list[Any] = []

        def record_statement(state: ORMExecuteState) -> None:
            sent.append(state.statement)

        async with database.session(readonly=True) as session:
            event.listen(session.sync_session, "do_orm_execute", record_statement)
            for size in (20, 3):
                assert (
                    await paginate(session, base_statement(Region), ListQuery(limit=size))
                ).items
        return sent

    assert [*map(id, await statements())] == [*map(id, await statements())]


async def test_cursor_is_valid_for_a_scope_with_the_time(database: Database) -> None:
    def until(instant: datetime) -> Any:
        return select(Region).where(Region.size >= 0, literal(instant, UTCDateTime) > func.now())

    async with database.session(readonly=True) as session:
        later = datetime.now(UTC) + timedelta(days=1)
        text = await cursor_of(session, until(later), ListQuery(limit=1))
        at = ListQuery[Region](limit=1, cursor=text)
        page = await paginate(session, until(later + timedelta(seconds=1)), at)
        assert [part.id for part in page.items] == [2]


async def test_cursor_with_a_value_of_another_type_is_invalid(
    database: Database,
) -> None:
    async with database.session(readonly=True) as session:
        signed = CursorCipher("k" * 32)
        token = cursor_cipher.set(signed)
        try:
            written: list[tuple[Cursor, bytes]] = []

            class Spy(CursorCipher):
                @override
                def encode(self, cursor: Cursor, binding: bytes) -> str:
                    written.append((cursor, binding))
                    return signed.encode(Cursor(["no number"], backwards=cursor.backwards), binding)

            cursor_cipher.set(Spy("k" * 32))
            text = await cursor_of(session, select(Region), ListQuery(limit=1))
            with pytest.raises(InvalidCursor):
                await paginate(session, select(Region), ListQuery(cursor=text))
        finally:
            cursor_cipher.reset(token)


# --- Indexes -----------------------------------------------------------------------------------


class LandQuery(ListQuery[Land]):
    sort: SortBy[Literal["code", "name"]] = None


def test_sort_without_an_index_suggests_one() -> None:
    assert [
        suggestion for suggestion in missing_indexes(RegionQuery) if "word" not in suggestion
    ] == [
        (
            "RegionQuery sorts by height, but no index begins with it. "
            'Add to Region.__table_args__: Index("ix_parts_height", "height", "id")'
        ),
        (
            "RegionQuery sorts by land_code, but no index begins with it. Add to "
            'Region.__table_args__: Index("ix_parts_land_code", "land_code", "id", '
            'postgresql_ops=c_collation("land_code"))'
        ),
    ]
    assert len([*missing_indexes(LandQuery)]) == 2  # the primary key is not by code point
    assert not [*missing_indexes(ListQuery)]


async def test_missing_index_is_logged_in_development(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for development, expected in ((False, []), (True, ["RegionQuery sorts by height"])):
        caplog.clear()
        app = FastAPI()
        install(app, development=development, limits=Limits())

        @app.get("/parts")
        async def show(at: Annotated[RegionQuery, Query()], more: int = 0) -> None: ...

        async with app.router.lifespan_context(app):
            pass
        messages = [record.getMessage().partition(",")[0] for record in caplog.records]
        assert [message for message in messages if "height" in message] == expected
