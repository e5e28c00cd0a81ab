"""The clinic: what the contract adds, and declarations that are refused."""

import json
import re
from collections.abc import Callable
from datetime import time
from functools import partial
from typing import Any, Final, Literal

import pytest
from httpx2 import AsyncClient
from pydantic import BaseModel, EmailStr

from brickwork import Filter, ListQuery, Schema, SortBy, crud_router
from examples.clinic import main, models, schemas
from tests.examples.test_clinic import ADA, BOB, VISIT, create, faults, numbers
from tests.support.bodies import Body
from tests.support.calls import CreateApp
from tests.support.pages import ROOT

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def create_app() -> CreateApp:
    return main.create_app


# --- Batches --------------------------------------------------------------------------------------


async def add_members(client: AsyncClient, count: int) -> list[str]:
    """Put patients into two wards, in one batch. Return the paths below `/memberships`."""
    patients = [ADA | {"number": f"P-{n}", "insuranceNumber": None} for n in range(count)]
    assert (await client.post("/patients/batch", json=patients)).status_code == 201
    wards = [await create(client, "/wards", {"name": name}) for name in ("North", "South")]
    members = [
        {"patient_number": f"P-{n}", "ward_id": ward["id"], "since": f"2026-01-{n + 1:02}"}
        for n in range(count)
        for ward in wards
    ]
    response = await client.post("/memberships/batch", json=members)
    assert response.status_code == 201
    return [f"{row['patient_number']}/{row['ward_id']}" for row in response.json()]


async def test_batches_name_both_keys_of_a_membership(client: AsyncClient) -> None:
    paths = await add_members(client, 2)
    changes: list[Body] = [
        {"patient_number": "P-0", "ward_id": 1, "bed": 1, "version": 1},
        {"patient_number": "P-1", "ward_id": 2, "bed": 2, "version": 1},
    ]
    changed = await client.patch("/memberships/batch", json=changes)
    assert [row["bed"] for row in changed.json()] == [1, 2]
    stale = await client.patch("/memberships/batch", json=changes)
    assert stale.status_code == 412
    missing = await client.patch(
        "/memberships/batch", json=[{"patient_number": "P-9", "ward_id": 1, "bed": 1}]
    )
    assert faults(missing) == (
        404,
        {("#/0/patient_number", "not_found"), ("#/0/ward_id", "not_found")},
    )
    query = "&".join(f"id={path}" for path in paths[:3])
    assert (await client.delete(f"/memberships/batch?{query}")).status_code == 204
    assert len(await numbers(client, "/memberships", "bed")) == 1


async def test_an_error_of_a_batch_names_item_and_alias(client: AsyncClient) -> None:
    taken = [ADA, BOB | {"insuranceNumber": "A1"}]
    response = await client.post("/patients/batch", json=taken)
    assert faults(response) == (409, {("#/1/insuranceNumber", "not_unique")})
    assert await numbers(client, "/patients") == []


