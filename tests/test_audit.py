"""Every change is told of: who made it, when, and from what to what; nothing else is."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import (
    JSON,
    DateTime,
    Float,
    ForeignKey,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Uuid,
    delete,
    func,
    inspect,
    select,
)
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    Mapped,
    column_property,
    declared_attr,
    defer,
    load_only,
    mapped_column,
    relationship,
)
from typing_extensions import override

from brickwork import (
    Audited,
    AuditEntry,
    Conflict,
    Database,
    ListQuery,
    Model,
    Page,
    Session,
    Unavailable,
    Versioned,
    audit_entries,
    crud_router,
    install,
)
from tests.support import clinic
from tests.support.calls import calling
from tests.support.clinic import Clinic, Letter, Patient, Patients
from tests.support.recording import statements

pytestmark = pytest.mark.anyio

ANN = {"user": "ann/a", "X-Request-Id": "r-1"}
BEN = {"user": "ben/b"}
BOB = {"name": "Bob", "pin": "1234"}


@pytest.fixture
async def client(empty_url: str) -> AsyncGenerator[AsyncClient]:
    async with calling(clinic.create_app(empty_url)) as client:
        yield client


@pytest.fixture
async def database(empty_url: str) -> AsyncGenerator[Database]:
    database = Clinic(empty_url)
    async with database.lifespan(None):
        yield database


async def all_entries(database: Database) -> list[AuditEntry]:
    """Return all entries there are, the oldest first."""
    async with database.session(readonly=True) as session:
        return [*await session.scalars(select(AuditEntry).order_by(AuditEntry.id))]


async def history(client: AsyncClient, path: str, **headers: str) -> list[dict[str, Any]]:
    response = await client.get(f"{path}/history", headers=ANN | headers)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()
    return found


async def admitted(client: AsyncClient) -> str:
    response = await client.post("/patients", json=BOB, headers=ANN)
    assert response.status_code == 201, response.text
    return response.headers["location"]


def fields(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what changed, less the instant, which always does."""
    return {name: value for name, value in entry["changes"].items() if name != "updated_at"}


# -- through HTTP


async def test_an_entry_says_who_did_what_when_and_in_which_request(client: AsyncClient) -> None:
    begun = datetime.now(UTC)
    path = await admitted(client)

    (entry,) = await history(client, path)

    assert UUID(entry.pop("id")).version == 7
    assert begun <= datetime.fromisoformat(entry.pop("created_at")) <= datetime.now(UTC)
    assert fields(entry) == {
        "id": {"after": 1},  # the database made it
        "name": {"after": "Bob"},
        "visits": {"after": 0},  # and this
        "pin": {},
        "phone": {},  # which a client writes and is not shown
        "meta": {"after": None},
    }
    del entry["changes"]
    assert entry == {"action": "create", "actor": "ann", "request_id": "r-1"}


