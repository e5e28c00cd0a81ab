"""The fast lane of writes: the same answers and the same rows, and nobody is passed by."""

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import new_class
from typing import Any, ClassVar
from uuid import UUID

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import AsyncClient, Response
from pydantic import field_validator
from sqlalchemy import (
    ARRAY,
    JSON,
    CheckConstraint,
    Engine,
    ForeignKey,
    MetaData,
    String,
    func,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, Session as SyncSession, mapped_column, relationship, validates
from typing_extensions import override

from app.main import create_app
from app.settings import Settings
from brickwork import (
    Audited,
    Database,
    Model,
    ReadSchema,
    Resource,
    Schema,
    Versioned,
    crud_router,
    install,
)
from brickwork.database import Isolation
from brickwork.lanes import lane
from brickwork.models import new_key
from tests.support.bodies import MISSING, article, created, summary
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.recording import event_listener, record_fast_path

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]


def service(url: str, **options: Any) -> FastAPI:
    app = create_app(Settings(database_url=url))
    app.router.lifespan_context = Database(url, **options).lifespan
    return app


# --- The same answers ---------------------------------------------------------------------------

JSON_TYPE = {"content-type": "application/json"}
PATCH_TYPE = {"content-type": "application/merge-patch+json"}

# Method, path, headers, body, and whether the fast lane answers.
SCRIPT: Sequence[tuple[str, str, Mapping[str, str], Any, bool]] = [
    ("POST", "/articles", {}, article(slug="a"), True),
    ("POST", "/articles/", {}, article(slug="b", rating=-0.0, published_at=None, meta=None), True),
    ("POST", "/articles", {}, article(slug="c", meta={"b": [1.0, None], "a": {}}), True),
    ("POST", "/articles", {}, article(slug="d", published_at="2026-02-03T04:05:06+05:30"), True),
    ("POST", "/articles", {}, article(slug="e", views=2**63 - 1, body="😀\u2028"), True),
    ("POST", "/authors", {}, {"name": "Ada", "email": "ada@example.org"}, True),
    ("POST", "/articles", {}, article(slug="a"), False),
    ("POST", "/articles", {}, article(slug="f", author_id=MISSING), False),
    ("POST", "/articles", {}, article(slug="No"), False),
    ("POST", "/articles", {}, {}, False),
    ("POST", "/articles", {}, [1], False),
    ("POST", "/articles?a=1", {}, article(slug="f"), False),
    ("POST", "/articles", {"prefer": "return=minimal"}, article(slug="f"), False),
    ("POST", "/articles", {"idempotency-key": "k"}, article(slug="g"), False),
    ("POST", "/articles", {"content-type": "text/plain"}, article(slug="h"), False),
    ("POST", "/articles", {"accept": "text/html"}, article(slug="h"), False),
    ("PATCH", "/articles/$0", {}, {"title": "New"}, True),
    ("PATCH", "/articles/$0", {}, {"title": "New"}, False),
    ("PATCH", "/articles/$0", PATCH_TYPE, {"views": 3, "rating": 1.5, "author_id": None}, True),
    ("PATCH", "/articles/$0", {}, {"views": 3, "rating": None}, True),
    ("PATCH", "/articles/$0", {"if-match": '"4"'}, {"views": 4}, True),
    ("PATCH", "/articles/$0", {"if-match": '"4"'}, {"views": 5}, False),
    ("PATCH", "/articles/$0", {"if-match": '"x", "5"'}, {"views": 5}, False),
    ("PATCH", "/articles/$0", {"if-match": '"007"'}, {"views": 6}, False),
    ("PATCH", "/articles/$0", {"if-none-match": '"1"'}, {"views": 6}, False),
    ("PATCH", "/articles/$0", {}, {"meta": {"a": 1}}, False),
    ("PATCH", "/articles/$0", {}, {"meta": {"a": None, "b": 2}, "views": 8}, False),
    ("PATCH", "/articles/$0", {}, {"slug": "b"}, False),
    ("PATCH", "/articles/$0", {}, {"status": "odd"}, False),
    ("PATCH", "/articles/$0", {}, {}, False),
    ("PATCH", "/articles/$0", {}, None, False),
    ("PATCH", f"/articles/{MISSING}", {}, {"title": "New"}, False),
    ("PATCH", "/articles/none", {}, {"title": "New"}, False),
    ("PATCH", "/articles/$0?a=1", {}, {"title": "New"}, False),
    ("PATCH", "/authors/$5", {}, {"name": "Bob"}, True),
    ("DELETE", "/articles/$1", {"if-match": '"2"'}, ..., False),
    ("DELETE", "/articles/$1?allow_missing=true", {}, ..., False),
    ("DELETE", "/articles/$2", {"if-match": '"1"'}, ..., True),
    ("DELETE", "/articles/$2", {}, ..., False),
    ("DELETE", "/articles/$3/", {}, ..., True),
    ("DELETE", f"/articles/{MISSING}", {}, ..., False),
    ("PATCH", "/articles/$3", {}, {"title": "Gone"}, False),
    ("POST", "/articles", {}, article(slug="d"), True),
    ("DELETE", "/authors/$5", {}, ..., True),
]


