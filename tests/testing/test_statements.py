"""Statements that a test counts."""

import pytest
from sqlalchemy import select, text

from brickwork import Database
from brickwork.testing import assert_statements
from tests.support.calls import calling
from tests.support.recording import path_taken
from tests.support.shop import Store, app_of, stores
from tests.support.tables import insert_rows

pytestmark = pytest.mark.anyio

REQUESTS = [
    ("GET", "/stores/a", None, 1),
    ("GET", "/stores/missing", None, 1),
    ("GET", "/stores", None, 1),
    ("GET", "/stores?count=exact", None, 2),
    ("POST", "/stores", {"code": "b", "name": "Cake"}, 1),
    ("DELETE", "/stores/a", None, 1),
]


@pytest.mark.both_paths
@pytest.mark.parametrize(("method", "path", "body", "expected"), REQUESTS)
async def test_statements_of_the_fast_path_count(
    shop_url: str, method: str, path: str, body: object, expected: int
) -> None:
    database = Database(shop_url)
    await insert_rows(database, {Store: [{"code": "a", "name": "Bread"}]})
    async with calling(app_of(database, stores())) as client:
        with assert_statements(expected) as seen:
            taken = await path_taken(client.request(method, path, json=body))
    assert taken.endswith("ORM" if "count" in path else "fast")
    assert all("stores" in sql for sql in seen.sql)


@pytest.mark.both_paths
async def test_statements_of_the_orm_path_count(shop_url: str) -> None:
    database = Database(shop_url, fast_path=False)
    async with calling(app_of(database, stores())) as client:
        with assert_statements(1):
            response = await client.post("/stores", json={"code": "b", "name": "Cake"})
        assert response.status_code == 201
        with assert_statements(2):
            response = await client.patch("/stores/b", json={"name": "Pie"})
        assert response.status_code == 200


async def test_settings_do_not_count(empty_url: str) -> None:
    database = Database(empty_url)
    with assert_statements(2):
        async with database.session() as session, session.begin_nested():
            await session.execute(text("SELECT 1"))
            await session.scalar(select(text("2")))
    await database.dispose()


async def test_the_error_lists_the_statements(empty_url: str) -> None:
    database = Database(empty_url)
    expected = r"^2 statements instead of 1:\n  1\. SELECT 1\n  2\. SELECT 2$"

    async def send(*statements: str) -> None:
        with assert_statements(1):
            async with database.session(readonly=True) as session:
                for statement in statements:
                    await session.execute(text(statement))

    with pytest.raises(AssertionError, match=expected):
        await send("SELECT 1", "SELECT\n  2")
    with pytest.raises(AssertionError, match=r"^0 statements instead of 1:\n  none$"):
        await send()
    await database.dispose()


async def test_an_error_of_the_block_comes_first() -> None:
    with pytest.raises(ZeroDivisionError), assert_statements(5):
        _ = 1 / 0