async def test_a_request_without_an_id_of_its_own_is_told_by_the_one_it_was_given(
    client: AsyncClient,
) -> None:
    path = await admitted(client)
    answer = await client.patch(path, json={"name": "Rob"}, headers={"user": "/a"})

    latest, _ = await history(client, path)

    assert latest["request_id"] == answer.headers["x-request-id"]
    assert latest["actor"] is None


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("PATCH", "", {"name": "Rob"}, {"name": {"before": "Bob", "after": "Rob"}}),
        ("PUT", "", {"name": "Rob"}, {"name": {"before": "Bob", "after": "Rob"}, "pin": {}}),
        ("PATCH", "", {"pin": "0000"}, {"pin": {}}),
        ("PATCH", "", {"phone": "5"}, {"phone": {}}),
        ("PATCH", "", {"meta": {"a": 1}}, {"meta": {"before": None, "after": {"a": 1}}}),
        ("POST", "/visit", None, {"visits": {"before": 0, "after": 1}}),
    ],
)
async def test_an_update_tells_what_each_changed_field_was_and_is(
    client: AsyncClient, method: str, path: str, body: object, told: object
) -> None:
    patient = await admitted(client)
    answer = await client.request(method, patient + path, json=body, headers=ANN)
    assert answer.status_code == 200, answer.text

    latest, first = await history(client, patient)

    assert (latest["action"], latest["actor"], fields(latest)) == ("update", "ann", told)
    assert latest["changes"]["updated_at"] == {
        "before": first["changes"]["updated_at"]["after"],
        "after": answer.json()["updated_at"],
    }


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PATCH", "/patients/1", {"name": "Bob"}, 200),
        ("PATCH", "/patients/1", {}, 200),
        ("PATCH", "/patients/1", {"name": "Eve"}, 409),  # the name is taken
        ("POST", "/patients", {"name": "Eve"}, 409),
        ("PATCH", "/patients/1", {"name": 5}, 422),
        ("DELETE", "/patients/9", None, 404),
        ("POST", "/rooms", {"name": "West"}, 201),  # which is not audited
    ],
)
async def test_what_changes_nothing_leaves_no_entry(
    empty_url: str, method: str, path: str, body: object, status: int
) -> None:
    async with calling(clinic.create_app(empty_url)) as client:
        await admitted(client)
        await client.post("/patients", json={"name": "Eve"}, headers=ANN)
        answer = await client.request(method, path, json=body, headers=ANN)
        assert answer.status_code == status, answer.text

    database = Database(empty_url)
    async with database.lifespan(None):
        assert [each.action for each in await all_entries(database)] == ["create", "create"]


async def test_a_request_that_fails_after_it_wrote_leaves_no_entry(empty_url: str) -> None:
    app = clinic.create_app(empty_url)

    @app.post("/refuse")
    async def refuse(session: Session) -> None:
        session.add(Patient(name="Bob"))
        await session.flush()
        raise Conflict("Not today.")

    async with calling(app) as client:
        assert (await client.post("/refuse")).status_code == 409

    database = Database(empty_url)
    async with database.lifespan(None):
        assert await all_entries(database) == []


async def test_a_batch_is_told_of_row_by_row_or_not_at_all(client: AsyncClient) -> None:
    rows = [{"name": each} for each in "abc"]
    with statements() as sent:
        answer = await client.post("/patients/batch", json=rows, headers=ANN)
    assert answer.status_code == 201, answer.text
    refused = await client.post("/patients/batch", json=[{"name": "d"}, *rows], headers=ANN)
    assert refused.status_code == 409, refused.text

    assert len([each for each in sent if "INSERT INTO audit_entries" in each]) == 1
    for each in answer.json():
        (entry,) = await history(client, f"/patients/{each['id']}")
        assert (fields(entry)["name"], entry["actor"]) == ({"after": each["name"]}, "ann")


