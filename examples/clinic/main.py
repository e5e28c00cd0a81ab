"""The resources, and the application."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from os import environ
from typing import Any

from fastapi import APIRouter, FastAPI

from brickwork import Database, Resource, crud_router, install

from . import models as m, schemas as s


class Patients(Resource[m.Patient]):
    """Patients, under the numbers that the clinic gives them."""

    allow_upsert = True


class Appointments(Resource[m.Appointment]):
    """Appointments of patients."""


class Contacts(Resource[m.Contact]):
    """Contacts of patients."""


class Wards(Resource[m.Ward]):
    """Wards."""


class Memberships(Resource[m.WardMembership]):
    """Patients in wards."""


class Doctors(Resource[m.Doctor]):
    """Doctors."""


class Nurses(Resource[m.Nurse]):
    """Nurses."""


class WardOccupancy(Resource[m.Occupancy]):
    """Wards with their numbers of patients."""


router = APIRouter()
router.include_router(
    crud_router(
        "/patients",
        Patients,
        read=s.PatientRead,
        create=s.PatientCreate,
        update=s.PatientUpdate,
        query=s.PatientQuery,
    )
)
router.include_router(
    crud_router(
        "/appointments",
        Appointments,
        read=s.AppointmentRead,
        create=s.AppointmentCreate,
        update=s.AppointmentUpdate,
        query=s.AppointmentQuery,
    )
)
router.include_router(
    crud_router(
        "/contacts",
        Contacts,
        read=s.ContactRead,
        create=s.ContactCreate,
        update=s.ContactUpdate,
        query=s.ContactQuery,
    )
)
router.include_router(
    crud_router(
        "/wards",
        Wards,
        read=s.WardRead,
        create=s.WardCreate,
        update=s.WardUpdate,
        query=s.WardQuery,
    )
)
router.include_router(
    crud_router(
        "/memberships",
        Memberships,
        read=s.MembershipRead,
        create=s.MembershipCreate,
        update=s.MembershipUpdate,
        query=s.MembershipQuery,
    )
)
router.include_router(
    crud_router(
        "/doctors",
        Doctors,
        read=s.DoctorRead,
        create=s.DoctorCreate,
        update=s.DoctorUpdate,
        query=s.DoctorQuery,
    )
)
router.include_router(
    crud_router(
        "/nurses",
        Nurses,
        read=s.NurseRead,
        create=s.NurseCreate,
        update=s.NurseUpdate,
        query=s.NurseQuery,
    )
)
router.include_router(
    crud_router("/occupancy", WardOccupancy, read=s.OccupancyRead, query=s.OccupancyQuery)
)


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    database = Database(url or environ.get("DATABASE_URL", "sqlite:///clinic.db"))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[Mapping[str, Any]]:
        await database.create_all(m.Base.metadata)  # a service uses migrations instead
        async with database.lifespan(app) as state:
            yield state

    app = FastAPI(title="Clinic", lifespan=lifespan)
    install(app)
    app.include_router(router)
    return app
