"""Keys of several columns: every operation, on both databases."""

import asyncio
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
from httpx2 import AsyncClient, Response
from sqlalchemy import select

from brickwork import (
    Database,
    OutboxEvent,
    Schema,
    audit_entries,
    crud_router,
    soft_delete_foreign_key,
)
from tests.support.bodies import MISSING, ask, create_row, get_json, summary
from tests.support.calls import calling
from tests.support.memberships import (
    Base,
    Membership,
    SlotCreate,
    SlotRead,
    Slots,
    create_app,
)
from tests.support.running import Running
from tests.support.tables import Tables

pytestmark = pytest.mark.anyio

Body: TypeAlias = dict[str, Any]


@pytest.fixture
async def url(tables: Tables, backend: str) -> str:
    return await tables.of(Base.metadata, backend)


@pytest.fixture
async def client(running: Running, url: str) -> AsyncClient:
    return await running.client(create_app, url)


async def create_user(client: AsyncClient, name: str = "Ada") -> str:
    user: str = (await create_row(client, "/users", {"name": name}))["id"]
    return user


async def create_membership(client: AsyncClient, group: str = "makers", **fields: Any) -> Body:
    """Create a membership of a new user in a *group*, which is created if it is missing."""
    await client.post("/groups", json={"code": group})
    user = fields.pop("user_id", None) or await create_user(client)
    body = {"user_id": user, "group_code": group, **fields}
    return await create_row(client, "/memberships", body)


def path_of(row: Body) -> str:
    return f"/memberships/{row['user_id']}/{quote(row['group_code'], safe='')}"


def slot(room: int = 1, day: str = "2026-01-02", **fields: Any) -> Body:
    return {"room": room, "day": day, "title": "Talk", **fields}


def faults(response: Response) -> tuple[int, list[tuple[str, str]]]:
    """Return the status of a problem, and the place and code of each error."""
    if response.status_code < 400:
        return response.status_code, []
    errors = response.json().get("errors", [])
    places = [(error.get("pointer") or error.get("parameter"), error["code"]) for error in errors]
    return response.status_code, places


# --- One row --------------------------------------------------------------------------------------


async def test_a_path_has_a_segment_for_each_column(client: AsyncClient) -> None:
    user = await create_user(client)
    await create_row(client, "/groups", {"code": "a b%"})
    body = {"user_id": user, "group_code": "a b%", "role": "owner"}
    created = await client.post("/memberships", json=body)
    assert created.status_code == 201, created.text
    assert created.headers["location"] == f"/memberships/{user}/a%20b%25"
    found = await client.get(created.headers["location"])
    assert (found.status_code, found.json()) == (200, created.json())
    assert found.headers["etag"] == created.headers["etag"]
    head = await client.head(created.headers["location"])
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == found.headers["content-length"]
    tag = {"If-None-Match": found.headers["etag"]}
    assert (await client.get(created.headers["location"], headers=tag)).status_code == 304


async def test_a_slash_at_the_end_is_the_same_row(client: AsyncClient) -> None:
    row = await create_membership(client)
    assert await get_json(client, f"{path_of(row)}/") == row


async def test_a_key_of_two_users_or_groups_is_another_row(client: AsyncClient) -> None:
    first = await create_membership(client, "makers")
    second = await create_membership(client, "readers", user_id=first["user_id"])
    third = await create_membership(client, "makers")
    for row in (first, second, third):
        assert await get_json(client, path_of(row)) == row


@pytest.mark.parametrize(
    "key",
    [
        "x/2026-01-02",
        "01/2026-01-02",
        "1/2026-1-2",
        "1/2026-02-30",
        "1/x",
        "2147483648/2026-01-02",
        "1/2026-01-02%00",
        "%00/2026-01-02",
        "%FF/2026-01-02",
        "1/2026-01-03",
        "2/2026-01-02",
        "2026-01-02/1",
        "1/2026-01-02T00:00:00Z",
    ],
)
async def test_a_key_that_names_no_row_is_404(client: AsyncClient, key: str) -> None:
    row = await create_row(client, "/slots", slot())
    bodies: dict[str, Body] = {"PATCH": {}}
    for method in ("GET", "PATCH", "DELETE"):
        response = await ask(client, method, f"/slots/{key}", bodies.get(method))
        assert (summary(response), response.json()["detail"]) == ("404", "Slot not found")
    assert await get_json(client, "/slots") == [row]