async def test_a_row_that_a_client_cannot_see_has_no_history(client: AsyncClient) -> None:
    path = await admitted(client)

    for address, headers in (
        (path, BEN),  # who works in another ward
        ("/patients/9", ANN),
        ("/patients/x", ANN),
    ):
        answer = await client.get(f"{address}/history", headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not_found")
    assert (await client.delete(path, headers=ANN)).status_code == 204
    assert (await client.get(f"{path}/history", headers=ANN)).status_code == 404


async def test_a_deleted_row_has_a_history_for_those_who_may_see_it(client: AsyncClient) -> None:
    await client.post("/beds", json={"code": "a"})
    assert (await client.delete("/beds/a")).status_code == 204

    assert (await client.get("/beds/a/history")).status_code == 404
    answer = await client.get("/beds/a/history?deleted=include")

    assert [each["action"] for each in answer.json()] == ["update", "create"]
    assert answer.json()[0]["changes"].keys() == {"deleted_at"}
    assert answer.json()[0]["changes"]["deleted_at"]["before"] is None


async def test_a_history_is_paged_as_a_list_is(client: AsyncClient) -> None:
    path = await admitted(client)
    for name in ("B", "C", "D", "E"):
        await client.patch(path, json={"name": name}, headers=ANN)

    seen: list[str] = []
    url: str | None = f"{path}/history?limit=2&count=exact"
    while url:
        answer = await client.get(url, headers=ANN)
        assert answer.headers["x-total-count"] == "5"
        seen += [each["changes"]["name"]["after"] for each in answer.json()]
        url = {link["rel"]: link["url"] for link in answer.links.values()}.get("next")

    assert seen == ["E", "D", "C", "B", "Bob"]
    assert (await client.head(f"{path}/history", headers=ANN)).status_code == 200
    other = await client.get(f"{path}/history?limit=0&colour=red", headers=ANN)
    assert {each["parameter"] for each in other.json()["errors"]} == {"limit", "colour"}


async def test_a_cursor_is_good_for_the_history_of_one_row(client: AsyncClient) -> None:
    path = await admitted(client)
    await client.patch(path, json={"name": "B"}, headers=ANN)
    other = (await client.post("/patients", json=BOB, headers=ANN)).headers["location"]
    answer = await client.get(f"{path}/history?limit=1", headers=ANN)

    moved = answer.links["next"]["url"].replace(path, other)

    assert (await client.get(moved, headers=ANN)).json()["type"] == "/problems/invalid_cursor"


async def test_only_what_is_audited_has_a_history_and_openapi_says_so(client: AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()

    histories = [path for path in document["paths"] if path.endswith("history")]
    assert histories == ["/patients/{id}/history", "/beds/{id}/history"]
    (operation,) = document["paths"][histories[0]].values()
    assert operation["operationId"] == "patients_history"
    assert operation["responses"].keys() >= {"200", "404", "422", "503"}
    reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["items"]
    assert reference == {"$ref": "#/components/schemas/AuditEntryRead"}
    shown = document["components"]["schemas"]["AuditEntryRead"]["properties"]
    assert shown["action"]["enum"] == ["create", "update", "delete"]
    changes = shown["changes"]["additionalProperties"]
    assert changes["propertyNames"] == {"enum": ["before", "after"]}
    assert (await client.get("/rooms/1/history")).status_code == 404


async def test_a_history_may_be_left_out_and_refused(empty_url: str) -> None:
    class Discreet(Patients):
        @override
        async def history(self, key: object, at: ListQuery[AuditEntry], /) -> Page[AuditEntry]:
            if self.user.startswith("ann"):
                raise Conflict("Not you.")
            return await super().history(key, at)

    shapes: dict[str, Any] = {
        "read": clinic.PatientRead,
        "create": clinic.PatientCreate,
        "update": clinic.PatientUpdate,
    }
    app = FastAPI(lifespan=Clinic(empty_url).lifespan)
    install(app)
    app.include_router(crud_router("/patients", Discreet, **shapes))
    app.include_router(crud_router("/silent", Patients, **shapes, omit={"history"}))
    async with calling(app) as client:
        path = await admitted(client)
        assert (await client.get(f"{path}/history", headers=ANN)).status_code == 409
        assert len(await history(client, path, user="eve/a")) == 1
        assert (await client.get("/silent/1/history", headers=ANN)).status_code == 404


# -- in a script


async def test_a_script_says_itself_who_it_is(database: Database) -> None:
    async with database.session() as session:
        session.info["actor"] = "import"
        session.add(Patient(name="Bob"))
    async with database.session() as session:
        session.add(Patient(name="Eve"))
    async with database.session() as session:
        await Patients(session=session, user="ann").create(Patient(name="Max"))

    found = [(each.actor, each.request_id) for each in await all_entries(database)]
    assert found == [("import", None), (None, None), ("ann", None)]


async def test_all_entries_of_a_flush_are_one_statement(database: Database) -> None:
    async with database.session() as session:
        session.add_all([Patient(name=str(each)) for each in range(50)])
        with statements() as sent:
            await session.flush()

    assert [each.split()[2] for each in sent].count("audit_entries") == 1
    assert all(each.startswith("INSERT") for each in sent)
    found = await all_entries(database)
    assert [each.changes["name"]["after"] for each in found] == [*map(str, range(50))]
    assert [each.row_key for each in found] == [str(each + 1) for each in range(50)]


async def test_entries_outlive_their_row(database: Database) -> None:
    async with database.session() as session:
        session.add(patient := Patient(name="Bob", pin="1234"))
        await session.flush()
        await session.delete(patient)
    async with database.session(readonly=True) as session:
        created, deleted = await session.scalars(audit_entries(Patient, 1).order_by(AuditEntry.id))

    assert (created.action, deleted.action) == ("create", "delete")
    assert created.changes.keys() == deleted.changes.keys() == set(inspect(Patient).columns.keys())
    assert deleted.changes["name"] == {"before": "Bob"}
    assert created.changes["pin"] == deleted.changes["pin"] == {}


async def test_what_goes_with_a_row_is_told_too(database: Database) -> None:
    async with database.session() as session:
        first, second = Letter(text="a"), Letter(text="b")
        session.add(patient := Patient(name="Bob", letters=[first, second]))
        await session.flush()
        patient.letters.remove(first)  # which leaves it without a patient
        await session.flush()
        await session.delete(patient)

    told = await all_entries(database)
    assert told[1].changes["patient_id"] == {"after": 1}
    found = [(each.table_name, each.row_key, each.action) for each in told]
    assert found == [
        ("patients", "1", "create"),
        ("letters", "1", "create"),
        ("letters", "2", "create"),
        ("letters", "1", "delete"),
        ("letters", "2", "delete"),
        ("patients", "1", "delete"),
    ]


async def load_part(session: AsyncSession) -> Patient:
    loaded = select(Patient).options(load_only(Patient.ward))
    return (await session.scalars(loaded)).one()


async def load_none_of_it(session: AsyncSession) -> Patient:
    loaded = select(Patient).options(defer(Patient.name, raiseload=True))
    return (await session.scalars(loaded)).one()


async def load_and_expire(session: AsyncSession) -> Patient:
    patient = (await session.scalars(select(Patient))).one()
    session.expire(patient)
    await session.run_sync(lambda _: patient.id)
    session.expire(patient, ["name"])
    return patient


@pytest.mark.parametrize("load", [load_part, load_none_of_it, load_and_expire])
async def test_what_was_not_loaded_is_told_as_well(
    database: Database, load: Callable[[AsyncSession], Awaitable[Patient]]
) -> None:
    async with database.session() as session:
        session.add(Patient(name="Bob", notes="new"))
    async with database.session() as session:
        patient = await load(session)
        patient.name = "Rob"
    async with database.session() as session:
        await session.delete(await load(session))

    _, update, removal = await all_entries(database)
    assert update.changes["name"] == {"before": "Bob", "after": "Rob"}
    assert update.changes.keys() == {"name", "updated_at"}
    assert update.changes["updated_at"].keys() == {"before", "after"}
    assert removal.changes.keys() == set(inspect(Patient).columns.keys())
    assert removal.changes["name"] == {"before": "Rob"}
    assert removal.changes["notes"] == {"before": "new"}


async def test_a_row_that_takes_the_place_of_a_deleted_one_is_told_as_it_is(
    database: Database,
) -> None:
    async with database.session() as session:
        session.add(Patient(id=5, name="Bob", phone="1", notes="old"))
    async with database.session() as session:
        await session.delete(await session.get_one(Patient, 5))
        session.add(patient := Patient(id=5, name="Eve", phone=None))
        await session.flush()
        await session.refresh(patient)
        assert patient.notes == "old"  # as SQLAlchemy has it

    _, entry = await all_entries(database)
    del entry.changes["updated_at"]
    assert (entry.action, entry.row_key) == ("update", "5")
    assert entry.changes == {
        "name": {"before": "Bob", "after": "Eve"},
        "phone": {"before": "1", "after": None},
    }


async def test_a_value_that_the_database_computes_is_told_as_it_is(database: Database) -> None:
    async with database.session() as session:
        session.add(patient := Patient(name=func.upper("bob")))
        await session.flush()
        patient.visits = Patient.visits + 2
        await session.flush()
        patient.visits, patient.notes = Patient.visits * 5, None
        await session.flush()

    created, *updates = await all_entries(database)
    assert created.changes["name"] == {"after": "BOB"}
    assert [each.changes["visits"] for each in updates] == [
        {"before": 0, "after": 2},
        {"before": 2, "after": 10},
    ]
    assert all(each.changes.keys() == {"visits", "updated_at"} for each in updates)


async def test_a_flush_that_failed_and_a_savepoint_that_was_undone_leave_no_entry(
    database: Database,
) -> None:
    async with database.session() as session:
        session.add(Patient(name="Bob"))
        await session.flush()
        savepoint = await session.begin_nested()
        session.add(Patient(name="Eve"))
        await session.flush()
        await savepoint.rollback()
        with pytest.raises(Exception, match=r"(?i)unique"):
            async with session.begin_nested():
                session.add_all([Patient(name="Max"), Patient(name="Bob")])
        session.add(Letter(text="a", patient_id=1))

    assert [(each.table_name, each.action) for each in await all_entries(database)] == [
        ("patients", "create"),
        ("letters", "create"),
    ]


async def test_the_entries_of_a_row_are_in_the_order_of_its_changes(database: Database) -> None:
    async def count() -> None:
        async with database.session() as session:
            patient = (await session.scalars(select(Patient).with_for_update())).one()
            patient.visits += 1

    async with database.session() as session:
        session.add(Patient(name="Bob", visits=0))
    await asyncio.gather(*(count() for _ in range(30)))

    _, *updates = await all_entries(database)
    told = [(each.changes["visits"]["before"], each.changes["visits"]["after"]) for each in updates]
    assert told == [(each, each + 1) for each in range(30)]


async def test_a_statement_on_many_rows_is_not_seen(database: Database) -> None:
    async with database.session() as session:
        session.add(Patient(name="Bob"))
        await session.flush()
        await session.execute(delete(Patient))

    assert [each.action for each in await all_entries(database)] == ["create"]


# -- odd models


class Odd(Model):
    """The base of models that a table of a library has to cope with."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Tracked(Audited):
    """A mixin of an application, over ours."""


class Person(Odd, Tracked):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))

    @declared_attr.directive
    @classmethod
    @override
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Doctor(Person):
    __tablename__ = "doctors"
    id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
    title: Mapped[str] = mapped_column(String(10), deferred=True)
    area: Mapped[str | None] = mapped_column(String(10))
    initial = column_property(func.substr(title, 1, 1))

    @declared_attr.directive
    @classmethod
    @override
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"polymorphic_identity": "doctor"}


class Dose(Odd, Tracked):
    __tablename__ = "doses"
    drug: Mapped[str] = mapped_column(String(10), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    grams: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    purity: Mapped[float | None] = mapped_column(Float)
    label: Mapped[bytes | None] = mapped_column(LargeBinary)
    batch: Mapped[UUID | None] = mapped_column(Uuid)
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    facts: Mapped[Any] = mapped_column(JSON, nullable=True)


class Chart(Odd, Versioned, Tracked):
    __tablename__ = "charts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(10))
    next_id: Mapped[int | None] = mapped_column(ForeignKey("charts.id"))
    next: Mapped["Chart | None"] = relationship(remote_side="Chart.id", post_update=True)


@pytest.fixture
async def odd(empty_url: str) -> AsyncGenerator[Database]:
    database = Database(empty_url)
    async with database.lifespan(None):
        async with database.writer.begin() as connection:
            await connection.run_sync(Odd.metadata.create_all)
        yield database


async def test_a_row_of_two_tables_is_one_row(odd: Database) -> None:
    async with odd.session() as session:
        session.add(Doctor(title="Dr."))
    async with odd.session() as session:
        (await session.scalars(select(Doctor))).one().title = "Prof."
    async with odd.session(readonly=True) as session:
        created, updated = await session.scalars(audit_entries(Doctor, 1).order_by(AuditEntry.id))

    assert created.table_name == "people"
    assert created.changes == {
        "id": {"after": 1},
        "kind": {"after": "doctor"},
        "title": {"after": "Dr."},
        "area": {"after": None},
    }
    assert updated.changes == {"title": {"before": "Dr.", "after": "Prof."}}


async def test_a_key_of_several_columns_is_told_as_an_array(odd: Database) -> None:
    async with odd.session() as session:
        session.add(Dose(drug="A", day=date(2026, 1, 2)))
    async with odd.session(readonly=True) as session:
        (entry,) = await session.scalars(audit_entries(Dose, "A", date(2026, 1, 2)))

    assert entry.row_key == '["A","2026-01-02"]'
    assert entry.changes["facts"] == entry.changes["label"] == {"after": None}


async def test_an_update_asks_for_nothing_that_it_can_know(odd: Database) -> None:
    async with odd.session() as session:
        session.add(Dose(drug="A", day=date(2026, 1, 2), label=b"a", purity=0.5))
    async with odd.session() as session:
        dose = (await session.scalars(select(Dose).options(defer(Dose.label)))).one()
        dose.purity = 1.0
        with statements() as sent:
            await session.flush()

    assert [each.split()[0] for each in sent] == ["UPDATE", "INSERT"]
    _, entry = await all_entries(odd)
    assert entry.changes == {"purity": {"before": 0.5, "after": 1.0}}


async def test_a_version_that_is_counted_is_told(odd: Database) -> None:
    async with odd.session() as session:
        session.add(chart := Chart())
        await session.flush()
        chart.title = "new"

    created, updated = await all_entries(odd)
    assert created.changes["version"] == {"after": 1}
    assert updated.changes == {
        "title": {"before": None, "after": "new"},
        "version": {"before": 1, "after": 2},
    }


async def test_rows_that_refer_to_each_other_are_told_as_they_end(odd: Database) -> None:
    async with odd.session() as session:
        one, other = Chart(), Chart()
        one.next, other.next = other, one
        session.add_all([one, other])

    found = await all_entries(odd)
    assert {(each.row_key, each.changes["next_id"]["after"]) for each in found} == {
        ("1", 2),
        ("2", 1),
    }


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("grams", Decimal("0.50"), "0.50"),
        ("purity", float("inf"), "Infinity"),
        ("label", b"\xff\x00", "_wA="),
        ("batch", UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("until", datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        ("facts", {"when": [1, None]}, {"when": [1, None]}),
    ],
)
async def test_a_value_that_json_does_not_know_is_told_as_text(
    odd: Database, column: str, value: object, told: object
) -> None:
    async with odd.session() as session:
        session.add(Dose(drug="A", day=date(2026, 1, 2), **{column: value}))

    (entry,) = await all_entries(odd)
    assert entry.changes[column] == {"after": told}


async def test_a_row_that_somebody_else_removed_is_no_crash(odd: Database) -> None:
    async with odd.session() as session:
        session.add(Dose(drug="A", day=date(2026, 1, 2)))

    async def change() -> None:
        async with odd.session() as session:
            loaded = select(Dose).options(load_only(Dose.drug))
            dose = (await session.scalars(loaded)).one()
            await session.execute(delete(Dose), execution_options={"synchronize_session": False})
            dose.purity = 0.5

    with pytest.raises(Unavailable, match="changing the same rows"):
        await change()
    assert [each.action for each in await all_entries(odd)] == ["create"]


def test_the_table_is_made_for_those_alone_who_ask_for_it() -> None:
    class Plain(Model):
        __abstract__ = True
        metadata = MetaData()

    class Stone(Plain):
        __tablename__ = "stones"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert Plain.metadata.tables.keys() == {Stone.__tablename__}
    assert "audit_entries" not in Model.metadata.tables
    assert Odd.metadata.tables.keys() == {
        "people",
        "doctors",
        "doses",
        "charts",
        "audit_entries",
    }
    assert [each.name for each in Odd.metadata.tables["audit_entries"].indexes] == [
        "ix_audit_entries_table_name_row_key_id"
    ]
