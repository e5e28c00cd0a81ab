"""The clinic, as declared and by hand: what both answer."""

from typing import Any, Final

import pytest
from httpx2 import AsyncClient, Response

from examples.clinic import main
from examples.clinic.plain import main as plain
from tests.support.bodies import Body
from tests.support.calls import CreateApp
from tests.support.example_lines import shown_and_counted

pytestmark = pytest.mark.anyio

ADA: Final[Body] = {
    "number": "P-1",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "bornOn": "1815-12-10",
    "insuranceNumber": "A1",
}
BOB: Final[Body] = ADA | {
    "number": "P-2",
    "firstName": "Bob",
    "lastName": "Babbage",
    "bornOn": "1791-12-26",
    "insuranceNumber": None,
}
VISIT: Final[Body] = {
    "patient_number": "P-1",
    "day": "2026-01-31",
    "starts_at": "09:30",
    "duration": "PT45M",
    "priority": 3,
    "tags": ["scan", "x" * 10],
    "intake": {"reason": "Cough", "vitals": {"pulse": 70, "temperature": 37.5}},
}
CONTACT: Final[Body] = {
    "patient_number": "P-1",
    "email": "ada@example.org",
    "website": "https://example.org/ada",
    "device_address": "192.0.2.1",
    "proxy_address": "2001:db8::1",
    "door_code": "1234",
    "phone": "+49 30 1234",
}


@pytest.fixture(scope="module", params=[main, plain], ids=["declared", "by hand"])
def create_app(request: pytest.FixtureRequest) -> CreateApp:
    created: CreateApp = request.param.create_app
    return created


async def create(client: AsyncClient, path: str, body: Body) -> dict[str, Any]:
    """Create a row, and return it."""
    response = await client.post(path, json=body)
    assert response.status_code == 201, response.text
    row: dict[str, Any] = response.json()
    assert (await client.get(response.headers["location"])).json() == row
    return row


def faults(response: Response) -> tuple[int, set[tuple[str, str]]]:
    """Return the status of *response*, and the location and code of each error."""
    errors = response.json().get("errors", [])
    return response.status_code, {
        (error.get("pointer") or f"?{error['parameter']}", error["code"]) for error in errors
    }


async def numbers(client: AsyncClient, query: str, field: str = "number") -> list[Any]:
    response = await client.get(query)
    assert response.status_code == 200, response.text
    return [row[field] for row in response.json()]


# --- Patients: a text key, a hybrid, names in camel case ------------------------------------------


async def test_a_patient_is_created_read_changed_and_deleted(client: AsyncClient) -> None:
    ada = await create(client, "/patients", ADA)
    assert ada == ADA | {"fullName": "Ada Lovelace", "appointmentCount": 0, "version": 1}

    changed = await client.patch("/patients/P-1", json={"firstName": "Augusta"})
    assert (changed.status_code, changed.json()["fullName"]) == (200, "Augusta Lovelace")
    stale = await client.patch(
        "/patients/P-1", json={"firstName": "Eve"}, headers={"if-match": '"1"'}
    )
    assert stale.status_code == 412

    assert (await client.delete("/patients/P-1")).status_code == 204
    assert (await client.get("/patients/P-1")).status_code == 404


async def test_put_of_a_new_number_creates_a_patient(client: AsyncClient) -> None:
    created = await client.put("/patients/P-1", json=ADA)
    assert (created.status_code, created.headers["location"]) == (201, "/patients/P-1")
    replaced = await client.put("/patients/P-1", json=ADA | {"lastName": "King"})
    assert (replaced.status_code, replaced.json()["fullName"]) == (200, "Ada King")
    assert faults(await client.put("/patients/P-2", json=ADA)) == (
        409,
        {("#/number", "key_differs")},
    )


async def test_errors_of_a_patient_have_the_names_of_the_client(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    taken = BOB | {"insuranceNumber": "A1"}
    conflict = (409, {("#/insuranceNumber", "not_unique")})
    assert faults(await client.post("/patients", json=taken)) == conflict
    again = await client.post("/patients", json=ADA | {"insuranceNumber": None})
    assert faults(again) == (409, {("#/number", "not_unique")})
    invalid = BOB | {"firstName": "", "bornOn": "31.1.2026"}
    assert (await client.post("/patients", json=invalid)).status_code == 422
    pointers = {pointer for pointer, _ in faults(await client.post("/patients", json=invalid))[1]}
    assert pointers == {"#/firstName", "#/bornOn"}
    unknown = await client.post("/patients", json=BOB | {"first_name": "Bob"})
    assert [pointer for pointer, _ in faults(unknown)[1]] == ["#/first_name"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["P-1", "P-2"]),
        ("?fullName=Ada Lovelace", ["P-1"]),
        ("?fullName__icontains=BAB", ["P-2"]),
        ("?bornOn__lt=1800-01-01", ["P-2"]),
        ("?appointmentCount__gte=1", ["P-1"]),
        ("?sort=lastName", ["P-2", "P-1"]),
        ("?sort=-bornOn", ["P-1", "P-2"]),
        ("?sort=appointmentCount", ["P-2", "P-1"]),
        ("?limit=1&offset=1", ["P-2"]),
    ],
)
async def test_patients_are_filtered_and_sorted(
    client: AsyncClient, query: str, expected: list[str]
) -> None:
    await create(client, "/patients", ADA)
    await create(client, "/patients", BOB)
    await create(client, "/appointments", VISIT)
    assert await numbers(client, f"/patients{query}") == expected


