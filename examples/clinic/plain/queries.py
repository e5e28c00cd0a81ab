"""The parameters of the lists."""

from datetime import date, datetime, time, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from examples.clinic.models import Priority

from .schemas import Input


class PageQuery(Input):
    """The parameters of every list."""

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=10_000)
    count: Literal["exact"] | None = None


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


class ContactQuery(PageQuery):
    """The parameters of the contacts."""

    patient_number: str | None = None
    email: str | None = None
    phone: str | None = None


class WardQuery(PageQuery):
    """The parameters of the wards."""

    sort: Literal["name", "-name"] | None = None


class MembershipQuery(PageQuery):
    """The parameters of the memberships."""

    ward_id: int | None = None
    since__gte: date | None = None
    since__lt: date | None = None
    sort: Literal["since", "-since", "bed", "-bed"] | None = None


class DoctorQuery(PageQuery):
    """The parameters of the doctors."""

    name__icontains: str | None = None
    speciality: str | None = None
    sort: Literal["name", "-name", "speciality", "-speciality"] | None = None


class NurseQuery(PageQuery):
    """The parameters of the nurses."""

    name__icontains: str | None = None
    ward_id: int | None = None
    sort: Literal["name", "-name"] | None = None


class OccupancyQuery(PageQuery):
    """The parameters of the view."""

    patients: int | None = None
    patients__gte: int | None = None
    sort: Literal["name", "-name", "patients", "-patients"] | None = None
