"""The models."""

import re
from datetime import date, datetime, time, timedelta
from enum import IntEnum
from typing import Any, Literal

from sqlalchemy import (
    ARRAY,
    JSON,
    Computed,
    CreateView,
    ForeignKey,
    Integer,
    Interval,
    MetaData,
    String,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, column_property, mapped_column
from sqlalchemy.sql.functions import FunctionElement

from brickwork import Entity, Model, UTCDateTime, Versioned


class Priority(IntEnum):
    """The priority of an appointment."""

    ROUTINE = 1
    SOON = 2
    URGENT = 3


class end_of_appointment(FunctionElement[time]):  # noqa: N801 — a function of SQL
    """The end of an appointment, as each database computes it."""

    inherit_cache = True


@compiles(end_of_appointment, "postgresql")
def _add_interval(*_: Any, **__: Any) -> str:
    return "starts_at + duration"


@compiles(end_of_appointment, "sqlite")
def _add_text(*_: Any, **__: Any) -> str:
    end = "strftime('%H:%M:%f', starts_at, '+' || strftime('%H:%M:%f', duration))"
    return end + " || '000'"  # a duration is a time since 1970 there, and a time has six digits


class Base(Model):
    """Base of the models, with its own tables."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Appointment(Base, Entity, Versioned):
    """A patient's appointment."""

    __tablename__ = "appointments"

    patient_number: Mapped[str] = mapped_column(ForeignKey("patients.number"), index=True)
    day: Mapped[date]
    starts_at: Mapped[time]
    duration: Mapped[timedelta] = mapped_column(Interval)
    ends_at: Mapped[time] = mapped_column(Computed(end_of_appointment(), persisted=True))
    priority: Mapped[int] = mapped_column(Integer, default=Priority.ROUTINE)
    tags: Mapped[list[str]] = mapped_column(ARRAY(String(10)).with_variant(JSON(), "sqlite"))
    intake: Mapped[dict[str, Any]] = mapped_column(JSONB().with_variant(JSON(), "sqlite"))
    booked_at: Mapped[datetime] = mapped_column(UTCDateTime, server_default=func.now())


class Patient(Base, Versioned):
    """A patient, under a number that the clinic gives."""

    __tablename__ = "patients"

    number: Mapped[str] = mapped_column(String(20), primary_key=True)
    first_name: Mapped[str] = mapped_column(String(100))
    last_name: Mapped[str] = mapped_column(String(100))
    born_on: Mapped[date]
    insurance_number: Mapped[str | None] = mapped_column(String(20), unique=True)
    appointment_count: Mapped[int] = column_property(
        select(func.count(Appointment.id))
        .where(Appointment.patient_number == number)
        .correlate_except(Appointment)
        .scalar_subquery()
    )

    @hybrid_property
    def full_name(self) -> str:
        """Return the first and the last name."""
        return self.first_name + " " + self.last_name


class Contact(Base, Entity):
    """The addresses of a patient."""

    __tablename__ = "contacts"

    patient_number: Mapped[str] = mapped_column(ForeignKey(Patient.number), index=True)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    website: Mapped[str | None] = mapped_column(String(200))
    device_address: Mapped[str | None] = mapped_column(String(15))
    proxy_address: Mapped[str | None] = mapped_column(String(45))
    door_code: Mapped[str | None] = mapped_column(String(20))
    phone_digits: Mapped[str | None] = mapped_column(String(15))

    @hybrid_property
    def phone(self) -> str | None:
        """Return the number, without the spaces that a client sent."""
        return None if self.phone_digits is None else "+" + self.phone_digits

    @phone.inplace.setter
    def _set_phone(self, number: str | None) -> None:
        self.phone_digits = None if number is None else re.sub(r"\D", "", number)


class Ward(Base):
    """A ward, with a number of its own."""

    __tablename__ = "wards"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(50), unique=True)


class WardMembership(Base, Versioned):
    """A patient in a ward."""

    __tablename__ = "memberships"

    patient_number: Mapped[str] = mapped_column(ForeignKey(Patient.number), primary_key=True)
    ward_id: Mapped[int] = mapped_column(ForeignKey(Ward.id), primary_key=True)
    since: Mapped[date]
    bed: Mapped[int | None]


class Staff(Base):
    """Someone who works here."""

    __tablename__ = "staff"
    __mapper_args__ = {"polymorphic_on": "kind", "polymorphic_abstract": True}  # noqa: RUF012

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[Literal["doctor", "nurse"]] = mapped_column(String(6))
    name: Mapped[str] = mapped_column(String(100))


class Doctor(Staff):
    """A doctor, with a table of its own (joined-table inheritance)."""

    __tablename__ = "doctors"
    __mapper_args__ = {"polymorphic_identity": "doctor"}  # noqa: RUF012

    id: Mapped[int] = mapped_column(ForeignKey(Staff.id), primary_key=True)
    speciality: Mapped[str] = mapped_column(String(50))


class Nurse(Staff):
    """A nurse, in the table of the staff (single-table inheritance)."""

    __mapper_args__ = {"polymorphic_identity": "nurse"}  # noqa: RUF012

    ward_id: Mapped[int | None] = mapped_column(ForeignKey(Ward.id))


_occupancy = CreateView(
    select(Ward.id, Ward.name, func.count(WardMembership.patient_number).label("patients"))
    .outerjoin(WardMembership, WardMembership.ward_id == Ward.id)
    .group_by(Ward.id, Ward.name),
    "occupancy",
    metadata=Base.metadata,
)


class Occupancy(Base):
    """A ward with its number of patients. It is a view."""

    __table__ = _occupancy.table
    __mapper_args__ = {"primary_key": [_occupancy.table.c.id]}  # noqa: RUF012

    id: Mapped[int]
    name: Mapped[str]
    patients: Mapped[int]
