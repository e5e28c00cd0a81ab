"""The schemas of requests and responses."""

from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    ConfigDict,
    EmailStr,
    Field,
    HttpUrl,
    IPvAnyAddress,
    PlainSerializer,
    SecretStr,
    StringConstraints,
)
from pydantic.alias_generators import to_camel

from examples.clinic.models import Priority

CAMEL = ConfigDict(alias_generator=to_camel)

Number = Annotated[str, StringConstraints(min_length=1, max_length=20, pattern="^[^/]*$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Short = Annotated[str, StringConstraints(min_length=1, max_length=50)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[0-9 ]{5,15}$")]
Tag = Annotated[str, StringConstraints(max_length=10)]
Positive = Annotated[int, Field(ge=1, lt=2**31)]

Instant = Annotated[
    datetime, PlainSerializer(lambda time: f"{time.replace(tzinfo=None).isoformat()}Z")
]
"""A time in UTC, with or without its zone: SQLite drops it."""


class Input(BaseModel):
    """Base of bodies and queries."""

    model_config = ConfigDict(extra="forbid")


class PatientCreate(Input):
    """A new patient."""

    model_config = CAMEL

    number: Number
    first_name: Name
    last_name: Name
    born_on: date
    insurance_number: Number | None = None


class PatientUpdate(Input):
    """Changes to a patient."""

    model_config = CAMEL

    number: Number = ""
    first_name: Name = ""
    last_name: Name = ""
    born_on: date = date.min
    insurance_number: Number | None = None


class PatientRead(BaseModel):
    """A patient in a response."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True)

    number: str
    first_name: str
    last_name: str
    full_name: str
    born_on: date
    insurance_number: str | None
    appointment_count: int
    version: int


class Vitals(Input):
    """Measurements of a nurse."""

    pulse: Positive | None = None
    temperature: float | None = None


class Intake(Input):
    """The reason of an appointment."""

    reason: str = Field(min_length=1, max_length=200)
    vitals: Vitals = Vitals()


class AppointmentCreate(Input):
    """A new appointment."""

    patient_number: Number
    day: date
    starts_at: time
    duration: timedelta
    priority: Priority = Priority.ROUTINE
    tags: list[Tag] = []
    intake: Intake


class AppointmentUpdate(Input):
    """Changes to an appointment. The intake is a merge patch."""

    patient_number: Number = ""
    day: date = date.min
    starts_at: time = time.min
    duration: timedelta = timedelta()
    priority: Priority = Priority.ROUTINE
    tags: list[Tag] = []
    intake: dict[str, Any] = {}


class AppointmentRead(BaseModel):
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
    booked_at: Instant
    version: int


class ContactCreate(Input):
    """A new contact."""

    patient_number: Number
    email: EmailStr
    website: Annotated[HttpUrl, Field(max_length=200)] | None = None
    device_address: IPv4Address | None = None
    proxy_address: IPvAnyAddress | None = None
    door_code: Annotated[SecretStr, Field(max_length=20)] | None = None
    phone: Phone | None = None


class ContactUpdate(Input):
    """Changes to a contact."""

    patient_number: Number = ""
    email: EmailStr = ""
    website: Annotated[HttpUrl, Field(max_length=200)] | None = None
    device_address: IPv4Address | None = None
    proxy_address: IPvAnyAddress | None = None
    door_code: Annotated[SecretStr, Field(max_length=20)] | None = None
    phone: Phone | None = None


class ContactRead(BaseModel):
    """A contact in a response."""

    id: UUID
    patient_number: str
    email: str
    website: HttpUrl | None
    device_address: IPv4Address | None
    proxy_address: IPvAnyAddress | None
    door_code: SecretStr | None
    phone: str | None


class WardCreate(Input):
    """A new ward, or a changed one."""

    name: Short


class WardRead(BaseModel):
    """A ward in a response."""

    id: int
    name: str


class MembershipCreate(Input):
    """A patient who comes into a ward."""

    patient_number: Number
    ward_id: Positive
    since: date
    bed: Positive | None = None


class MembershipUpdate(Input):
    """Changes to a patient in a ward."""

    patient_number: Number = ""
    ward_id: Positive = 1
    since: date = date.min
    bed: Positive | None = None


class MembershipRead(BaseModel):
    """A patient in a ward, in a response."""

    patient_number: str
    ward_id: int
    since: date
    bed: int | None
    version: int


class DoctorCreate(Input):
    """A new doctor."""

    name: Name
    speciality: Short


class DoctorUpdate(Input):
    """Changes to a doctor."""

    name: Name = ""
    speciality: Short = ""


class DoctorRead(BaseModel):
    """A doctor in a response."""

    id: int
    kind: Literal["doctor"]
    name: str
    speciality: str


class NurseCreate(Input):
    """A new nurse."""

    name: Name
    ward_id: Positive | None = None


class NurseUpdate(Input):
    """Changes to a nurse."""

    name: Name = ""
    ward_id: Positive | None = None


class NurseRead(BaseModel):
    """A nurse in a response."""

    id: int
    kind: Literal["nurse"]
    name: str
    ward_id: int | None


class OccupancyRead(BaseModel):
    """A ward with its number of patients."""

    id: int
    name: str
    patients: int