@pytest.mark.parametrize("options", [{}, {"coalesce": False}], ids=["coalescing", "each alone"])
async def test_both_lanes_write_the_same(service_url: str, options: Mapping[str, bool]) -> None:
    fast = await _played(service_url, fast=True, **options)
    await _emptied(service_url)
    ordinary = await _played(service_url, fast=False)
    for step, mine, theirs in zip(SCRIPT, fast[0], ordinary[0], strict=True):
        assert (step, mine) == (step, theirs)
    assert fast[1] == ordinary[1]
    assert [(*step[:4], taken) for step, taken in zip(SCRIPT, fast[2], strict=True)] == [
        (*step[:4], step[4]) for step in SCRIPT
    ]
    assert not any(ordinary[2])


async def _played(url: str, **options: Any) -> tuple[list[object], object, list[bool]]:
    """Return the answers to the script, the rows that are left, and which the fast lane gave."""
    answers, keys, lanes = list[object](), list[str](), list[bool]()
    async with calling(service(url, **options)) as client:
        for method, path, headers, body, _ in SCRIPT:
            target = re.sub(r"\$(\d)", lambda found: keys[int(found[1])], path)
            with record_fast_path() as taken:
                response = await _sent(client, method, target, headers, body)
            lanes.append(taken == [True])
            if response.status_code == 201 and "preference-applied" not in response.headers:
                keys.append(response.json()["id"])
            answers.append(_comparable(response))
        left = await client.get("/articles?deleted=include&sort=slug")
        return answers, [_masked(str(row)) for row in left.json()], lanes


async def _sent(
    client: AsyncClient, method: str, path: str, headers: Mapping[str, str], body: Any
) -> Response:
    sent = {} if body is ... else {"json": body}
    return await client.request(method, path, headers=headers, **sent)


async def _emptied(url: str) -> None:
    database = Database(url)
    async with database.lifespan(None), database.session() as session:
        for table in ("articles", "authors", "idempotency_keys"):
            await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 — of this list


def _comparable(response: Response) -> object:
    own = {b"date", b"x-request-id", b"content-length"}
    headers = [(k, _masked(v.decode())) for k, v in response.headers.raw if k.lower() not in own]
    return response.status_code, headers, _masked(response.text)


def _masked(summary: str) -> str:
    """Return *told* without what is made anew each time: keys and instants."""
    summary = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "KEY", summary)
    return re.sub(r"20\d\d-(?!02-02)\d\d-\d\dT[\d:.]+Z", "INSTANT", summary)