async def test_a_malformed_part_asks_no_database() -> None:
    async with calling(create_app("sqlite:////nowhere/at/all.db")) as client:
        for key in ("x/2026-01-02", "1/x"):
            assert summary(await ask(client, "GET", f"/slots/{key}")) == "404"
        assert summary(await ask(client, "GET", "/slots/1/2026-01-02")) == "503"


async def test_a_part_of_a_uuid_is_case_insensitive(client: AsyncClient) -> None:
    row = await create_membership(client)
    path = f"/memberships/{row['user_id'].upper()}/makers"
    assert await get_json(client, path) == row
    assert (await client.patch(path, json={})).json() == row


async def test_one_segment_is_no_row(client: AsyncClient) -> None:
    row = await create_membership(client)
    for path in (f"/memberships/{row['user_id']}", "/slots/1", "/slots/1/2026-01-02/x"):
        assert summary(await ask(client, "GET", path)) == "404", path
    assert summary(await ask(client, "GET", "/slots/batch")) == "405"


async def test_methods_of_a_row_are_allowed(client: AsyncClient) -> None:
    row = await create_membership(client)
    allowed = await client.options(path_of(row))
    assert allowed.status_code == 204
    assert allowed.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, PUT"
    rejected = await client.post(path_of(row), json={})
    assert (rejected.status_code, rejected.headers["allow"]) == (405, allowed.headers["allow"])


async def test_fixed_paths_do_not_collide_with_rows(client: AsyncClient) -> None:
    user = await create_user(client)
    assert await get_json(client, f"/memberships/{user}/groups") == {"groups of": user}
    greeted = await client.post(f"/memberships/{user}/makers/greet")
    assert greeted.json() == {"greeted": [user, "makers"]}
    await create_row(client, "/labels", {"labelName": "batch", "label-language": "x", "text": "t"})
    assert (await get_json(client, "/labels/batch/x"))["text"] == "t"
    await create_row(client, "/labels", {"labelName": "x", "label-language": "batch", "text": "u"})
    assert (await get_json(client, "/labels/x/batch"))["text"] == "u"


@pytest.mark.parametrize("part", ["", ".", "..", "a/b"])
async def test_a_part_that_is_no_segment_is_rejected(client: AsyncClient, part: str) -> None:
    body = {"labelName": "a", "label-language": part, "text": "t"}
    wanted = (422, [("#/label-language", "no_path")])
    assert faults(await client.post("/labels", json=body)) == wanted
    both = {**body, "labelName": part}
    wanted = (422, [("#/labelName", "no_path"), ("#/label-language", "no_path")])
    assert faults(await client.post("/labels", json=both)) == wanted
    item = (422, [("#/0/label-language", "no_path")])
    assert faults(await client.post("/labels/batch", json=[body])) == item
    assert await get_json(client, "/labels") == []


async def test_a_key_that_is_taken_is_a_conflict(client: AsyncClient) -> None:
    row = await create_membership(client)
    body = {"user_id": row["user_id"], "group_code": "makers"}
    response = await client.post("/memberships", json=body)
    wanted = [("#/group_code", "not_unique"), ("#/user_id", "not_unique")]
    assert faults(response) == (409, wanted)


async def test_a_patch_changes_all_but_the_key(client: AsyncClient) -> None:
    row = await create_membership(client)
    changed = await client.patch(path_of(row), json={"role": "owner"})
    assert changed.json() == {**row, "role": "owner", "version": 2}
    same = {"user_id": row["user_id"].upper(), "group_code": "makers"}
    assert (await client.patch(path_of(row), json=same)).json() == changed.json()
    other = {"user_id": MISSING, "role": "reader"}
    assert faults(await client.patch(path_of(row), json=other)) == (
        409,
        [("#/user_id", "key_differs")],
    )
    other = {"user_id": MISSING, "group_code": "others"}
    wanted = [("#/user_id", "key_differs"), ("#/group_code", "key_differs")]
    assert faults(await client.patch(path_of(row), json=other)) == (409, wanted)
    assert await get_json(client, path_of(row)) == changed.json()