async def test_a_batch_changes_appointments_and_computes_their_ends(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    created = await client.post("/appointments/batch", json=[VISIT, VISIT | {"duration": "PT1H"}])
    assert [row["ends_at"] for row in created.json()] == ["10:15:00", "10:30:00"]
    changes = [{"id": row["id"], "starts_at": "11:00"} for row in created.json()]
    changed = await client.patch("/appointments/batch", json=changes)
    assert [row["ends_at"] for row in changed.json()] == ["11:45:00", "12:00:00"]


async def test_batches_write_doctors_in_both_tables(client: AsyncClient) -> None:
    doctors = [{"name": name, "speciality": "Heart"} for name in ("Eve", "Ann")]
    created = (await client.post("/doctors/batch", json=doctors)).json()
    changes = [
        {"id": row["id"], "name": row["name"] + "!", "speciality": "Brain"} for row in created
    ]
    assert (await client.patch("/doctors/batch", json=changes)).status_code == 200
    rows = (await client.get("/doctors?sort=name")).json()
    assert [(row["name"], row["speciality"]) for row in rows] == [
        ("Ann!", "Brain"),
        ("Eve!", "Brain"),
    ]
    query = "&".join(f"id={row['id']}" for row in rows)
    assert (await client.delete(f"/doctors/batch?{query}")).status_code == 204


# --- Lists ----------------------------------------------------------------------------------------


async def walk(client: AsyncClient, path: str) -> list[dict[str, Any]]:
    """Return the rows of all pages."""
    rows: list[dict[str, Any]] = []
    link: str | None = path
    while link:
        response = await client.get(link)
        assert response.status_code == 200, response.text
        rows += response.json()
        link = response.links.get("next", {}).get("url")
    return rows


@pytest.mark.parametrize("sort", ["", "sort=-since&", "sort=bed&"], ids=["key", "since", "bed"])
async def test_cursors_walk_over_memberships(client: AsyncClient, sort: str) -> None:
    paths = await add_members(client, 5)
    rows = await walk(client, f"/memberships?{sort}limit=3")
    walked = [f"{row['patient_number']}/{row['ward_id']}" for row in rows]
    assert walked == (paths[::-1] if "since" in sort else paths)


@pytest.mark.parametrize(
    "path",
    [
        "/patients?sort=-appointmentCount",
        "/patients?sort=lastName",
        "/appointments?sort=starts_at",
        "/appointments?sort=-ends_at",
        "/appointments?sort=duration",
        "/appointments?sort=booked_at",
        "/doctors?sort=speciality",
        "/occupancy?sort=-patients",
    ],
)
async def test_cursors_walk_in_every_order(client: AsyncClient, path: str) -> None:
    await add_members(client, 5)
    visits = [
        VISIT | {"patient_number": f"P-{n % 2}", "duration": f"PT{n % 3 + 1}H"} for n in range(5)
    ]
    assert (await client.post("/appointments/batch", json=visits)).status_code == 201
    doctors = [{"name": f"D{n}", "speciality": f"S{n % 2}"} for n in range(5)]
    assert (await client.post("/doctors/batch", json=doctors)).status_code == 201
    whole = (await client.get(f"{path}&limit=100&count=exact")).json()
    assert await walk(client, f"{path}&limit=2") == whole


async def test_export_writes_each_appointment(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    created = await client.post("/appointments/batch", json=[VISIT, VISIT])
    lines = await client.get("/appointments", headers={"accept": "application/x-ndjson"})
    assert [json.loads(line) for line in lines.text.splitlines()] == created.json()


# --- Requests that are sent again -----------------------------------------------------------------


async def test_a_retried_appointment_is_created_once(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    first, second = [
        await client.post("/appointments", json=VISIT, headers={"idempotency-key": "1"})
        for _ in range(2)
    ]
    assert (second.json(), second.headers["idempotency-replayed"]) == (first.json(), "true")
    assert len(await numbers(client, "/appointments", "id")) == 1


async def test_preconditions_restrict_an_upsert_of_a_patient(client: AsyncClient) -> None:
    only_replace = await client.put("/patients/P-1", json=ADA, headers={"if-match": "*"})
    assert only_replace.status_code == 404
    first, second = [
        await client.put("/patients/P-1", json=ADA, headers={"if-none-match": "*"})
        for _ in range(2)
    ]
    assert (first.status_code, second.status_code) == (201, 412)


async def test_put_accepts_the_response_of_get(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    visit = await create(client, "/appointments", VISIT)
    path = f"/appointments/{visit['id']}"
    assert (await client.put(path, json=visit)).json() == visit
    other = await client.put(path, json=visit | {"ends_at": "12:00:00"})
    assert faults(other) == (422, {("#/ends_at", "read_only")})


# --- Declarations that are refused ----------------------------------------------------------------


class Extra(schemas.WardCreate):
    """A ward with a field that no column holds."""

    floor: int


class Ended(schemas.AppointmentCreate):
    """An appointment with a computed column."""

    ends_at: time


class Nameless(schemas.PatientCreate):
    """A patient whose full name is set."""

    full_name: str


class WithoutDay(Schema):
    """An appointment without a required column."""

    patient_number: str


class ShownExtra(schemas.WardRead):
    """A ward that shows what the model lacks."""

    floor: int


class PlainCreate(BaseModel):
    """A schema that is no `Schema`."""

    name: str


class WholeUpdate(schemas.WardCreate):
    """An update in which every field is required."""


class SinceText(Schema):
    """A membership whose date is a text."""

    patient_number: str
    ward_id: int
    since: str


def filter_by_floor() -> object:
    class Query(ListQuery[models.Ward]):
        floor: Filter[int] = None

    return Query


def sort_by_floor() -> object:
    class Query(ListQuery[models.Ward]):
        sort: SortBy[Literal["floor"]] = None

    return Query


def filter_by_address() -> object:
    class Query(ListQuery[models.Contact]):
        email: EmailStr | None = None

    return Query


def wards(**arguments: Any) -> Callable[[], object]:
    return partial(crud_router, "/wards", main.Wards, **{"read": schemas.WardRead} | arguments)


def appointments(create: type[Schema]) -> Callable[[], object]:
    read = schemas.AppointmentRead
    return partial(crud_router, "/appointments", main.Appointments, read=read, create=create)


REFUSED: Final[dict[str, Callable[[], object]]] = {
    "a filter of no column": filter_by_floor,
    "a filter with `EmailStr`": filter_by_address,
    "a sort by no column": sort_by_floor,
    "a field of `create` that no column holds": wards(create=Extra),
    "a computed column in `create`": appointments(Ended),
    "a hybrid property without setter in `create`": partial(
        crud_router, "/x", main.Patients, read=schemas.PatientRead, create=Nameless
    ),
    "a `create` without a required column": appointments(WithoutDay),
    "a field of `read` that the model lacks": wards(read=ShownExtra),
    "an `update` without `partial=True`": wards(create=schemas.WardCreate, update=WholeUpdate),
    "the same without `create`": wards(update=WholeUpdate),
    "an unknown operation in `omit`": wards(omit={"remove"}),
    "a `create` that is no `Schema`": wards(create=PlainCreate),
    "an annotation that does not fit its column": partial(
        crud_router, "/x", main.Memberships, read=schemas.MembershipRead, create=SinceText
    ),
}


@pytest.mark.parametrize("declaration", REFUSED)
def test_a_declaration_is_refused_with_the_text_of_the_page(declaration: str) -> None:
    page = (ROOT / "examples/clinic/README.md").read_text()
    texts = dict(re.findall(r"^\| (.+?) \| ``(.+?)`` \|$", page, re.MULTILINE))
    with pytest.raises(TypeError) as raised:
        REFUSED[declaration]()
    assert str(raised.value) == texts.get(declaration)
