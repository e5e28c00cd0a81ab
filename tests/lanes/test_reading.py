"""The fast lane: the same answers as the ordinary one, and only where nothing is in its way."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

import pytest
from annotated_types import Len
from fastapi import APIRouter, Depends, FastAPI
from httpx2 import Response
from pydantic import Field, field_validator, model_validator
from sqlalchemy import Engine, Float, FunctionElement, Select, bindparam, event, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, Session as SyncSession, column_property, mapped_column
from sqlalchemy.types import String, TypeDecorator
from typing_extensions import override

from app.main import create_app
from app.settings import Settings
from brickwork import (
    Database,
    ListQuery,
    ReadSchema,
    Resource,
    Schema,
    SortBy,
    SortKey,
    crud_router,
    install,
)
from brickwork.drivers import fetch
from brickwork.pools import FairPool
from brickwork.statements import compiled
from tests.support.bodies import MISSING, article, created, summary
from tests.support.calls import calling
from tests.support.databases import postgres_only
from tests.support.recording import event_listener, record_fast_path
from tests.support.shop import Base, Shop

pytestmark = [pytest.mark.anyio, pytest.mark.lanes]

KEYS = ["a secret that is known to these tests alone"]


def service(url: str, *, fast: bool = True) -> FastAPI:
    app = create_app(Settings(database_url=url, cursor_keys=KEYS))
    app.router.lifespan_context = Database(url, fast=fast).lifespan
    return app


def comparable(response: Response) -> object:
    own = {b"date", b"x-request-id"}
    headers = [(k, v) for k, v in response.headers.raw if k.lower() not in own]
    body = response.content if response.status_code < 400 else summary(response)
    return response.status_code, headers, body


FAST = (
    "/articles",
    "/articles/",
    "/articles?limit=1",
    "/articles?limit=3",
    "/articles?limit=4",
    "/articles?limit=100",
    "/authors",
    "/comments",
    "/articles/$0",
    "/articles/$1/",
    "/articles/$2",
    "/articles/$0".upper().replace("/ARTICLES", "/articles"),
    "/articles?limit=007",
    "/articles?sort=-title",
    "/articles?sort=rating,-created_at&limit=2",
    "/articles?status=draft",
    "/articles?status=published&views__gte=1",
    "/articles?slug=a&limit=1",
    "/articles?offset=1&limit=1",
    "/articles?offset=2",
    "/articles?q=a%20title",
)
ORDINARY = (
    "/articles?status__in=draft,published",
    "/articles?count=exact",
    "/articles?status=odd",
    "/articles?status=",
    "/articles?cursor=abc",
    "/articles?cursor=abc&offset=1",
    "/articles?sort=odd",
    "/articles?limit=0",
    "/articles?limit=101",
    "/articles?limit=2&limit=3",
    "/articles?limit=",
    "/articles?deleted=include",
    "/articles?zzz=1",
    "/articles/$0?zzz=1",
    "/articles/$3",
    f"/articles/{MISSING}",
    "/articles/abc",
    "/articles/%00",
    "/authors/$0",
)
NOWHERE = ("/articles//", "/articles//$0", "/articles/$0//", "/articles/batch", "/", "//")


async def test_both_lanes_give_the_same_bytes(service_url: str) -> None:
    url = service_url
    async with calling(service(url)) as fast, calling(service(url, fast=False)) as ordinary:
        bodies = [
            article(slug="a", meta={"b": [1.0, None, "ü"], "a": {}}, rating=-0.5),
            article(slug="b", published_at="0001-01-01T00:00:00Z", views=2**63 - 1),
            article(slug="c", body="😀\n\u2028", published_at="2026-02-03T04:05:06.7+05:30"),
            article(slug="d"),
        ]
        keys = [(await created(fast, "/articles", body))["id"] for body in bodies]
        assert summary(await fast.delete(f"/articles/{keys[3]}")) == "204"
        for targets, expected in ((FAST, [True]), (ORDINARY, [False]), (NOWHERE, [])):
            for target in targets:
                path = target
                for number, key in enumerate(keys):
                    path = path.replace(f"${number}", key)
                with record_fast_path() as taken:
                    answer = comparable(await fast.get(path))
                assert (taken, path) == (expected, path)
                with record_fast_path() as taken:
                    assert comparable(await ordinary.get(path)) == answer
                assert taken == [False] * len(expected)


async def test_a_walk_begun_on_one_lane_goes_on_on_the_other(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        keys = [(await created(client, "/articles", article(slug=f"s{n}")))["id"] for n in range(5)]
        target, found = "/articles?limit=2", list[str]()
        with record_fast_path() as taken:
            while target:
                response = await client.get(target)
                found += [row["id"] for row in response.json()]
                target = response.links.get("next", {}).get("url", "")
    assert found == keys
    assert taken == [True, True, True]


async def test_what_a_request_asks_besides_is_not_for_the_fast_lane(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        path = f"/articles/{(await created(client, '/articles', article()))['id']}"
        for headers, status, fast in (
            ({"if-none-match": '"1"'}, 304, True),
            ({"if-none-match": '"2"'}, 200, True),
            ({"if-none-match": 'W/"1"'}, 304, False),
            ({"if-none-match": '"2", "1"'}, 304, False),
            ({"if-none-match": "*"}, 304, False),
            ({"if-none-match": "1"}, 400, False),
            ({"if-match": '"2"'}, 412, False),
            ({"accept": "text/html"}, 406, False),
            ({"accept": "text/html, */*;q=0.1"}, 200, False),
            ({"accept": "application/json"}, 200, True),
        ):
            with record_fast_path() as taken:
                response = await client.get(path, headers=headers)
            assert (response.status_code, taken) == (status, [fast])
            assert status not in {200, 304} or response.headers["etag"] == '"1"'
        with record_fast_path() as taken:
            assert (await client.head(path)).headers["etag"] == '"1"'
        assert taken == []


async def test_it_sees_what_was_written_before(service_url: str) -> None:
    async with calling(service(service_url)) as client:
        path = f"/articles/{(await created(client, '/articles', article()))['id']}"
        for number in range(20):
            response = await client.patch(path, json={"views": number})
            assert (await client.get(path)).content == response.content
        assert summary(await client.delete(path)) == "204"
        assert summary(await client.get(path)) == "404"
        assert (await client.get("/articles")).json() == []


# --- What is in its way ------------------------------------------------------------------------


class Shout(TypeDecorator[str]):
    """Text that is stored small and read in capitals."""

    impl = String(20)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[str]:
        return str

    @override
    def process_bind_param(self, value: str | None, dialect: object) -> str | None:
        return value and value.lower()

    @override
    def process_result_value(self, value: str | None, dialect: object) -> str | None:
        return value and value.upper()


class Store(Base):
    __tablename__ = "shops"

    code: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(Shout)
    rank: Mapped[int] = mapped_column(default=0)
    full = column_property(name + "!")


class ShopCreate(Schema):
    code: Annotated[str, Len(1, 20)]
    name: str


class ShopUpdate(ShopCreate, partial=True): ...


class ShopRead(ReadSchema):
    code: str
    name: str

    @field_validator("name")
    @classmethod
    def framed(cls, value: str) -> str:
        if value == "ODD":
            raise ValueError("It cannot be shown.")
        return f"<{value}>"


class Full(ShopRead):
    full: str


class Aliased(ReadSchema):
    code: str
    title: Annotated[str, Field(validation_alias="name")]


class Ranked(ShopRead):
    rank: int

    @model_validator(mode="before")
    @classmethod
    def read(cls, row: Store) -> dict[str, object]:
        return {"code": row.code, "name": row.name, "rank": row.rank + 1}


class Framed(ShopRead):
    @model_validator(mode="after")
    def again(self) -> Self:
        self.name = f"[{self.name}]"
        return self


class Fixed(ListQuery[Store]):
    name: str | None = "b"

    @override
    def sort_keys(self) -> Sequence[SortKey[str]]:
        return (SortKey("rank", descending=True),)


class Required(ListQuery[Store]):
    name: str


class Computed(ListQuery[Store]):
    sort: SortBy[Literal["full"]] = None


class Counted(ListQuery[Store]):
    count: Literal["exact", "estimated"] | None = "exact"


class Moving(ListQuery[Store]):
    name__ne: str | None = Field(default_factory=lambda: str(datetime.now(UTC)))


class Plain(Resource[Store]): ...


class Getting(Plain):
    @override
    async def get(self, key: object, /) -> Store:
        return await super().get(key)


class Paging(Plain):
    @override
    async def page(self, at: ListQuery[Store], /) -> Any:
        return await super().page(at)


class Scoped(Plain):
    @override
    def query(self) -> Select[Store]:
        return super().query().where(Store.name != "nobody")


class Asking(Plain):
    request: Annotated[None, Depends(lambda: None)]


def shops(resource: type[Resource[Store]] = Plain, **changes: Any) -> APIRouter:
    schemas: Any = {"read": ShopRead, "create": ShopCreate, "update": ShopUpdate} | changes
    return crud_router("/shops", resource, **schemas)


@pytest.fixture
async def shop(empty_url: str) -> AsyncGenerator[Shop]:
    shop = Shop(empty_url, pool_size=2, pool_timeout=0.3)
    async with shop.lifespan(None):
        yield shop


async def lanes_of(shop: Shop, *routers: APIRouter, **options: Any) -> str:
    """Return which lane a row and a list took, `fast fast`, in an application of *routers*."""
    app = FastAPI(lifespan=shop.lifespan, **options.pop("app", {}))
    install(app)
    for each in routers:
        app.include_router(each, **options)
    async with calling(app) as client:
        await client.post("/shops", json={"code": "a", "name": "b"})
        with record_fast_path() as taken:
            row, rows = await client.get("/shops/a"), await client.get("/shops?limit=5")
        assert row.status_code == 200, row.text
        assert rows.status_code in {200, 422}, rows.text
    names = {True: "fast", False: "ordinary"}
    return " ".join(names[each] for each in taken) or "none"


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        (shops, "fast fast"),
        (lambda: shops(query=Fixed), "fast fast"),
        (lambda: shops(Getting), "fast"),
        (lambda: shops(Paging), "fast"),
        (lambda: shops(query=Required), "fast ordinary"),
        (lambda: shops(query=Counted), "fast ordinary"),
        (lambda: shops(query=Computed), "fast"),
        (lambda: shops(query=Moving), "fast fast"),
        (lambda: shops(Scoped), "fast fast"),
        (lambda: shops(Asking), "fast fast"),
        (lambda: shops(read=Full), "none"),
        (lambda: shops(read=Aliased), "none"),
        (lambda: shops(read=Ranked), "none"),
        (lambda: shops(read=Framed), "fast fast"),
    ],
    ids=[
        "as declared",
        "a filter that is always the same",
        "get is overridden",
        "page is overridden",
        "a filter that must be given",
        "a count",
        "a sort by what is computed",
        "a filter that differs from time to time",
        "query is overridden",
        "a field",
        "a computed column",
        "an alias",
        "a validator of the row",
        "a validator of what is shown",
    ],
)
async def test_a_resource_takes_it_where_no_step_is_overridden(
    shop: Shop, router: Callable[[], APIRouter], expected: str
) -> None:
    assert await lanes_of(shop, router()) == expected


async def test_what_an_application_adds_is_not_passed_by(shop: Shop) -> None:
    calls: list[None] = []
    asked = [Depends(lambda: calls.append(None))]
    assert await lanes_of(shop, shops(), dependencies=asked) == "fast fast"
    assert len(calls) == 3
    assert await lanes_of(shop, shops(), app={"dependencies": asked}) == "fast fast"
    assert len(calls) == 6


async def test_a_route_that_comes_before_is_not_passed_by(shop: Shop) -> None:
    special, whole, other = APIRouter(), APIRouter(), APIRouter()

    @special.get("/shops/special")
    @other.get("/others/{name}")
    @other.post("/shops/{name}")
    @whole.get("/{rest:path}")
    async def answer() -> str:
        return "special"

    assert await lanes_of(shop, special, shops()) == "fast"
    assert await lanes_of(shop, other, shops()) == "fast fast"
    assert await lanes_of(shop, shops(), special, whole) == "fast fast"
    assert await lanes_of(shop, whole, shops()) == "none"


async def test_under_a_path_of_its_own_it_is_found_as_well(shop: Shop) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    async with calling(app) as client:
        app.include_router(shops(), prefix="/v1")
        await client.post("/v1/shops", json={"code": "a", "name": "b"})
        app.include_router(shops(), prefix="/v2")
        with record_fast_path() as taken:
            paths = (
                "/v1/shops",
                "/v2/shops/a",
                "/v2/shops/a/",
                "/v2/shops/",
                "/shops",
                "/v1/shops/",
            )
            answers = [summary(await client.get(path)) for path in paths]
        assert (answers, taken) == (["200"] * 4 + ["404", "200"], [True] * 5)


async def test_mounted_in_another_it_is_left_alone(shop: Shop) -> None:
    inner, outer = FastAPI(), FastAPI(lifespan=shop.lifespan)
    for each in (inner, outer):
        install(each)
    inner.include_router(shops())
    outer.mount("/inner", inner)
    outer.include_router(shops(), prefix="/outer")
    async with calling(outer) as client:
        with record_fast_path() as taken:
            assert summary(await client.get("/inner/shops")) == "200"
            assert taken == []
            assert summary(await client.get("/outer/shops")) == "200"
        assert taken == [True]


async def test_what_is_on_a_host_of_its_own_comes_first(shop: Shop) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.host("other.example.org", FastAPI())
    app.include_router(shops())
    async with calling(app) as client:
        with record_fast_path() as taken:
            assert summary(await client.get("/shops")) == "200"
            other = await client.get("/shops", headers={"host": "other.example.org"})
        assert (other.status_code, taken) == (404, [])


async def test_a_session_of_ones_own_is_not_passed_by(empty_url: str) -> None:
    class Noting(Shop):
        @override
        @asynccontextmanager
        async def session(self, *, readonly: bool = False) -> AsyncGenerator[AsyncSession]:
            async with super().session(readonly=readonly) as session:
                opened.append(readonly)
                yield session

    opened: list[bool] = []
    assert await lanes_of(Noting(empty_url), shops()) == "ordinary ordinary"
    assert opened == [False, True, True]


async def test_a_dependency_that_a_test_overrides_is_heeded(shop: Shop) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        with record_fast_path() as taken:
            await client.get("/shops")
            app.dependency_overrides[lambda: None] = lambda: None
            await client.get("/shops")
    assert taken == [True, False]


@pytest.mark.parametrize(
    ("target", "name"),
    [
        (Engine, "before_cursor_execute"),
        (Engine, "after_execute"),
        (SyncSession, "do_orm_execute"),
        (Store, "load"),
    ],
    ids=lambda each: getattr(each, "__name__", each),
)
async def test_who_listens_is_told(shop: Shop, target: object, name: str) -> None:
    with event_listener(target, name):
        assert await lanes_of(shop, shops()) == "ordinary ordinary"
    assert await lanes_of(shop, shops()) == "fast fast"


async def test_types_and_validators_see_the_values(shop: Shop) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        await client.post("/shops", json={"code": "A", "name": "Bread"})
        with record_fast_path() as taken:
            assert (await client.get("/shops/A")).json() == {"code": "A", "name": "<BREAD>"}
        assert taken == [True]
        await client.post("/shops", json={"code": "odd", "name": "odd"})
        with record_fast_path() as taken:
            for path in ("/shops/odd", "/shops"):
                assert summary(await client.get(path)) == "500"
        assert taken == [False, False]


# --- What fails --------------------------------------------------------------------------------


@postgres_only
@pytest.mark.parametrize("path", ["/shops/a", "/shops"])
async def test_a_connection_that_was_lost_is_replaced(shop: Shop, path: str) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        await client.post("/shops", json={"code": "a", "name": "b"})
        for _ in range(3):
            assert summary(await client.get(path)) == "200"
            async with shop.writer.connect() as connection:
                await connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                )
            answers = [summary(await client.get(path)) for _ in range(4)]
            assert answers[-1] == "200"
            assert {*answers} <= {"200", "503"}
        with record_fast_path() as taken:
            assert summary(await client.get(path)) == "200"
        assert taken == [True]


@postgres_only
async def test_what_the_server_refuses_is_told_by_the_ordinary_lane(shop: Shop) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        await client.post("/shops", json={"code": "a", "name": "b"})
        assert summary(await client.get("/shops/a")) == "200"
        async with shop.writer.begin() as connection:
            await connection.execute(text("LOCK TABLE shops IN ACCESS EXCLUSIVE MODE"))
            async with shop.reader.connect() as reader:
                await reader.execute(text("SELECT 1"))
            async with asyncio.TaskGroup() as group:
                waiting = group.create_task(client.get("/shops/a"))
                await asyncio.sleep(0.05)
                await connection.execute(
                    text(
                        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
                    )
                )
                await asyncio.sleep(0.05)
                await connection.rollback()
        assert summary(waiting.result()) in {"200", "503"}


async def test_a_connection_is_used_again(shop: Shop) -> None:
    opened: list[object] = []

    def note(*_: object) -> None:
        opened.append(_)

    event.listen(shop.reader.sync_engine, "connect", note)
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        with record_fast_path() as taken:
            for _ in range(20):
                assert summary(await client.get("/shops")) == "200"
    assert (len(opened), taken) == (1, [True] * 20)


@pytest.mark.parametrize("paths", [["/shops"], ["/shops/a"], [f"/shops/{k}" for k in "abcdefgh"]])
async def test_a_pool_that_is_in_use_is_a_503_in_time(shop: Shop, paths: list[str]) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        async with shop.reader.connect(), shop.reader.connect():
            with record_fast_path() as taken:
                responses = await asyncio.gather(*(client.get(path) for path in paths))
            answers = {(summary(each), each.headers["retry-after"]) for each in responses}
            assert (answers, taken) == ({("503", "1")}, [])
        assert summary(await client.get("/shops")) == "200"


@postgres_only
async def test_a_read_that_is_given_up_leaves_no_connection_in_use(shop: Shop) -> None:
    sleeping = select(func.pg_sleep(bindparam("seconds", type_=Float)).label("slept"))
    statement = compiled(sleeping, {"slept": sleeping.selected_columns.slept}, shop.reader.dialect)
    assert statement
    for _ in range(5):
        reading = asyncio.create_task(fetch(shop, statement, {"seconds": 5.0}))
        await asyncio.sleep(0.05)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    pool = shop.reader.pool
    assert isinstance(pool, FairPool)
    assert pool.checkedout() == 0
    assert await fetch(shop, statement, {"seconds": 0.0}) is not None


async def test_sql_that_depends_on_its_values_is_not_compiled_once(shop: Shop) -> None:
    several = select(Store.code).where(Store.code.in_(["a", "b"]))
    assert compiled(several, {"code": Store.__table__.c.code}, shop.reader.dialect) is None


class unheard_of(FunctionElement[str]):  # noqa: N801 — a function of SQL
    type = String()
    inherit_cache = True


async def test_sql_that_the_database_does_not_have_is_left_to_the_ordinary_lane(shop: Shop) -> None:
    other = select(unheard_of())
    assert compiled(other, {"code": Store.__table__.c.code}, shop.reader.dialect) is None


@pytest.mark.parametrize("path", ["/shops/a", "/shops"])
async def test_a_table_that_is_not_there_is_told_by_the_ordinary_lane(
    shop: Shop, path: str
) -> None:
    app = FastAPI(lifespan=shop.lifespan)
    install(app)
    app.include_router(shops())
    async with calling(app) as client:
        async with shop.writer.begin() as connection:
            await connection.execute(text("DROP TABLE shops"))
        with record_fast_path() as taken:
            for _ in range(5):  # more than there are connections
                assert summary(await client.get(path)) == "500"
        assert taken == [False] * 5
