"""Related rows in a write: lists of rows, and lists of keys."""

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx2 import AsyncClient

from brickwork import IsolationLevel
from brickwork.http.negotiation import NDJSON
from tests.support.bodies import Body, create_row, get_json, patch_row, summary
from tests.support.calls import calling
from tests.support.purchases import ROWS, Base, ItemMark, create_app
from tests.support.recording import path_taken, statements
from tests.support.rows import insert_many
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio


@pytest.fixture
async def orders_url(tables: Tables, backend: str) -> str:
    """Return the URL of a database with products and tags, without orders."""
    return await tables.of(Base.metadata, backend, ROWS)


@pytest.fixture
async def client(running: Running, orders_url: str) -> AsyncClient:
    """Return a client of the orders."""
    return await running.client(create_app, orders_url)


def order(*lines: object, **fields: Any) -> Body:
    return {"number": "a1", "lines": lines, **fields}


def line(product: int, /, **fields: object) -> Body:
    return {"productId": product, **fields}


def short(row: Body) -> list[tuple[int, int]]:
    """Return the products and quantities of the lines of an order."""
    return [(one["productId"], one["quantity"]) for one in row["lines"]]


def verbs(sent: list[str], table: str) -> Counter[str]:
    """Count the writing statements to *table*."""
    words = (statement.split() for statement in sent)
    return Counter(w[0] for w in words if w[0] != "SELECT" and table in w[:3])


# --- POST ---------------------------------------------------------------------------------------


async def test_a_post_creates_the_lines_of_an_order(client: AsyncClient) -> None:
    body = order(line(1, position=2, quantity=3), line(2, position=1, discount="1.50"))
    made = await create_row(client, "/orders", body)
    assert short(made) == [(2, 1), (1, 3)]
    assert [one["discount"] for one in made["lines"]] == ["1.50", None]
    assert [one["product"]["id"] for one in made["lines"]] == [2, 1]
    assert await get_json(client, f"/orders/{made['id']}") == made