BATCHES: list[tuple[Mapping[str, str], Any, bool]] = [
    ({}, [article(slug="a")], True),
    ({}, [article(slug=f"s{n}", views=n, meta={"n": n}, body="ü😀") for n in range(100)], True),
    ({}, [article(slug="b", published_at="2026-02-02T00:00:00Z"), article(slug="c")], True),
    (PATCH_TYPE, [article(slug="x")], False),
    ({"idempotency-key": "k"}, [article(slug="d")], False),
    ({"content-type": "text/plain"}, [article(slug="x")], False),
    ({"if-match": '"1"'}, [article(slug="e")], False),
    ({}, [article(slug="f"), article(slug="a"), article(slug="g")], False),
    ({}, [article(slug="h"), article(slug="h")], False),
    ({}, [article(slug="i", author_id=MISSING)], False),
    ({}, [article(slug="j"), {}], False),
    ({}, [article(slug=f"t{n}") for n in range(101)], False),
    ({}, [], False),
    ({}, {}, False),
    ({}, None, False),
]


async def test_both_lanes_make_several_rows_alike(service_url: str) -> None:
    seen: list[object] = []
    for fast in (True, False):
        await _emptied(service_url)
        async with calling(service(service_url, fast=fast)) as client:
            for headers, body, expected in BATCHES:
                with record_fast_path() as taken:
                    response = await _sent(client, "POST", "/articles/batch", headers, body)
                assert taken == [fast and expected], body
                seen.append(_comparable(response))
            left = await client.get("/articles?limit=100&sort=slug")
            seen.append([_masked(str(row)) for row in left.json()])
    assert seen[: len(seen) // 2] == seen[len(seen) // 2 :]


async def test_of_equal_batches_all_of_one_is_there(service_url: str) -> None:
    batch = [article(slug=f"s{n}") for n in range(20)]
    async with calling(service(service_url)) as client:
        answers = await asyncio.gather(
            *(client.post("/articles/batch", json=batch) for _ in range(10))
        )
        assert sorted(summary(each)[:3] for each in answers) == ["201"] + ["409"] * 9
        assert len((await client.get("/articles?limit=100")).json()) == 20


async def test_a_row_is_changed_by_whoever_asks_at_once(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        path = f"/articles/{(await created(client, '/articles', article()))['id']}"
        with record_fast_path() as taken:
            bodies = [{"views": number} for number in range(1, 41)]
            answers = await asyncio.gather(*(client.patch(path, json=each) for each in bodies))
        assert {summary(each) for each in answers} == {"200"}
        assert sorted(each.json()["version"] for each in answers) == [*range(2, 42)]
        assert taken == [True] * 40


async def test_one_of_those_who_say_the_same_version_changes_it(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        path = f"/articles/{(await created(client, '/articles', article()))['id']}"
        headers = {"if-match": '"1"'}
        changes = [client.patch(path, json={"views": n}, headers=headers) for n in range(1, 21)]
        answers = [summary(each) for each in await asyncio.gather(*changes)]
        assert sorted(answers) == ["200", *["412"] * 19]


async def test_nobody_is_refused_for_what_another_sent(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        slugs = [f"slug-{number}" for number in range(30)] * 2
        bodies = [article(slug=each) for each in slugs] + [article(slug="x", author_id=MISSING)]
        answers = await asyncio.gather(*(client.post("/articles", json=each) for each in bodies))
        codes = sorted(each.status_code for each in answers)
        assert codes == [201] * 30 + [409] * 30 + [422]
        rows = (await client.get("/articles?limit=100")).json()
        assert sorted(row["slug"] for row in rows) == sorted({*slugs})
        for each in answers[:5]:
            if each.status_code == 201:
                assert (await client.get(each.headers["location"])).content == each.content


async def test_rows_that_are_made_at_once_are_each_ones_own(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        bodies = [article(slug=f"s{n}", meta={"n": [n]}, rating=n / 2) for n in range(40)]
        with record_fast_path() as taken:
            answers = await asyncio.gather(
                *(client.post("/articles", json=each) for each in bodies)
            )
        assert taken == [True] * 40
        for body, each in zip(bodies, answers, strict=True):
            assert each.json().items() >= body.items()
            assert (await client.get(each.headers["location"])).content == each.content


async def test_rows_that_are_asked_for_at_once_are_each_ones_own(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        bodies = [article(slug=f"s{number}") for number in range(20)]
        keys = [(await created(client, "/articles", each))["id"] for each in bodies]
        wanted = [*keys, MISSING, *keys]
        answers = await asyncio.gather(*(client.get(f"/articles/{each}") for each in wanted))
        assert [each.status_code for each in answers] == [200] * 20 + [404] + [200] * 20
        assert [each.json().get("id") for each in answers] == [*keys, None, *keys]


# --- What is in its way ------------------------------------------------------------------------


class Base(Model):
    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Shelf(Base):
    """A shelf, whose key the database makes, and other values too."""

    __tablename__ = "shelves"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    color: Mapped[str] = mapped_column(String(20), server_default="white")
    note: Mapped[str | None] = mapped_column(String(20), default="none")
    free: Mapped[str | None] = mapped_column(String(20))
    shout: Mapped[str] = mapped_column(String(20), default=lambda: "loud")
    boxes: Mapped[list["Box"]] = relationship(cascade="all, delete-orphan", passive_deletes=False)


class Box(Base):
    __tablename__ = "boxes"

    id: Mapped[int] = mapped_column(primary_key=True)
    shelf_id: Mapped[int] = mapped_column(ForeignKey("shelves.id"))


class Tag(Base):
    """A tag, whose key is text that the client chooses."""

    __tablename__ = "tags"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    shelf_id: Mapped[int | None] = mapped_column(
        ForeignKey("shelves.id", deferrable=True, initially="DEFERRED")
    )
    weight: Mapped[int] = mapped_column(CheckConstraint("weight < 100", name="weight"), default=1)


class ShelfCreate(Schema):
    name: str
    note: str | None = None


class ShelfUpdate(ShelfCreate, partial=True): ...


class ShelfRead(ReadSchema):
    id: int
    name: str
    color: str
    note: str | None
    free: str | None


class TagCreate(Schema):
    code: str
    shelf_id: int | None = None
    weight: int = 1


class TagUpdate(TagCreate, partial=True): ...


class TagRead(ReadSchema):
    code: str
    shelf_id: int | None
    weight: int


class Shelves(Resource[Shelf]): ...


class Tags(Resource[Tag]): ...


class Creating(Tags):
    @override
    async def create(self, row: Tag, /) -> None:
        await super().create(row)


class Updating(Tags):
    @override
    async def update(self, row: Tag, /, changes: Mapping[str, Any]) -> None:
        await super().update(row, changes)


class Deleting(Tags):
    @override
    async def delete(self, row: Tag, /) -> None:
        await super().delete(row)


class Getting(Tags):
    @override
    async def get(self, key: object, /) -> Tag:
        return await super().get(key)


class Referring(Tags):
    @override
    def references(self) -> Mapping[str, Any]:
        return {}


class Apart(Tags):
    isolation: ClassVar[Isolation | None] = "serializable"


class Matched(Tags):
    require_match: ClassVar[bool] = True


class Place(Database):
    """A database with these tables."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state


def tags(resource: type[Resource[Tag]] = Tags) -> APIRouter:
    return crud_router("/tags", resource, read=TagRead, create=TagCreate, update=TagUpdate)


def shelves() -> APIRouter:
    return crud_router("/shelves", Shelves, read=ShelfRead, create=ShelfCreate, update=ShelfUpdate)


def place(url: str, *routers: APIRouter, **options: Any) -> FastAPI:
    app = FastAPI(lifespan=Place(url, **options).lifespan)
    install(app)
    for each in routers:
        app.include_router(each)
    return app


async def lanes_of(app: FastAPI) -> str:
    """Return which of POST, PATCH and DELETE took the fast lane: `POST PATCH`."""
    found = list[str]()
    async with calling(app) as client:
        for method, path, body, code in (
            ("POST", "/tags", {"code": "a"}, {201}),
            ("PATCH", "/tags/a", {"weight": 2}, {200, 428}),
            ("DELETE", "/tags/a", ..., {204, 428}),
        ):
            with record_fast_path() as taken:
                response = await _sent(client, method, path, {}, body)
            assert response.status_code in code, response.text
            found += [method] if True in taken else []
    return " ".join(found)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        (Tags, "POST PATCH DELETE"),
        (Creating, "PATCH DELETE"),
        (Updating, "POST DELETE"),
        (Deleting, "POST PATCH"),
        (Getting, "POST"),
        (Referring, ""),
        (Apart, ""),
        (Matched, "POST"),
    ],
)
async def test_a_step_that_is_overridden_is_not_passed_by(
    empty_url: str, resource: type[Resource[Tag]], expected: str
) -> None:
    assert await lanes_of(place(empty_url, tags(resource))) == expected


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Engine, "before_cursor_execute"),
        (SyncSession, "before_flush"),
        (SyncSession, "after_commit"),
        (Tag, "before_insert"),
        (Tag, "after_delete"),
        (Tag, "init"),
        (Tag.weight, "set"),
    ],
    ids=str,
)
async def test_who_listens_is_told(empty_url: str, target: object, name: str) -> None:
    app = place(empty_url, tags())
    with event_listener(target, name):
        assert await lanes_of(app) == ""
    assert await lanes_of(app) == "POST PATCH DELETE"


async def test_a_session_of_ones_own_and_a_setting_are_heeded(empty_url: str) -> None:
    class Noting(Place):
        @override
        @asynccontextmanager
        async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
            async with super().session(readonly=readonly) as session:
                yield session

    app = place(empty_url, tags())
    app.router.lifespan_context = Noting(empty_url).lifespan
    assert await lanes_of(app) == ""
    assert await lanes_of(place(empty_url, tags(), fast=False)) == ""
    assert await lanes_of(place(empty_url, tags(), coalesce=False)) == "POST PATCH DELETE"


class Watched(Base, Audited):
    __tablename__ = "watched"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Checked(Base):
    __tablename__ = "checked"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    @validates("name")
    def check(self, _: str, value: str) -> str:
        return value


class Made(Base):
    __tablename__ = "made"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Parent(Base):
    __tablename__ = "parents"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str]
    __mapper_args__: Any = {"polymorphic_on": "kind", "polymorphic_identity": "parent"}  # noqa: RUF012 — as SQLAlchemy declares it


class Child(Parent):
    __mapper_args__: Any = {"polymorphic_identity": "child"}  # noqa: RUF012 — as above


def _by_two(version: int | None) -> int:
    return (version or 0) + 2


class Stamped(Base, Versioned):
    __tablename__ = "stamped"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    __mapper_args__: Any = {"version_id_generator": _by_two}  # noqa: RUF012 — as above


class Revised(Base):
    __tablename__ = "revised"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    revision: Mapped[int] = mapped_column()
    __mapper_args__: Any = {"version_id_col": revision}  # noqa: RUF012 — as above


def _of_name(context: Any) -> str:
    return str(context.get_current_parameters()["name"]) * 2


class Doubled(Base):
    __tablename__ = "doubled"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    twice: Mapped[str] = mapped_column(default=_of_name, onupdate=_of_name)


class Named(Schema):
    name: str


class NamedUpdate(Named, partial=True): ...


class NamedRead(ReadSchema):
    id: int
    name: str


@pytest.mark.parametrize("model", [Watched, Checked, Made, Child, Stamped, Revised, Doubled])
async def test_what_a_flush_does_besides_is_done(empty_url: str, model: type[Model]) -> None:
    resource: Any = new_class("Rows", (Resource[model],))  # type: ignore[valid-type]
    rows = crud_router("/rows", resource, read=NamedRead, create=Named, update=NamedUpdate)
    async with calling(place(empty_url, rows)) as client:
        with record_fast_path() as taken:
            path = (await client.post("/rows", json={"name": "a"})).headers["location"]
            assert summary(await client.patch(path, json={"name": "b"})) == "200"
            assert summary(await client.delete(path)) == "204"
    assert taken == []


# --- What the database gives ---------------------------------------------------------------------


async def test_what_the_database_makes_is_told(empty_url: str) -> None:
    async with calling(place(empty_url, shelves(), tags())) as client:
        with record_fast_path() as taken:
            first = await client.post("/shelves", json={"name": "a", "note": "x"})
        expected = {"id": 1, "name": "a", "color": "white", "note": "x", "free": None}
        assert (first.status_code, first.json(), taken) == (201, expected, [True])
        assert first.headers["location"] == "/shelves/1"
        with record_fast_path() as taken:  # a default is what None asks for, which a flush knows
            second = await client.post("/shelves", json={"name": "b", "note": None})
        assert (second.json()["note"], taken) == ("none", [False])
        many = [client.post("/shelves", json={"name": f"n{n}", "note": "x"}) for n in range(10)]
        for each in await asyncio.gather(*many):
            assert each.json() == (await client.get(each.headers["location"])).json()


async def test_what_goes_with_a_row_goes_with_it(empty_url: str) -> None:
    app = place(empty_url, shelves())
    async with calling(app) as client:
        await client.post("/shelves", json={"name": "a", "note": "x"})
        database = Place(empty_url)
        async with database.session() as session:
            session.add(Box(shelf_id=1))
        with record_fast_path() as taken:
            assert summary(await client.delete("/shelves/1")) == "204"
        async with database.session() as session:
            assert await session.scalar(select(func.count()).select_from(Box)) == 0
        await database.dispose()
    assert taken == [False]


async def test_a_key_that_no_path_names_is_refused(empty_url: str) -> None:
    async with calling(place(empty_url, tags())) as client:
        for code in ("batch", "a/b", ".."):
            assert summary(await client.post("/tags", json={"code": code})).startswith("422")
        assert (await client.get("/tags")).json() == []


async def test_what_is_checked_at_the_commit_is_laid_at_who_sent_it(empty_url: str) -> None:
    async with calling(place(empty_url, tags())) as client:
        bodies = [{"code": f"t{n}", "shelf_id": 9 if n % 5 == 0 else None} for n in range(20)]
        answers = await asyncio.gather(*(client.post("/tags", json=each) for each in bodies))
        assert [each.status_code for each in answers] == [422, 201, 201, 201, 201] * 4
        assert len((await client.get("/tags")).json()) == 16


async def test_of_several_rows_none_is_there_if_one_is_refused(empty_url: str) -> None:
    async with calling(place(empty_url, tags())) as client:

        async def sent(*tags: tuple[str, int | None]) -> tuple[str, list[bool]]:
            body = [{"code": code, "shelf_id": shelf} for code, shelf in tags]
            with record_fast_path() as taken:
                return summary(await client.post("/tags/batch", json=body)), taken

        assert await sent(("a", None), ("b", None)) == ("201", [True])
        assert (await sent(("c", None), ("a", None)))[0][:3] == "409"  # at once
        assert (await sent(("c", None), ("d", 9)))[0][:3] == "422"  # when it is committed
        assert await sent(("c", None)) == ("201", [True])
        assert [each["code"] for each in (await client.get("/tags")).json()] == ["a", "b", "c"]


class Labelled(Base):
    """A row that holds a list, of which there are no lists."""

    __tablename__ = "labelled"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_key)
    labels: Mapped[list[str]] = mapped_column(ARRAY(String(20)).with_variant(JSON(), "sqlite"))


class LabelledCreate(Schema):
    labels: list[str]


class LabelledUpdate(LabelledCreate, partial=True): ...


class LabelledRead(LabelledCreate, ReadSchema):
    id: UUID


class Labels(Resource[Labelled]): ...


async def test_a_column_may_hold_lists(empty_url: str) -> None:
    router = crud_router(
        "/labelled", Labels, read=LabelledRead, create=LabelledCreate, update=LabelledUpdate
    )
    labels = [["a", "b"], [], ["c"]]
    async with calling(place(empty_url, router)) as client:
        posts = (client.post("/labelled", json={"labels": each}) for each in labels)
        made = await asyncio.gather(*posts)
        assert [summary(each) for each in made] == ["201"] * 3
        batch = await client.post("/labelled/batch", json=[{"labels": each} for each in labels])
        assert batch.status_code == 201, batch.text
        shown = [each["labels"] for each in (await client.get("/labelled")).json()]
        assert sorted(shown) == sorted(labels * 2)
        path = made[0].headers["location"]
        assert (await client.patch(path, json={"labels": ["d"]})).json()["labels"] == ["d"]


class Oddly(Base):
    """A row whose columns have names that are used for something else."""

    __tablename__ = "oddly"

    id: Mapped[int] = mapped_column(primary_key=True)
    key: Mapped[int]
    keys: Mapped[int]
    limit: Mapped[int]
    expected: Mapped[int]
    statement: Mapped[int]
    database: Mapped[int]
    self: Mapped[int]


class OddlyCreate(Schema):
    id: int
    key: int
    keys: int
    limit: int
    expected: int
    statement: int
    database: int
    self: int


class OddlyUpdate(OddlyCreate, partial=True): ...


class OddlyRead(ReadSchema):
    id: int
    key: int
    keys: int
    limit: int
    expected: int
    statement: int
    database: int
    self: int


class Oddities(Resource[Oddly]): ...


async def test_columns_may_have_any_name(empty_url: str) -> None:
    rows = crud_router("/rows", Oddities, read=OddlyRead, create=OddlyCreate, update=OddlyUpdate)
    async with calling(place(empty_url, rows)) as client:
        names = [*OddlyRead.model_fields]
        bodies = [dict.fromkeys(names, n * 100 + 7) | {"id": n} for n in range(5)]
        with record_fast_path() as taken:
            posts = await asyncio.gather(*(client.post("/rows", json=each) for each in bodies))
            assert [each.json() for each in posts] == bodies
            changed = posts[1]
            for number, name in enumerate(names[1:]):
                changed = await client.patch("/rows/1", json={name: number})
                assert changed.json() == bodies[1] | {
                    n: i for i, n in enumerate(names[1 : number + 2])
                }
            assert (await client.get("/rows/1")).content == changed.content
            assert (await client.get("/rows?limit=2")).json() == [bodies[0], changed.json()]
        assert taken == [True] * 14
        with record_fast_path() as taken:
            assert (await client.patch("/rows/2", json={"key": bodies[2]["key"]})).json() == bodies[
                2
            ]
        assert taken == [False]


class Small(TagRead):
    @field_validator("weight")
    @classmethod
    def small(cls, value: int) -> int:
        if value > 10:
            raise ValueError("It cannot be shown.")
        return value


class White(ShelfRead):
    @field_validator("name")
    @classmethod
    def known(cls, value: str) -> str:
        if value == "odd":
            raise ValueError("It cannot be shown.")
        return value


async def test_a_row_that_cannot_be_shown_is_a_500(empty_url: str) -> None:
    small = crud_router("/tags", Tags, read=Small, create=TagCreate, update=TagUpdate)
    white = crud_router("/shelves", Shelves, read=White, create=ShelfCreate, update=ShelfUpdate)
    async with calling(place(empty_url, small, white)) as client:
        assert summary(await client.post("/tags", json={"code": "a", "weight": 11})) == "500"
        several = [{"code": "b"}, {"code": "a", "weight": 11}]
        assert summary(await client.post("/tags/batch", json=several)) == "500"
        assert (await client.get("/tags")).json() == []
        assert summary(await client.post("/tags", json={"code": "a"})) == "201"
        assert summary(await client.patch("/tags/a", json={"weight": 11})) == "500"
        # What the database makes is known when it is stored.
        assert summary(await client.post("/shelves", json={"name": "odd", "note": "x"})) == "500"


async def test_statements_of_many_fields_are_not_kept_for_ever(
    empty_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "_MOST", 1)
    async with calling(place(empty_url, shelves())) as client:
        await client.post("/shelves", json={"name": "a", "note": "x"})
        with record_fast_path() as taken:
            for body in ({"name": "b"}, {"note": "y"}, {"name": "c", "note": "z"}, {"name": "d"}):
                assert summary(await client.patch("/shelves/1", json=body)) == "200"
        assert taken == [True] * 4


async def test_a_key_does_not_change(empty_url: str) -> None:
    async with calling(place(empty_url, tags())) as client:
        await client.post("/tags", json={"code": "a"})
        with record_fast_path() as taken:
            assert summary(await client.patch("/tags/a", json={"code": "b"})).startswith("409")
            assert summary(await client.patch("/tags/a", json={"weight": 200})).startswith("422")
        assert taken == [False, False]


# --- What fails ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
async def test_a_row_that_ends_a_transaction_ends_nobody_elses(empty_url: str) -> None:
    database = Place(empty_url)
    async with calling(place(empty_url, tags())) as client:
        async with database.writer.begin() as connection:
            await connection.execute(text(_STOP))
        codes = [f"t{n}" if n != 7 else "stop" for n in range(20)]
        posts = (client.post("/tags", json={"code": each}) for each in codes)
        answers = [each.status_code for each in await asyncio.gather(*posts)]
        assert answers == [201] * 7 + [500] + [201] * 12
        assert len((await client.get("/tags")).json()) == 19
    await database.dispose()


_STOP = """
    CREATE TRIGGER stop BEFORE INSERT ON tags WHEN NEW.code = 'stop'
    BEGIN SELECT RAISE(ROLLBACK, 'no'); END
"""


@postgres_only
@pytest.mark.parametrize("options", [{}, {"coalesce": False}], ids=["coalescing", "each alone"])
async def test_a_write_of_which_the_answer_is_lost_is_not_repeated(
    empty_url: str, options: Mapping[str, bool]
) -> None:
    database = Place(empty_url)
    async with calling(place(empty_url, tags(), **options)) as client:
        assert summary(await client.post("/tags", json={"code": "a"})) == "201"
        async with database.session() as session:
            await session.execute(text("LOCK TABLE tags IN EXCLUSIVE MODE"))
            writing = asyncio.create_task(client.post("/tags", json={"code": "b"}))
            for _ in range(100):
                if await session.scalar(_ENDED):
                    break
                await asyncio.sleep(0.02)
            response = await writing
        assert (summary(response), response.headers["retry-after"]) == ("503", "1")
        assert [each["code"] for each in (await client.get("/tags")).json()] == ["a"]
        assert summary(await client.post("/tags", json={"code": "c"})) == "201"
    await database.dispose()


_ENDED = text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)


async def test_a_pool_that_is_in_use_is_a_503_in_time(empty_url: str) -> None:
    database = Place(empty_url, pool_size=1, pool_timeout=0.2)
    app = place(empty_url, tags())
    app.router.lifespan_context = database.lifespan
    async with calling(app) as client:
        async with database.writer.connect():
            answers = await asyncio.gather(
                *(client.post("/tags", json={"code": f"t{n}"}) for n in range(3))
            )
            assert {summary(each) for each in answers} == {"503"}
        assert summary(await client.post("/tags", json={"code": "a"})) == "201"
        assert [each["code"] for each in (await client.get("/tags")).json()] == ["a"]


async def test_a_table_that_is_not_there_is_told_by_the_ordinary_lane(empty_url: str) -> None:
    database = Place(empty_url)
    async with calling(place(empty_url, tags())) as client:
        async with database.writer.begin() as connection:
            await connection.execute(text("DROP TABLE tags"))
        with record_fast_path() as taken:
            assert summary(await client.post("/tags", json={"code": "a"})) == "500"
            assert summary(await client.delete("/tags/a")) == "500"
        assert taken == [False, False]
    await database.dispose()
