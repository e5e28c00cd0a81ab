"""An application of the tests whose changes are audited and published."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header
from sqlalchemy import ForeignKey, MetaData, Select, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship
from typing_extensions import override

from brickwork import (
    Audited,
    Database,
    Model,
    Published,
    ReadSchema,
    Resource,
    Schema,
    SoftDelete,
    Timestamped,
    crud_router,
    install,
)


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Patient(Base, Timestamped, Audited, Published):
    """A patient: the database makes the key, the pin is a secret, clients are not shown all."""

    __tablename__ = "patients"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20), unique=True)
    visits: Mapped[int] = mapped_column(server_default="0")
    pin: Mapped[str | None] = mapped_column(String(10), info={"audit": False})
    phone: Mapped[str | None] = mapped_column(String(20))
    notes: Mapped[str | None] = mapped_column(Text)
    ward: Mapped[str] = mapped_column(String(10), default="")
    meta: Mapped[dict[str, Any] | None]
    letters: Mapped[list["Letter"]] = relationship(
        cascade="all, delete-orphan", back_populates="patient"
    )


class Letter(Base, Audited, Published):
    """A letter to a patient; it goes when they go."""

    __tablename__ = "letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Text)
    patient_id: Mapped[int] = mapped_column(ForeignKey(Patient.id))
    patient: Mapped[Patient] = relationship(back_populates="letters")

    @override
    def published(self) -> dict[str, Any]:
        return {"patient_id": self.patient_id}


class Bed(Base, SoftDelete, Audited):
    """A bed, which is marked as deleted and not removed."""

    __tablename__ = "beds"

    code: Mapped[str] = mapped_column(String(10), primary_key=True)
    width: Mapped[int] = mapped_column(default=90)


class Room(Base):
    """A room: nobody writes down what becomes of it."""

    __tablename__ = "rooms"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(20))


class PatientCreate(Schema):
    name: str
    pin: str | None = None
    phone: str | None = None
    meta: dict[str, Any] | None = None


class PatientUpdate(PatientCreate, partial=True): ...


class PatientRead(ReadSchema):
    id: int
    name: str
    visits: int
    meta: dict[str, Any] | None
    updated_at: datetime


class BedCreate(Schema):
    code: str
    width: int = 90


class BedUpdate(BedCreate, partial=True): ...


class BedRead(ReadSchema):
    code: str
    width: int


class RoomCreate(Schema):
    name: str


class RoomUpdate(RoomCreate, partial=True): ...


class RoomRead(ReadSchema):
    id: int
    name: str


def current_user(user: Annotated[str, Header()] = "") -> str:
    """Return who is asking: a name, and behind a stroke the ward they work in."""
    return user


class Patients(Resource[Patient]):
    """The patients of the ward of whoever asks."""

    user: Annotated[str, Depends(current_user)]

    @override
    def actor(self) -> str | None:
        return self.user.partition("/")[0] or None

    @property
    def ward(self) -> str:
        """The ward they work in."""
        return self.user.partition("/")[2]

    @override
    def query(self) -> Select[Patient]:
        return super().query().where(Patient.ward == self.ward)

    @override
    async def create(self, row: Patient, /) -> None:
        row.ward, row.notes = self.ward, "new"
        await super().create(row)


class Beds(Resource[Bed]): ...


class Rooms(Resource[Room]): ...


patients = crud_router(
    "/patients", Patients, read=PatientRead, create=PatientCreate, update=PatientUpdate
)
beds = crud_router("/beds", Beds, read=BedRead, create=BedCreate, update=BedUpdate)
rooms = crud_router("/rooms", Rooms, read=RoomRead, create=RoomCreate, update=RoomUpdate)


@patients.post("/{id}/visit", response_model=PatientRead)
async def visit(id: str, rows: Annotated[Patients, Depends()]) -> Patient:  # noqa: A002
    """Count a visit where the rows are."""
    patient = await rows.get(id)
    patient.visits = Patient.visits + 1
    await rows.session.flush()
    await rows.session.refresh(patient)
    return patient


class Clinic(Database):
    """A database with the tables of the clinic."""

    @override
    @asynccontextmanager
    async def lifespan(self, _: object, /) -> AsyncGenerator[Mapping[str, Any]]:
        async with self.writer.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        async with super().lifespan(_) as state:
            yield state


def create_app(url: str) -> FastAPI:
    """Return the clinic over the database at *url*."""
    app = FastAPI(lifespan=Clinic(url).lifespan)
    install(app)
    for router in (patients, beds, rooms):
        app.include_router(router)
    return app