async def test_a_put_replaces_all_but_the_key(client: AsyncClient) -> None:
    row = await create_membership(client, role="owner")
    body = {"user_id": row["user_id"], "group_code": "makers"}
    replaced = await client.put(path_of(row), json=body)
    assert replaced.json() == {**row, "role": "reader", "version": 2}
    again = await client.put(path_of(row), json=replaced.json())
    assert again.json() == replaced.json()
    other = {**body, "group_code": "others"}
    wanted = (409, [("#/group_code", "key_differs")])
    assert faults(await client.put(path_of(row), json=other)) == wanted
    missing = await client.put(f"/memberships/{MISSING}/makers", json={**body, "user_id": MISSING})
    assert summary(missing) == "404"


async def test_an_upsert_creates_the_row_of_its_path(client: AsyncClient) -> None:
    created = await client.put("/slots/1/2026-01-02", json=slot(seats=3))
    assert (created.status_code, created.json()) == (201, slot(seats=3))
    assert created.headers["location"] == "/slots/1/2026-01-02"
    replaced = await client.put("/slots/1/2026-01-02", json=slot(title="Walk"))
    assert (replaced.status_code, replaced.json()) == (200, slot(title="Walk", seats=None))
    wanted = [("#/room", "key_differs"), ("#/day", "key_differs")]
    other = await client.put("/slots/2/2026-01-03", json=slot())
    assert faults(other) == (409, wanted)
    other = await client.put("/slots/1/2026-01-02", json=slot(2))
    assert faults(other) == (409, [("#/room", "key_differs")])
    assert summary(await ask(client, "PUT", "/slots/x/2026-01-02", slot())) == "404"
    label = {"labelName": "a b", "label-language": "ä", "text": "t"}
    created = await client.put("/labels/a%20b/%C3%A4", json=label)
    assert created.headers["location"] == "/labels/a%20b/%C3%A4"
    assert (await client.put("/labels/a%20b/%C3%A4/", json=label)).json() == created.json()


async def test_of_many_equal_upserts_one_creates_the_row(client: AsyncClient) -> None:
    sent = [client.put("/slots/1/2026-01-02", json=slot(seats=n)) for n in range(8)]
    statuses = sorted(response.status_code for response in await asyncio.gather(*sent))
    assert statuses == [200] * 7 + [201]


async def test_a_version_is_matched(client: AsyncClient) -> None:
    label = {"labelName": "a", "label-language": "b", "text": "t"}
    created = await client.post("/careful-labels", json=label)
    path, tag = created.headers["location"], created.headers["etag"]
    assert (await client.patch(path, json={"text": "u"})).status_code == 428
    changed = await client.patch(path, json={"text": "u"}, headers={"If-Match": tag})
    assert (changed.status_code, changed.json()["version"]) == (200, 2)
    stale = await client.patch(path, json={"text": "v"}, headers={"If-Match": tag})
    assert (stale.status_code, stale.headers["etag"]) == (412, changed.headers["etag"])
    assert (await client.delete(path, headers={"If-Match": tag})).status_code == 412
    current = {"If-Match": changed.headers["etag"]}
    assert (await client.delete(path, headers=current)).status_code == 204


async def test_a_row_of_another_scope_is_missing(client: AsyncClient) -> None:
    label = {"labelName": "a", "label-language": "b", "text": "t"}
    await create_row(client, "/labels", label)
    other = {"Tenant": "other"}
    for method, body in (("GET", None), ("PATCH", {"text": "u"}), ("DELETE", None)):
        response = await client.request(method, "/labels/a/b", headers=other, json=body)
        assert summary(response) == "404"
    taken = await client.put("/labels/a/b", headers=other, json={**label, "text": "u"})
    assert taken.status_code == 409
    assert (await get_json(client, "/labels/a/b"))["text"] == "t"