async def test_a_post_without_lines_creates_an_order_without_lines(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", {"number": "a1"})
    assert (made["lines"], made["tags"], made["tag_ids"]) == ([], [], [])


async def test_one_insert_creates_all_items_of_all_baskets(client: AsyncClient) -> None:
    baskets = [{"items": [{"name": f"{n}-{m}"} for m in range(5)]} for n in range(4)]
    with statements() as sent:
        response = await client.post("/baskets/batch", json=baskets)
    assert [[item["name"] for item in row["items"]] for row in response.json()] == [
        [item["name"] for item in basket["items"]] for basket in baskets
    ]
    assert (verbs(sent, "items"), verbs(sent, "baskets")) == ({"INSERT": 1}, {"INSERT": 1})


async def test_a_new_basket_has_no_known_items(client: AsyncClient) -> None:
    known = (await create_row(client, "/baskets", {"items": [{"name": "x"}]}))["items"][0]
    body = {"items": [{"name": "x", "id": None}, known]}
    response = await client.post("/baskets", json=body)
    assert summary(response) == "422 #/items/1/id reference_not_found"
    batch = await client.post("/baskets/batch", json=[{"items": []}, body])
    assert summary(batch) == "422 #/1/items/1/id reference_not_found"


async def test_an_invalid_line_is_named_with_its_index(client: AsyncClient) -> None:
    lines = [
        line(1, zzz=1),
        {},
        line(1, quantity=0),
        line(2**31),
        line(1, position=True),
        line(1, serial="123456"),
        line(1, discount="1.234"),
        line(1, id=1),
        line(1, product={"id": 1}),
        7,
    ]
    assert summary(await client.post("/orders", json=order(*lines))) == (
        "422 #/lines/0/zzz unknown_field, #/lines/1/productId missing, "
        "#/lines/2/quantity greater_than_equal, #/lines/3/productId less_than_equal, "
        "#/lines/4/position int_type, #/lines/5/serial string_too_long, "
        "#/lines/6/discount decimal_max_places, #/lines/7/id read_only, "
        "#/lines/8/product read_only, #/lines/9 object_type"
    )
    assert await get_json(client, "/orders") == []


@pytest.mark.parametrize("value", [None, {}, "x", 1])
async def test_lines_are_a_list(client: AsyncClient, value: object) -> None:
    code = "not_nullable" if value is None else "list_type"
    for method, path in (("POST", "/orders"), ("PATCH", "/orders/1")):
        response = await client.request(method, path, json={"number": "a", "lines": value})
        assert summary(response) == f"422 #/lines {code}"


async def test_lists_are_bounded(orders_url: str) -> None:
    async with calling(create_app(orders_url, related=2)) as client:
        body = order(*(line(n) for n in (1, 2, 3)), tag_ids=[1, 2, 3])
        answer = "422 #/lines too_long, #/tag_ids too_long"
        response = await client.post("/orders", json=body)
        assert summary(response) == answer
        assert {error["max_length"] for error in response.json()["errors"]} == {2}
        assert summary(await client.patch("/orders/1", json=body)) == answer
        batch = await client.post("/orders/batch", json=[order(), body])
        assert summary(batch) == "422 #/1/lines too_long, #/1/tag_ids too_long"
        assert summary(await client.post("/orders", json=order(line(1), line(2)))) == "201"
        many = [order(line(1), line(2), number=f"b{n}") for n in range(11)]
        batch = await client.post("/orders/batch", json=many)
        assert summary(batch) == "422 #/10/lines too_long"
        changes = [{"id": n, "lines": [line(1), line(2)]} for n in range(11)]
        batch = await client.patch("/orders/batch", json=changes)
        assert summary(batch) == "422 #/10/lines too_long"


async def test_a_reference_to_no_row_is_named_with_its_index(client: AsyncClient) -> None:
    body = order(line(1), line(77), line(2), line(78))
    answer = "#/lines/1/productId reference_not_found, #/lines/3/productId reference_not_found"
    assert summary(await client.post("/orders", json=body)) == f"422 {answer}"
    batch = await client.post("/orders/batch", json=[order(), body | {"number": "a2"}])
    assert summary(batch) == f"422 {answer.replace('#', '#/1')}"
    assert await get_json(client, "/orders") == []


async def test_a_repeated_value_is_named_with_its_index(client: AsyncClient) -> None:
    response = await client.post("/orders", json=order(line(1), line(2), line(1)))
    assert summary(response) == "409 #/lines/2/productId not_unique"
    response = await client.post("/orders", json=order(line(1, serial="x"), line(2, serial="x")))
    assert summary(response) == "409 #/lines/1/serial not_unique"


async def test_a_taken_value_names_the_lines(client: AsyncClient) -> None:
    await create_row(client, "/orders", order(line(1, serial="x")))
    body = order(line(1, serial="y"), line(2, serial="x"), number="a2")
    assert summary(await client.post("/orders", json=body)) == "409 #/lines not_unique"
    assert summary(await client.post("/orders", json=order())) == "409 #/number not_unique"
    batch = await client.post("/orders/batch", json=[order(number="a3"), body])
    assert summary(batch) == "409 #/1/lines not_unique"


async def test_a_failed_check_names_the_lines(client: AsyncClient) -> None:
    response = await client.post("/orders", json=order(line(1), line(2, quantity=13)))
    assert summary(response) == "422 #/lines check_failed"


# --- Keys ---------------------------------------------------------------------------------------


async def test_keys_set_a_relationship(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(tag_ids=[3, 1], follower_ids=["bob"]))
    assert (made["tag_ids"], made["tags"]) == ([1, 3], [{"id": 1}, {"id": 3}])
    assert made["follower_ids"] == ["bob"]
    path = f"/orders/{made['id']}"
    assert await get_json(client, path) == made
    assert await get_json(client, "/orders") == [made]
    exported = await client.get("/orders", headers={"Accept": NDJSON})
    assert [json.loads(row) for row in exported.text.splitlines()] == [made]
    changed = await patch_row(client, path, {"tag_ids": [2, 3], "follower_ids": []})
    assert (changed["tag_ids"], changed["follower_ids"]) == ([2, 3], [])
    assert changed["version"] == 2
    assert await patch_row(client, path, {"tag_ids": [3, 2]}) == changed


async def test_a_key_of_no_row_is_named_with_its_index(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(tag_ids=[1]))
    body = {"number": "a2", "tag_ids": [1, 77, 5, 2], "follower_ids": ["dan"]}
    answer = "#/follower_ids/0 reference_not_found, #/tag_ids/1 reference_not_found, "
    answer += "#/tag_ids/2 reference_not_found"
    for method, path in (("POST", "/orders"), *((m, f"/orders/{made['id']}") for m in _CHANGES)):
        assert summary(await client.request(method, path, json=body)) == f"422 {answer}"
    for method, item in (("POST", body), ("PATCH", {"id": made["id"], **body})):
        response = await client.request(method, "/orders/batch", json=[item])
        assert summary(response) == f"422 {answer.replace('#', '#/0')}"
    assert await get_json(client, "/orders") == [made]


_CHANGES = ("PATCH", "PUT")


async def test_a_repeated_key_is_rejected(client: AsyncClient) -> None:
    body = order(tag_ids=[1, 2, 1, 1])
    answer = "422 #/tag_ids/2 repeated, #/tag_ids/3 repeated"
    assert summary(await client.post("/orders", json=body)) == answer
    assert summary(await client.patch("/orders/1", json=body)) == answer


async def test_an_invalid_key_is_rejected(client: AsyncClient) -> None:
    body = order(tag_ids=["1", 2**31, None], follower_ids=["x" * 11])
    assert summary(await client.post("/orders", json=body)) == (
        "422 #/follower_ids/0 string_too_long, #/tag_ids/0 int_type, "
        "#/tag_ids/1 less_than_equal, #/tag_ids/2 not_nullable"
    )


# --- PATCH and PUT ------------------------------------------------------------------------------


async def test_a_patch_replaces_the_lines(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(line(1), line(2), line(3)))
    first, second, _ = (one["id"] for one in made["lines"])
    lines = [line(2, id=second, quantity=5, position=2), line(4, position=1), line(1, id=first)]
    changed = await patch_row(client, f"/orders/{made['id']}", {"lines": lines})
    assert short(changed) == [(1, 1), (4, 1), (2, 5)]
    assert [changed["lines"][n]["id"] for n in (0, 2)] == [first, second]
    assert changed["version"] == 2
    assert await get_json(client, f"/orders/{made['id']}") == changed


async def test_a_patch_without_lines_leaves_them(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(line(1), tag_ids=[1]))
    changed = await patch_row(client, f"/orders/{made['id']}", {"number": "a2"})
    assert (changed["lines"], changed["tag_ids"]) == (made["lines"], [1])


async def test_a_put_replaces_the_lines(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(line(1), line(2), tag_ids=[1]))
    path = f"/orders/{made['id']}"
    put = await client.put(path, json=order(line(2), line(3)))
    assert sorted(short(put.json())) == [(2, 1), (3, 1)]
    assert put.json()["tag_ids"] == []
    kept = next(one for one in put.json()["lines"] if one["productId"] == 2)
    assert kept in made["lines"]  # it has the values of an item
    empty = await client.put(path, json={"number": "a1"})
    assert (empty.json()["lines"], empty.json()["version"]) == ([], 3)


async def test_equal_lists_change_nothing(client: AsyncClient) -> None:
    body = order(
        line(1, quantity=2, discount="1.5"),
        line(2, position=1),
        tag_ids=[1, 2],
        notes=[{"text": "x"}],
    )
    made = await client.post("/orders", json=body)
    path = f"/orders/{made.json()['id']}"
    lines = [
        {name: one[name] for name in ("id", "productId", "position", "quantity", "discount")}
        for one in made.json()["lines"]
    ]
    same: list[tuple[str, Body]] = [
        ("PUT", body),
        ("PUT", body | {"tag_ids": [2, 1], "lines": body["lines"][::-1]}),
        ("PATCH", {"lines": lines, "tag_ids": [2, 1], "notes": [{"text": "x"}]}),
        ("PATCH", {"lines": lines[::-1]}),
    ]
    for method, document in same:
        with statements() as sent:
            response = await client.request(method, path, json=document)
        assert (response.json(), response.headers["etag"]) == (made.json(), made.headers["etag"])
        assert {statement.split()[0] for statement in sent} == {"SELECT"}


async def test_a_line_of_another_order_is_not_found(client: AsyncClient) -> None:
    other = await create_row(client, "/orders", order(line(1), number="a0"))
    made = await create_row(client, "/orders", order(line(1)))
    own, foreign = (row["lines"][0]["id"] for row in (made, other))
    lines = [line(1, id=own), line(2, id=foreign), line(3), line(4, id=77)]
    answer = "#/lines/1/id reference_not_found, #/lines/3/id reference_not_found"
    path = f"/orders/{made['id']}"
    assert summary(await client.patch(path, json={"lines": lines})) == f"422 {answer}"
    batch = [{"id": other["id"], "number": "a9"}, {"id": made["id"], "lines": lines}]
    response = await client.patch("/orders/batch", json=batch)
    assert summary(response) == f"422 {answer.replace('#', '#/1')}"
    twice = {"lines": [line(1, id=own), line(2, id=own)]}
    assert summary(await client.patch(path, json=twice)) == "422 #/lines/1/id repeated"
    assert await get_json(client, "/orders") == [other, made]


async def test_a_line_takes_the_value_of_a_removed_line(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(line(1, serial="x"), line(2)))
    second = made["lines"][1]["id"]
    lines = [line(1, serial="y"), line(3, id=second, serial="x")]
    changed = await patch_row(client, f"/orders/{made['id']}", {"lines": lines})
    assert sorted(one["serial"] for one in changed["lines"]) == ["x", "y"]
    assert changed["version"] == 2


async def test_a_left_out_note_is_soft_deleted(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(notes=[{"text": "x"}, {"text": "y"}]))
    with statements() as sent:
        changed = await patch_row(client, f"/orders/{made['id']}", {"notes": [{"text": "y"}]})
    assert changed["notes"] == [{"text": "y"}]
    assert verbs(sent, "notes") == {"UPDATE": 1}


async def test_a_precondition_holds_for_a_change_of_lines(client: AsyncClient) -> None:
    made = await client.post("/orders", json=order(line(1)))
    path, tag = f"/orders/{made.json()['id']}", made.headers["etag"]
    first = await client.patch(path, json={"lines": []}, headers={"If-Match": tag})
    assert (summary(first), first.headers["etag"].startswith('"2-')) == ("200", True)
    second = await client.patch(path, json={"lines": [line(2)]}, headers={"If-Match": tag})
    assert summary(second) == "412"
    assert first.json()["updated_at"] > made.json()["updated_at"]


@pytest.mark.parametrize("count", [2, 40])
async def test_the_number_of_statements_does_not_grow(client: AsyncClient, count: int) -> None:
    names = [{"items": [{"name": f"{m}"} for m in range(count)]} for _ in range(3)]
    rows = (await client.post("/baskets/batch", json=names)).json()
    changes = [
        {
            "id": row["id"],
            "items": [
                *({"id": item["id"], "name": f"new {item['name']}"} for item in row["items"][1:]),
                *({"name": f"{m}"} for m in range(count)),
            ],
        }
        for row in rows
    ]
    with statements() as sent:
        response = await client.patch("/baskets/batch", json=changes)
    assert [len(row["items"]) for row in response.json()] == [2 * count - 1] * 3
    assert verbs(sent, "items") == {"INSERT": 1, "UPDATE": 1, "DELETE": 1}
    # Two for all baskets, one for the response, and two for the removed items of each basket.
    assert len([one for one in sent if one.startswith("SELECT")]) == 9


@pytest.mark.parametrize("count", [2, 40])
async def test_the_number_of_statements_of_a_removal_does_not_grow(
    orders_url: str, client: AsyncClient, count: int
) -> None:
    names = {"items": [{"name": f"{n}"} for n in range(count)]}
    made = await create_row(client, "/baskets", names)
    marks = [{"id": uuid4(), "item_id": UUID(item["id"])} for item in made["items"]]
    await insert_many(orders_url, ItemMark, marks)
    with statements() as sent:
        changed = await patch_row(client, f"/baskets/{made['id']}", {"items": []})
    assert changed["items"] == []
    assert verbs(sent, "items") == {"DELETE": 1}
    assert verbs(sent, "item_marks") == {"DELETE": 1}
    assert len([one for one in sent if one.startswith("SELECT")]) == 5


# --- Scopes, keys of requests, batches ------------------------------------------------------------


async def test_scopes_hold_for_related_rows(client: AsyncClient) -> None:
    ada = {"seller": "ada"}
    body = order(line(1), line(9), tag_ids=[1, 6])
    answer = "422 #/tag_ids/1 reference_not_found"
    assert summary(await client.post("/seller-orders", json=body, headers=ada)) == answer
    body["tag_ids"] = [1]
    answer = "#/lines/1/productId reference_not_found"
    response = await client.post("/seller-orders", json=body, headers=ada)
    assert summary(response) == f"422 {answer}"
    batch = await client.post("/seller-orders/batch", json=[body], headers=ada)
    assert summary(batch) == f"422 {answer.replace('#', '#/0')}"
    made = await client.post("/seller-orders", json=order(line(1), tag_ids=[1]), headers=ada)
    path = f"/seller-orders/{made.json()['id']}"
    own = made.json()["lines"][0]["id"]
    lines = [line(9, id=own), line(2)]
    response = await client.patch(path, json={"lines": lines}, headers=ada)
    assert summary(response) == f"422 {answer.replace('1', '0')}"
    response = await client.patch(path, json={"lines": []}, headers={"seller": "bob"})
    assert summary(response) == "404"
    response = await client.post("/seller-orders", json=order(number="b1"), headers=ada)
    assert summary(response) == "403"
    assert await get_json(client, "/orders") == [made.json()]


async def test_a_kept_key_may_be_out_of_scope(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(tag_ids=[1, 6]))
    path, ada = f"/seller-orders/{made['id']}", {"seller": "ada"}
    changed = await client.patch(path, json={"tag_ids": [2, 6]}, headers=ada)
    assert changed.json()["tag_ids"] == [2, 6]


async def test_an_idempotency_key_replays_a_request_with_lines(client: AsyncClient) -> None:
    headers = {"Idempotency-Key": "k"}
    body = order(line(1), tag_ids=[1])
    first = await client.post("/orders", json=body, headers=headers)
    second = await client.post("/orders", json=body, headers=headers)
    assert (second.json(), second.headers["idempotency-replayed"]) == (first.json(), "true")
    other = await client.post("/orders", json=order(), headers=headers)
    assert other.json()["type"] == "/problems/idempotency_key_reused"


async def test_a_batch_changes_the_lines_of_all_or_none(client: AsyncClient) -> None:
    numbers = ("a1", "a2", "a3")
    made = (
        await client.post(
            "/orders/batch", json=[order(line(1), line(2), number=n, tag_ids=[1]) for n in numbers]
        )
    ).json()
    changes: list[Body] = [
        {"id": row["id"], "lines": [line(3), line(1, id=row["lines"][0]["id"])], "tag_ids": [2]}
        for row in made
    ]
    wrong = [*changes[:2], changes[2] | {"lines": [line(4), line(4)]}]
    response = await client.patch("/orders/batch", json=wrong)
    assert summary(response) == "409 #/2/lines/1/productId not_unique"
    assert await get_json(client, "/orders") == made
    changed = (await client.patch("/orders/batch", json=changes)).json()
    assert [sorted(short(row)) for row in changed] == [[(1, 1), (3, 1)]] * 3
    assert [row["tag_ids"] for row in changed] == [[2]] * 3
    assert [row["version"] for row in changed] == [2, 2, 2]
    assert await get_json(client, "/orders") == changed


# --- Deletion, concurrency ------------------------------------------------------------------------


async def test_a_deletion_removes_only_rows_of_a_cascade(
    client: AsyncClient,
) -> None:
    made = await create_row(client, "/orders", order(line(1), line(2), tag_ids=[1]))
    assert summary(await client.delete(f"/orders/{made['id']}")) == "204"
    noted = await create_row(client, "/orders", order(line(1), notes=[{"text": "x"}]))
    assert summary(await client.delete(f"/orders/{noted['id']}")) == "409"
    basket = await create_row(client, "/baskets", {"items": [{"name": "x"}]})
    assert summary(await client.delete(f"/baskets/{basket['id']}")) == "204"


@pytest.mark.parametrize("isolation", [None, "repeatable read"])
@pytest.mark.parametrize("path", ["/orders", "/baskets"])
async def test_concurrent_lists_are_never_mixed(
    orders_url: str, path: str, isolation: IsolationLevel | None
) -> None:
    name = "lines" if path == "/orders" else "items"
    lists: list[list[Body]] = [
        [line(2 * n + m, quantity=n + 1) if name == "lines" else {"name": f"{n}"} for m in (1, 2)]
        for n in range(4)
    ]
    async with calling(create_app(orders_url, isolation)) as client:
        made = await create_row(
            client, path, {name: [], **({"number": "a1"} if name == "lines" else {})}
        )
        target = f"{path}/{made['id']}"
        for _ in range(4):
            writes = (client.patch(target, json={name: rows}) for rows in lists)
            answers = {summary(response) for response in await asyncio.gather(*writes)}
            assert answers <= {"200", "503"}
            left = (await get_json(client, target))[name]
            values = [{key: row[key] for key in lists[0][0]} for row in left]
            assert sorted(values, key=str) in lists
            await patch_row(client, target, {name: []})


@pytest.mark.both_paths
async def test_only_writes_with_related_rows_leave_the_fast_path(client: AsyncClient) -> None:
    made = await create_row(client, "/orders", order(line(1)))
    path = f"/plain-orders/{made['id']}"
    paths = [
        await path_taken(client.get(path)),
        await path_taken(client.get("/plain-orders")),
        await path_taken(client.patch(path, json={"number": "a2"})),
        await path_taken(client.post("/plain-orders", json=order(number="a3"))),
    ]
    assert paths == ["200 fast", "200 fast", "200 ORM", "201 ORM"]


async def test_openapi_describes_related_rows(client: AsyncClient) -> None:
    schemas: dict[str, Any] = (await get_json(client, "/openapi.json"))["components"]["schemas"]
    lines = schemas["OrderCreate"]["properties"]["lines"]
    assert (lines["maxItems"], lines["items"]) == (100, {"$ref": "#/components/schemas/LineBody"})
    assert schemas["OrderCreate"]["properties"]["tag_ids"]["maxItems"] == 100
    assert "id" in schemas["LineChange"]["properties"]
