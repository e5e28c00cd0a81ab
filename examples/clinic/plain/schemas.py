"""The schemas of requests and responses."""

from datetime import date, datetime, time, timedelta
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import (
    BaseModel,
    BeforeValidator,
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


class PageQuery(Input):
    """The parameters of every list."""

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=10_000)
    count: Literal["exact"] | None = None


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


class PatientQuery(PageQuery):
    """The parameters of the patients."""

    full_name: str | None = Field(default=None, alias="fullName")
    full_name__icontains: str | None = Field(default=None, alias="fullName__icontains")
    born_on: date | None = Field(default=None, alias="bornOn")
    born_on__gte: date | None = Field(default=None, alias="bornOn__gte")
    born_on__lt: date | None = Field(default=None, alias="bornOn__lt")
    appointment_count__gte: int | None = Field(default=None, alias="appointmentCount__gte")
    sort: (
        Literal[
            "lastName",
            "-lastName",
            "bornOn",
            "-bornOn",
            "appointmentCount",
            "-appointmentCount",
        ]
        | None
    ) = None


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


def split(values: list[str]) -> list[str]:
    """Return the values of a parameter with commas."""
    return ",".join(values).split(",")


class AppointmentQuery(PageQuery):
    """The parameters of the appointments."""

    patient_number: str | None = None
    day: date | None = None
    day__gte: date | None = None
    day__lt: date | None = None
    starts_at__gte: time | None = None
    starts_at__lt: time | None = None
    ends_at: time | None = None
    duration__gte: timedelta | None = None
    duration__lt: timedelta | None = None
    priority: Priority | None = None
    priority__in: Annotated[list[Priority], BeforeValidator(split)] | None = None
    booked_at__gte: datetime | None = None
    booked_at__lt: datetime | None = None
    sort: (
        Literal[
            "day",
            "-day",
            "starts_at",
            "-starts_at",
            "ends_at",
            "-ends_at",
            "duration",
            "-duration",
            "priority",
            "-priority",
            "booked_at",
            "-booked_at",
        ]
        | None
    ) = None


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


class ContactQuery(PageQuery):
    """The parameters of the contacts."""

    patient_number: str | None = None
    email: str | None = None
    phone: str | None = None


class WardCreate(Input):
    """A new ward, or a changed one."""

    name: Short


class WardRead(BaseModel):
    """A ward in a response."""

    id: int
    name: str


class WardQuery(PageQuery):
    """The parameters of the wards."""

    sort: Literal["name", "-name"] | None = None


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


class MembershipQuery(PageQuery):
    """The parameters of the memberships."""

    ward_id: int | None = None
    since__gte: date | None = None
    since__lt: date | None = None
    sort: Literal["since", "-since", "bed", "-bed"] | None = None


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


class DoctorQuery(PageQuery):
    """The parameters of the doctors."""

    name__icontains: str | None = None
    speciality: str | None = None
    sort: Literal["name", "-name", "speciality", "-speciality"] | None = None


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


class NurseQuery(PageQuery):
    """The parameters of the nurses."""

    name__icontains: str | None = None
    ward_id: int | None = None
    sort: Literal["name", "-name"] | None = None


class OccupancyRead(BaseModel):
    """A ward with its number of patients."""

    id: int
    name: str
    patients: int


class OccupancyQuery(PageQuery):
    """The parameters of the view."""

    patients: int | None = None
    patients__gte: int | None = None
    sort: Literal["name", "-name", "patients", "-patients"] | None = None