async def test_an_idempotency_key_replays(client: AsyncClient) -> None:
    key, body = {"Idempotency-Key": "one"}, slot()
    first = await client.post("/slots", json=body, headers=key)
    again = await client.post("/slots", json=body, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"] == "/slots/1/2026-01-02"
    assert again.headers["idempotency-replayed"] == "true"
    changes = [
        await client.patch("/slots/1/2026-01-02", json={"title": "a"}, headers=key)
        for _ in range(2)
    ]
    assert [change.json()["title"] for change in changes] == ["a", "a"]
    assert changes[1].headers["idempotency-replayed"] == "true"
    await create_row(client, "/slots", slot(2))
    other = await client.patch("/slots/2/2026-01-02", json={"title": "b"}, headers=key)
    assert "idempotency-replayed" not in other.headers


# --- Deletion, history, events --------------------------------------------------------------------


async def test_a_row_is_deleted_restored_and_purged(client: AsyncClient) -> None:
    row = await create_membership(client)
    path = path_of(row)
    assert (await client.post(f"{path}/restore")).status_code == 409
    assert (await client.delete(path)).status_code == 204
    assert summary(await ask(client, "GET", path)) == "404"
    assert (await client.delete(path)).status_code == 404
    assert (await client.delete(f"{path}?allow_missing=true")).status_code == 204
    assert len(await get_json(client, "/memberships?deleted=only")) == 1
    restored = await client.post(f"{path}/restore")
    assert (restored.status_code, restored.json()["version"]) == (200, 3)
    assert (await client.delete(f"{path}?purge=true")).status_code == 204
    assert (await client.post(f"{path}/restore")).status_code == 404
    assert await get_json(client, "/memberships?deleted=include") == []


async def test_remarks_are_hidden_with_their_membership(client: AsyncClient) -> None:
    row = await create_membership(client)
    note = {"user_id": row["user_id"], "group_code": "makers", "text": "n"}
    created = await create_row(client, "/remarks", note)
    assert (await get_json(client, path_of(row)))["remarks"] == [{"text": "n"}]
    await client.delete(path_of(row))
    assert summary(await ask(client, "GET", f"/remarks/{created['id']}")) == "404"
    wanted = [("#/group_code", "reference_not_found"), ("#/user_id", "reference_not_found")]
    assert faults(await client.post("/remarks", json=note)) == (422, wanted)
    await client.post(f"{path_of(row)}/restore")
    assert await get_json(client, f"/remarks/{created['id']}") == created
    assert (await client.delete(f"{path_of(row)}?purge=true")).status_code == 204
    assert await get_json(client, "/remarks") == []


async def test_a_history_is_of_one_row(client: AsyncClient) -> None:
    first = await create_membership(client)
    second = await create_membership(client, "readers", user_id=first["user_id"])
    await client.patch(path_of(first), json={"role": "owner"})
    entries = await get_json(client, f"{path_of(first)}/history")
    assert [entry["action"] for entry in entries] == ["update", "create"]
    assert entries[0]["changes"]["role"] == {"before": "reader", "after": "owner"}
    (entry,) = await get_json(client, f"{path_of(second)}/history")
    assert entry["changes"]["group_code"] == {"after": "readers"}
    await client.delete(f"{path_of(first)}?purge=true")
    await create_membership(client, user_id=first["user_id"])
    (entry,) = await get_json(client, f"{path_of(first)}/history")
    assert entry["action"] == "create"
    assert summary(await ask(client, "GET", f"/memberships/{MISSING}/makers/history")) == "404"
    assert summary(await ask(client, "GET", "/memberships/x/makers/history")) == "404"


async def test_entries_and_events_have_the_key_as_an_array(client: AsyncClient, url: str) -> None:
    row = await create_membership(client, 'a "b"')
    text = f'["{row["user_id"]}","a \\"b\\""]'
    database = Database(url)
    async with database.session(readonly=True) as session:
        entries = audit_entries(Membership, row["user_id"], 'a "b"')
        assert [entry.row_key for entry in await session.scalars(entries)] == [text]
        (event,) = await session.scalars(select(OutboxEvent))
        assert (event.table_name, event.row_key, event.action) == ("memberships", text, "create")
        assert event.data is not None
        assert event.data["user_id"] == row["user_id"]
    await database.dispose()


# --- References -----------------------------------------------------------------------------------


async def test_parts_of_a_key_refer_to_rows(client: AsyncClient) -> None:
    row = await create_membership(client)
    missing = {"user_id": MISSING, "group_code": "nobody"}
    status, errors = faults(await client.post("/memberships", json=missing))
    assert status == 422
    assert ("#/user_id", "reference_not_found") in errors or (
        "#/group_code",
        "reference_not_found",
    ) in errors
    assert (await client.delete(f"/users/{row['user_id']}")).status_code == 409
    assert (await client.delete("/groups/makers")).status_code == 409


async def test_a_foreign_key_of_several_columns_refers_to_a_row(client: AsyncClient) -> None:
    await create_row(client, "/slots", slot())
    booking = {"room": 1, "day": "2026-01-02", "name": "Ada"}
    created = await create_row(client, "/bookings", booking)
    assert created["slot"] == {"title": "Talk"}
    wanted = (422, [("#/day", "reference_not_found"), ("#/room", "reference_not_found")])
    for part in ({"room": 2}, {"day": "2026-01-03"}):
        assert faults(await client.post("/bookings", json={**booking, **part})) == wanted
        status, errors = faults(await client.patch(f"/bookings/{created['id']}", json=part))
        assert status == 422
        assert set(errors) <= set(wanted[1])
    assert (await client.delete("/slots/1/2026-01-02")).status_code == 409
    none = {"room": None, "day": None}
    cleared = await client.patch(f"/bookings/{created['id']}", json=none)
    assert cleared.json() == {**created, **none, "slot": None}
    assert (await client.delete("/slots/1/2026-01-02")).status_code == 204


async def test_embedded_rows_with_such_keys_are_limited(client: AsyncClient) -> None:
    user = await create_user(client)
    for group in ("a", "c", "b"):
        await create_membership(client, group, user_id=user)
    found = await get_json(client, f"/users/{user}")
    assert [row["group_code"] for row in found["memberships"]] == ["c", "b"]


# --- Batches --------------------------------------------------------------------------------------


async def test_a_batch_creates_rows(client: AsyncClient) -> None:
    rows = [slot(1), slot(1, "2026-01-03"), slot(2)]
    created = await client.post("/slots/batch", json=rows)
    assert (created.status_code, created.json()) == (201, [{**row, "seats": None} for row in rows])
    repeated = await client.post("/slots/batch", json=[slot(3), slot(3)])
    wanted = [("#/1/day", "not_unique"), ("#/1/room", "not_unique")]
    assert faults(repeated) == (409, wanted)
    assert len(await get_json(client, "/slots")) == 3


async def test_a_batch_changes_rows_that_it_names_by_all_columns(client: AsyncClient) -> None:
    first = await create_membership(client)
    second = await create_membership(client, "readers", user_id=first["user_id"])
    items = [
        {"user_id": row["user_id"], "group_code": row["group_code"], "role": role, "version": 1}
        for row, role in ((second, "b"), (first, "a"))
    ]
    changed = await client.patch("/memberships/batch", json=items)
    assert changed.status_code == 200, changed.text
    assert [(row["group_code"], row["role"]) for row in changed.json()] == [
        ("readers", "b"),
        ("makers", "a"),
    ]
    stale = await client.patch("/memberships/batch", json=items)
    assert faults(stale) == (412, [("#/0/version", "stale"), ("#/1/version", "stale")])


async def test_a_batch_points_to_the_columns_of_a_key(client: AsyncClient) -> None:
    await client.post("/slots/batch", json=[slot(1), slot(2)])
    day, title = "2026-01-02", "x"

    async def patch(*items: Body) -> tuple[int, list[tuple[str, str]]]:
        return faults(await client.patch("/slots/batch", json=[*items]))

    item, other = {"room": 1, "day": day, "title": title}, {"room": 2, "day": day, "title": title}
    missing = {**item, "room": 3}
    wanted = [("#/1/room", "not_found"), ("#/1/day", "not_found")]
    assert await patch(item, missing) == (404, wanted)
    wanted = [("#/2/room", "repeated"), ("#/2/day", "repeated")]
    assert await patch(item, other, item) == (422, wanted)
    assert await patch({"room": 1, "title": title}) == (422, [("#/0/day", "missing")])
    assert {row["title"] for row in await get_json(client, "/slots")} == {"Talk"}
    assert await patch(item, other) == (200, [])


async def test_a_batch_deletes_rows_by_their_paths(client: AsyncClient) -> None:
    await client.post("/slots/batch", json=[slot(1), slot(2), slot(3)])
    day = "2026-01-02"

    async def delete(*ids: str) -> tuple[int, list[tuple[str, str]]]:
        query = "&".join(f"id={key}" for key in ids)
        return faults(await client.delete(f"/slots/batch?{query}"))

    assert await delete(f"1/{day}", f"4/{day}") == (404, [("id", "not_found")])
    for malformed in ("1", f"1/{day}/x", f"x/{day}", f"{day}/1", f"1%2F{day}%2F"):
        assert await delete(malformed) == (404, [("id", "not_found")])
    assert await delete(f"1/{day}", f"1/{day}") == (422, [("id", "repeated")])
    assert await delete(f"1/{day}", f"2%2F{day}") == (204, [])
    assert [row["room"] for row in await get_json(client, "/slots")] == [3]
    label = {"labelName": "a&b%", "label-language": "c d", "text": "t"}
    created = await client.post("/labels", json=label)
    key = created.headers["location"].removeprefix("/labels/")
    assert (await client.delete(f"/labels/batch?id={key}")).status_code == 204
    assert await get_json(client, "/labels") == []


# --- Lists ----------------------------------------------------------------------------------------


async def test_a_list_is_in_the_order_of_the_key(client: AsyncClient) -> None:
    keys = [(2, "2026-01-01"), (1, "2026-01-02"), (1, "2026-01-01"), (10, "2025-01-01")]
    await client.post("/slots/batch", json=[slot(*key) for key in keys])

    async def order(query: str) -> list[tuple[int, str]]:
        return [(row["room"], row["day"]) for row in await get_json(client, f"/slots?{query}")]

    assert await order("") == sorted(keys)
    assert await order("sort=-title") == sorted(keys, reverse=True)
    assert await order("sort=title") == sorted(keys)
    assert await order("sort=-day") == sorted(keys, key=lambda key: key[::-1], reverse=True)
    assert await order("sort=-room,day") == sorted(keys, key=lambda key: (-key[0], key[1]))
    assert await order("room=1&day__gte=2026-01-02") == [(1, "2026-01-02")]
    exported = await client.get("/slots", headers={"Accept": "application/x-ndjson"})
    assert exported.text.count("\n") == len(keys)


async def test_a_list_counts_rows(client: AsyncClient) -> None:
    await client.post("/slots/batch", json=[slot(n) for n in range(5)])
    response = await client.get("/slots?count=exact&limit=2")
    assert response.headers["x-total-count"] == "5"
    last = await client.get(response.links["last"]["url"])
    assert [row["room"] for row in last.json()] == [3, 4]


async def test_a_batch_with_one_text_key_twice_is_a_conflict(client: AsyncClient) -> None:
    response = await client.post("/groups/batch", json=[{"code": "a"}, {"code": "a"}])
    assert faults(response) == (409, [("#/1/code", "not_unique")])
    assert await get_json(client, "/groups") == []


# --- Declarations ---------------------------------------------------------------------------------


def test_openapi_has_a_parameter_for_each_column() -> None:
    document = create_app("sqlite:///unused.db").openapi()

    def path_parameters(path: str) -> dict[str, Any]:
        parameters = document["paths"][path]["get"]["parameters"]
        return {
            part["name"]: part["schema"].get("format") or part["schema"]["type"]
            for part in parameters
            if part["in"] == "path"
        }

    assert path_parameters("/slots/{room}/{day}") == {"room": "integer", "day": "date"}
    wanted = {"user_id": "uuid", "group_code": "string"}
    assert path_parameters("/memberships/{user_id}/{group_code}/history") == wanted
    wanted = {"labelName": "string", "language": "string"}
    assert path_parameters("/labels/{labelName}/{language}") == wanted
    change = document["components"]["schemas"]["MembershipChange"]
    assert change["required"] == ["user_id", "group_code"]


def test_a_prefix_without_a_name_of_its_own_is_rejected() -> None:
    with pytest.raises(TypeError, match=r"The paths of Slot have two parameters \{room\}: one of"):
        crud_router("/rooms/{room}/slots", Slots, read=SlotRead)


def test_an_upsert_needs_all_columns() -> None:
    class Part(Schema):
        room: int
        title: str

    with pytest.raises(TypeError, match=r"Part has no field day\. Add it"):
        crud_router("/slots", Slots, read=SlotRead, create=Part)


def test_a_reference_needs_all_columns() -> None:
    with pytest.raises(TypeError, match=r"whose key is user_id, group_code\. Name a column for"):
        soft_delete_foreign_key("user_id", "is_hidden", Membership)


async def test_a_prefix_may_have_parameters(url: str) -> None:
    app = create_app(url)
    app.include_router(
        crud_router("/tenants/{tenant}/slots", Slots, read=SlotRead, create=SlotCreate)
    )
    async with calling(app) as client:
        created = await client.post("/tenants/a/slots", json=slot())
        assert created.headers["location"] == "/tenants/a/slots/1/2026-01-02"
        created = await client.put("/tenants/a/slots/2/2026-01-02", json=slot(2))
        assert created.headers["location"] == "/tenants/a/slots/2/2026-01-02"