async def test_an_unknown_sort_is_an_error(client: AsyncClient) -> None:
    assert (await client.get("/patients?sort=last_name")).status_code == 422


# --- Appointments: times, durations, arrays, documents --------------------------------------------


async def test_an_appointment_is_returned_as_it_was_sent(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    visit = await create(client, "/appointments", VISIT)
    assert visit["booked_at"].endswith("Z")
    times = {"starts_at": "09:30:00", "ends_at": "10:15:00", "version": 1}
    assert visit.items() >= (VISIT | times).items()
    assert (await client.get("/patients/P-1")).json()["appointmentCount"] == 1


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"tags": ["x" * 11]}, "#/tags/0"),
        ({"priority": 4}, "#/priority"),
        ({"starts_at": "25:00"}, "#/starts_at"),
        ({"duration": "an hour"}, "#/duration"),
        ({"intake": {"vitals": {}}}, "#/intake/reason"),
        ({"intake": {"reason": "x", "vitals": {"pulse": 0}}}, "#/intake/vitals/pulse"),
        ({"ends_at": "10:15"}, "#/ends_at"),
        ({"patient_number": "P-9"}, "#/patient_number"),
    ],
)
async def test_an_invalid_appointment_is_rejected(
    client: AsyncClient, change: Body, pointer: str
) -> None:
    await create(client, "/patients", ADA)
    status, errors = faults(await client.post("/appointments", json=VISIT | change))
    assert (status, {location for location, _ in errors}) == (422, {pointer})


async def test_a_patch_changes_a_part_of_the_intake(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    path = f"/appointments/{(await create(client, '/appointments', VISIT))['id']}"
    change = {"intake": {"vitals": {"pulse": 90}}}
    changed = await client.patch(path, json=change)
    assert changed.json()["intake"] == {
        "reason": "Cough",
        "vitals": {"pulse": 90, "temperature": 37.5},
    }
    later = await client.patch(path, json={"starts_at": "23:30:00.25"})
    assert later.json()["ends_at"] == "00:15:00.250000"
    assert later.json()["version"] == 3
    assert (await client.get(path)).json() == later.json()
    removed = await client.patch(path, json={"intake": {"reason": None}})
    assert (removed.status_code, next(iter(faults(removed)[1]))[0]) == (422, "#/intake/reason")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("patient_number=P-1", [1, 2]),
        ("day=2026-02-01", [1]),
        ("day__lt=2026-02-01", [2]),
        ("starts_at__gte=09:30", [2]),
        ("ends_at=10:15:00", [2]),
        ("duration__lt=PT30M", [1]),
        ("priority__in=2,3", [2]),
        ("booked_at__gte=2020-01-01T00:00:00Z", [1, 2]),
        ("booked_at__lt=2020-01-01T00:00:00Z", []),
        ("sort=-day", [1, 2]),
        ("sort=duration", [1, 2]),
        ("sort=-ends_at", [2, 1]),
        ("sort=priority", [1, 2]),
    ],
)
async def test_appointments_are_filtered_and_sorted(
    client: AsyncClient, query: str, expected: list[int]
) -> None:
    await create(client, "/patients", ADA)
    await create(client, "/appointments", VISIT | {"priority": 2})
    short = {"day": "2026-02-01", "starts_at": "08:00", "duration": "PT15M", "priority": 1}
    await create(client, "/appointments", VISIT | short)
    found = await numbers(client, f"/appointments?{query}", "priority")
    assert (found if "sort" in query else sorted(found)) == expected


# --- Contacts: texts with a form ------------------------------------------------------------------


