"""The schemas of requests and responses."""

from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Ge, Len
from pydantic import ConfigDict, EmailStr, HttpUrl, IPvAnyAddress, SecretStr, StringConstraints
from pydantic.alias_generators import to_camel

from brickwork import Filter, ListQuery, Operators, ReadSchema, Schema, SortBy

from .models import (
    Appointment,
    Contact,
    Doctor,
    Nurse,
    Occupancy,
    Patient,
    Priority,
    Ward,
    WardMembership,
)

CAMEL = ConfigDict(alias_generator=to_camel)

Name = Annotated[str, Len(1, 100)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[0-9 ]{5,15}$")]


class PatientCreate(Schema):
    """A new patient."""

    model_config = CAMEL

    number: str
    first_name: Name
    last_name: Name
    born_on: date
    insurance_number: str | None = None


class PatientUpdate(PatientCreate, partial=True):
    """Changes to a patient."""


class PatientRead(ReadSchema):
    """A patient in a response."""

    model_config = CAMEL

    number: str
    first_name: str
    last_name: str
    full_name: str
    born_on: date
    insurance_number: str | None
    appointment_count: int
    version: int


class PatientQuery(ListQuery[Patient]):
    """The parameters of the patients."""

    model_config = CAMEL

    full_name: Filter[str] = None
    born_on: Filter[date] = None
    appointment_count: Annotated[Filter[int], Operators("eq", "gte")] = None
    sort: SortBy[Literal["last_name", "born_on", "appointment_count"]] = None


class Vitals(Schema):
    """Measurements of a nurse."""

    pulse: Annotated[int, Ge(1)] | None = None
    temperature: float | None = None


class Intake(Schema):
    """The reason of an appointment."""

    reason: Annotated[str, Len(1, 200)]
    vitals: Vitals = Vitals()


class AppointmentCreate(Schema):
    """A new appointment."""

    patient_number: str
    day: date
    starts_at: time
    duration: timedelta
    priority: Priority = Priority.ROUTINE
    tags: list[str] = []  # noqa: RUF012 — Pydantic copies it
    intake: Intake


class AppointmentUpdate(AppointmentCreate, partial=True):
    """Changes to an appointment."""


class AppointmentRead(ReadSchema):
    """An appointment in a response."""

    id: UUID
    patient_number: str
    day: date
    starts_at: time
    duration: timedelta
    ends_at: time
    priority: Priority
    tags: list[str]
    intake: Intake
    booked_at: datetime
    version: int


class AppointmentQuery(ListQuery[Appointment]):
    """The parameters of the appointments."""

    patient_number: str | None = None
    day: Filter[date] = None
    starts_at: Filter[time] = None
    ends_at: Filter[time] = None
    duration: Filter[timedelta] = None
    priority: Filter[Priority] = None
    booked_at: Annotated[Filter[datetime], Operators("gte", "lt")] = None
    sort: SortBy[Literal["day", "starts_at", "ends_at", "duration", "priority", "booked_at"]] = None


class ContactCreate(Schema):
    """A new contact."""

    patient_number: str
    email: EmailStr
    website: HttpUrl | None = None
    device_address: IPv4Address | None = None
    proxy_address: IPvAnyAddress | None = None
    door_code: SecretStr | None = None
    phone: Phone | None = None


class ContactUpdate(ContactCreate, partial=True):
    """Changes to a contact."""


class ContactRead(ReadSchema):
    """A contact in a response."""

    id: UUID
    patient_number: str
    email: EmailStr
    website: HttpUrl | None
    device_address: IPv4Address | None
    proxy_address: IPvAnyAddress | None
    door_code: SecretStr | None
    phone: str | None


class ContactQuery(ListQuery[Contact]):
    """The parameters of the contacts."""

    patient_number: str | None = None
    email: str | None = None
    phone: str | None = None


class WardCreate(Schema):
    """A new ward."""

    name: Annotated[str, Len(1, 50)]


class WardUpdate(WardCreate, partial=True):
    """Changes to a ward."""


class WardRead(ReadSchema):
    """A ward in a response."""

    id: int
    name: str


class WardQuery(ListQuery[Ward]):
    """The parameters of the wards."""

    sort: SortBy[Literal["name"]] = None


class MembershipCreate(Schema):
    """A patient who comes into a ward."""

    patient_number: str
    ward_id: int
    since: date
    bed: Annotated[int, Ge(1)] | None = None


class MembershipUpdate(MembershipCreate, partial=True):
    """Changes to a patient in a ward."""


class MembershipRead(ReadSchema):
    """A patient in a ward, in a response."""

    patient_number: str
    ward_id: int
    since: date
    bed: int | None
    version: int


class MembershipQuery(ListQuery[WardMembership]):
    """The parameters of the memberships."""

    ward_id: Filter[int] = None
    since: Filter[date] = None
    sort: SortBy[Literal["since", "bed"]] = None


class DoctorCreate(Schema):
    """A new doctor."""

    name: Name
    speciality: Annotated[str, Len(1, 50)]


class DoctorUpdate(DoctorCreate, partial=True):
    """Changes to a doctor."""


class DoctorRead(ReadSchema):
    """A doctor in a response."""

    id: int
    kind: Literal["doctor"]
    name: str
    speciality: str


class DoctorQuery(ListQuery[Doctor]):
    """The parameters of the doctors."""

    name__icontains: str | None = None
    speciality: str | None = None
    sort: SortBy[Literal["name", "speciality"]] = None


class NurseCreate(Schema):
    """A new nurse."""

    name: Name
    ward_id: int | None = None


class NurseUpdate(NurseCreate, partial=True):
    """Changes to a nurse."""


class NurseRead(ReadSchema):
    """A nurse in a response."""

    id: int
    kind: Literal["nurse"]
    name: str
    ward_id: int | None


class NurseQuery(ListQuery[Nurse]):
    """The parameters of the nurses."""

    name__icontains: str | None = None
    ward_id: int | None = None
    sort: SortBy[Literal["name"]] = None


class OccupancyRead(ReadSchema):
    """A ward with its number of patients."""

    id: int
    name: str
    patients: int


class OccupancyQuery(ListQuery[Occupancy]):
    """The parameters of the view."""

    patients: Filter[int] = None
    sort: SortBy[Literal["name", "patients"]] = None