async def test_a_contact_hides_its_secret(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    contact = await create(client, "/contacts", CONTACT)
    shown: Body = {"door_code": "**********", "phone": "+49301234"}
    assert contact.items() >= (CONTACT | shown).items()
    assert await numbers(client, "/contacts?phone=%2B49301234", "id") == [contact["id"]]
    assert await numbers(client, "/contacts?email=ada@example.org", "id") == [contact["id"]]
    path = f"/contacts/{contact['id']}"
    change = {"website": None, "device_address": "192.0.2.9", "phone": "+49 30 5678"}
    changed = await client.patch(path, json=change)
    assert changed.json() == contact | change | {"phone": "+49305678"}


async def test_an_invalid_contact_is_rejected(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    await create(client, "/contacts", CONTACT)
    assert faults(await client.post("/contacts", json=CONTACT)) == (
        409,
        {("#/email", "not_unique")},
    )
    invalid: Body = {
        "email": "ada",
        "website": "ada",
        "device_address": "2001:db8::1",
        "proxy_address": "300.1.1.1",
        "phone": "1234",
    }
    status, errors = faults(await client.post("/contacts", json=CONTACT | invalid))
    assert (status, {pointer for pointer, _ in errors}) == (422, {f"#/{name}" for name in invalid})


# --- Wards: memberships with a key of two columns, and a view -------------------------------------


async def test_a_membership_has_the_path_of_both_keys(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    ward = await create(client, "/wards", {"name": "North"})
    member: Body = {"patient_number": "P-1", "ward_id": ward["id"], "since": "2026-01-31"}
    created = await client.post("/memberships", json=member)
    path = f"/memberships/P-1/{ward['id']}"
    assert (created.status_code, created.headers["location"]) == (201, path)
    assert created.json() == member | {"bed": None, "version": 1}

    assert (await client.patch(path, json={"bed": 4})).json()["bed"] == 4
    stale = await client.delete(path, headers={"if-match": '"1"'})
    assert stale.status_code == 412
    assert (await client.post("/memberships", json=member)).status_code == 409
    assert (await client.delete("/patients/P-1")).status_code == 409
    assert await numbers(client, f"/memberships?ward_id={ward['id']}", "patient_number") == ["P-1"]
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404
    missing = await client.post("/memberships", json=member | {"ward_id": 99})
    assert faults(missing) == (422, {("#/ward_id", "reference_not_found")})


async def test_the_view_counts_the_patients_of_wards(client: AsyncClient) -> None:
    await create(client, "/patients", ADA)
    wards = [await create(client, "/wards", {"name": name}) for name in ("North", "South")]
    member: Body = {"patient_number": "P-1", "ward_id": wards[1]["id"], "since": "2026-01-31"}
    assert (await client.post("/memberships", json=member)).status_code == 201

    rows = [wards[1] | {"patients": 1}, wards[0] | {"patients": 0}]
    assert (await client.get("/occupancy?sort=-patients")).json() == rows
    assert (await client.get("/occupancy?patients__gte=1")).json() == rows[:1]
    assert (await client.get(f"/occupancy/{wards[0]['id']}")).json() == rows[1]
    assert (await client.get("/occupancy/99")).status_code == 404
    path = f"/occupancy/{wards[0]['id']}"
    for method in ("PATCH", "PUT", "DELETE"):
        assert (await client.request(method, path, json={})).status_code == 405
    assert (await client.post("/occupancy", json={})).status_code == 405


# --- Staff: inheritance ---------------------------------------------------------------------------


async def test_doctors_and_nurses_share_keys_and_no_rows(client: AsyncClient) -> None:
    ward = await create(client, "/wards", {"name": "North"})
    doctor = await create(client, "/doctors", {"name": "Grace", "speciality": "Heart"})
    nurse = await create(client, "/nurses", {"name": "Florence", "ward_id": ward["id"]})
    assert doctor == {"id": 1, "kind": "doctor", "name": "Grace", "speciality": "Heart"}
    assert nurse == {"id": 2, "kind": "nurse", "name": "Florence", "ward_id": ward["id"]}

    assert (await client.get("/doctors")).json() == [doctor]
    assert (await client.get("/nurses")).json() == [nurse]
    assert (await client.get("/doctors/2")).status_code == 404
    assert (await client.delete("/nurses/1")).status_code == 404

    change = {"name": "Grace H.", "speciality": "Brain"}
    assert (await client.patch("/doctors/1", json=change)).json() == doctor | change
    assert (await client.delete("/doctors/1")).status_code == 204
    assert (await client.get("/doctors")).json() == []
    moved = await client.put("/nurses/2", json={"name": "Flo"})
    assert moved.json() == nurse | {"name": "Flo", "ward_id": None}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sort=name", ["Ann", "Eve"]),
        ("sort=speciality", ["Eve", "Ann"]),
        ("name__icontains=an", ["Ann"]),
        ("speciality=Brain", ["Eve"]),
    ],
)
async def test_doctors_are_filtered_and_sorted_by_both_tables(
    client: AsyncClient, query: str, expected: list[str]
) -> None:
    for name, speciality in (("Eve", "Brain"), ("Ann", "Heart")):
        await create(client, "/doctors", {"name": name, "speciality": speciality})
    assert await numbers(client, f"/doctors?{query}", "name") == expected


def test_page_shows_the_lines_of_code() -> None:
    shown, counted = shown_and_counted("clinic")
    assert shown == counted
    assert len(shown) == 2
