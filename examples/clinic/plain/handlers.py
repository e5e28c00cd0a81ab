"""The routes."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from . import models as m, queries as q, schemas as s
from .rows import RowsDep, merge, refuse, validate

router = APIRouter(responses={404: {}, 409: {}, 412: {}, 422: {}})

# --- Patients -------------------------------------------------------------------------------------


@router.get("/patients", response_model=list[s.PatientRead])
async def list_patients(
    rows: RowsDep, query: Annotated[q.PatientQuery, Query()]
) -> Sequence[m.Patient]:
    """Return a page of the patients."""
    return await rows.page(m.Patient, query)


@router.get("/patients/{number}", response_model=s.PatientRead)
async def get_patient(rows: RowsDep, number: str) -> m.Patient:
    """Return a patient."""
    return await rows.get(m.Patient, number)


@router.post("/patients", status_code=201, response_model=s.PatientRead)
async def create_patient(rows: RowsDep, body: s.PatientCreate) -> m.Patient:
    """Create a patient."""
    return await rows.create(m.Patient(), body)


@router.patch("/patients/{number}", response_model=s.PatientRead)
async def update_patient(rows: RowsDep, number: str, body: s.PatientUpdate) -> m.Patient:
    """Change a patient."""
    return await rows.update(await rows.get(m.Patient, number), body)


@router.put("/patients/{number}", response_model=s.PatientRead)
async def replace_patient(rows: RowsDep, number: str, body: s.PatientCreate) -> m.Patient:
    """Replace a patient, or create one."""
    if body.number != number:
        raise refuse(409, "number", "key_differs")
    if await rows.db.get(m.Patient, number) is None:
        return await rows.create(m.Patient(), body)
    return await rows.replace(await rows.get(m.Patient, number), body)


@router.delete("/patients/{number}", status_code=204)
async def delete_patient(rows: RowsDep, number: str) -> None:
    """Delete a patient."""
    await rows.delete(await rows.get(m.Patient, number))


# --- Appointments ---------------------------------------------------------------------------------


@router.get("/appointments", response_model=list[s.AppointmentRead])
async def list_appointments(
    rows: RowsDep, query: Annotated[q.AppointmentQuery, Query()]
) -> Sequence[m.Appointment]:
    """Return a page of the appointments."""
    return await rows.page(m.Appointment, query)


@router.get("/appointments/{key}", response_model=s.AppointmentRead)
async def get_appointment(rows: RowsDep, key: UUID) -> m.Appointment:
    """Return an appointment."""
    return await rows.get(m.Appointment, key)


@router.post("/appointments", status_code=201, response_model=s.AppointmentRead)
async def create_appointment(rows: RowsDep, body: s.AppointmentCreate) -> m.Appointment:
    """Create an appointment."""
    return await rows.create(m.Appointment(), body)


@router.patch("/appointments/{key}", response_model=s.AppointmentRead)
async def update_appointment(rows: RowsDep, key: UUID, body: s.AppointmentUpdate) -> m.Appointment:
    """Change an appointment."""
    row = await rows.get(m.Appointment, key)
    values = body.model_dump(exclude_unset=True)
    if "intake" in values:
        values["intake"] = validate(s.Intake, merge(row.intake, values["intake"]), "intake")
    return await rows.write(row, values)


@router.put("/appointments/{key}", response_model=s.AppointmentRead)
async def replace_appointment(rows: RowsDep, key: UUID, body: s.AppointmentCreate) -> m.Appointment:
    """Replace an appointment."""
    return await rows.replace(await rows.get(m.Appointment, key), body)


@router.delete("/appointments/{key}", status_code=204)
async def delete_appointment(rows: RowsDep, key: UUID) -> None:
    """Delete an appointment."""
    await rows.delete(await rows.get(m.Appointment, key))


# --- Contacts -------------------------------------------------------------------------------------


@router.get("/contacts", response_model=list[s.ContactRead])
async def list_contacts(
    rows: RowsDep, query: Annotated[q.ContactQuery, Query()]
) -> Sequence[m.Contact]:
    """Return a page of the contacts."""
    return await rows.page(m.Contact, query)


@router.get("/contacts/{key}", response_model=s.ContactRead)
async def get_contact(rows: RowsDep, key: UUID) -> m.Contact:
    """Return a contact."""
    return await rows.get(m.Contact, key)


@router.post("/contacts", status_code=201, response_model=s.ContactRead)
async def create_contact(rows: RowsDep, body: s.ContactCreate) -> m.Contact:
    """Create a contact."""
    return await rows.create(m.Contact(), body)


@router.patch("/contacts/{key}", response_model=s.ContactRead)
async def update_contact(rows: RowsDep, key: UUID, body: s.ContactUpdate) -> m.Contact:
    """Change a contact."""
    return await rows.update(await rows.get(m.Contact, key), body)


@router.put("/contacts/{key}", response_model=s.ContactRead)
async def replace_contact(rows: RowsDep, key: UUID, body: s.ContactCreate) -> m.Contact:
    """Replace a contact."""
    return await rows.replace(await rows.get(m.Contact, key), body)


@router.delete("/contacts/{key}", status_code=204)
async def delete_contact(rows: RowsDep, key: UUID) -> None:
    """Delete a contact."""
    await rows.delete(await rows.get(m.Contact, key))


# --- Wards ----------------------------------------------------------------------------------------


@router.get("/wards", response_model=list[s.WardRead])
async def list_wards(rows: RowsDep, query: Annotated[q.WardQuery, Query()]) -> Sequence[m.Ward]:
    """Return a page of the wards."""
    return await rows.page(m.Ward, query)


@router.get("/wards/{key}", response_model=s.WardRead)
async def get_ward(rows: RowsDep, key: int) -> m.Ward:
    """Return a ward."""
    return await rows.get(m.Ward, key)


@router.post("/wards", status_code=201, response_model=s.WardRead)
async def create_ward(rows: RowsDep, body: s.WardCreate) -> m.Ward:
    """Create a ward."""
    return await rows.create(m.Ward(), body)


@router.patch("/wards/{key}", response_model=s.WardRead)
async def update_ward(rows: RowsDep, key: int, body: s.WardCreate) -> m.Ward:
    """Change a ward."""
    return await rows.update(await rows.get(m.Ward, key), body)


@router.put("/wards/{key}", response_model=s.WardRead)
async def replace_ward(rows: RowsDep, key: int, body: s.WardCreate) -> m.Ward:
    """Replace a ward."""
    return await rows.replace(await rows.get(m.Ward, key), body)


@router.delete("/wards/{key}", status_code=204)
async def delete_ward(rows: RowsDep, key: int) -> None:
    """Delete a ward."""
    await rows.delete(await rows.get(m.Ward, key))


# --- Memberships ----------------------------------------------------------------------------------


@router.get("/memberships", response_model=list[s.MembershipRead])
async def list_memberships(
    rows: RowsDep, query: Annotated[q.MembershipQuery, Query()]
) -> Sequence[m.WardMembership]:
    """Return a page of the memberships."""
    return await rows.page(m.WardMembership, query)


@router.get("/memberships/{patient_number}/{ward_id}", response_model=s.MembershipRead)
async def get_membership(rows: RowsDep, patient_number: str, ward_id: int) -> m.WardMembership:
    """Return a membership."""
    return await rows.get(m.WardMembership, patient_number, ward_id)


@router.post("/memberships", status_code=201, response_model=s.MembershipRead)
async def create_membership(rows: RowsDep, body: s.MembershipCreate) -> m.WardMembership:
    """Create a membership."""
    return await rows.create(m.WardMembership(), body)


@router.patch("/memberships/{patient_number}/{ward_id}", response_model=s.MembershipRead)
async def update_membership(
    rows: RowsDep, patient_number: str, ward_id: int, body: s.MembershipUpdate
) -> m.WardMembership:
    """Change a membership."""
    return await rows.update(await rows.get(m.WardMembership, patient_number, ward_id), body)


@router.put("/memberships/{patient_number}/{ward_id}", response_model=s.MembershipRead)
async def replace_membership(
    rows: RowsDep, patient_number: str, ward_id: int, body: s.MembershipCreate
) -> m.WardMembership:
    """Replace a membership."""
    return await rows.replace(await rows.get(m.WardMembership, patient_number, ward_id), body)


@router.delete("/memberships/{patient_number}/{ward_id}", status_code=204)
async def delete_membership(rows: RowsDep, patient_number: str, ward_id: int) -> None:
    """Delete a membership."""
    await rows.delete(await rows.get(m.WardMembership, patient_number, ward_id))


# --- Doctors --------------------------------------------------------------------------------------


@router.get("/doctors", response_model=list[s.DoctorRead])
async def list_doctors(
    rows: RowsDep, query: Annotated[q.DoctorQuery, Query()]
) -> Sequence[m.Doctor]:
    """Return a page of the doctors."""
    return await rows.page(m.Doctor, query)


@router.get("/doctors/{key}", response_model=s.DoctorRead)
async def get_doctor(rows: RowsDep, key: int) -> m.Doctor:
    """Return a doctor."""
    return await rows.get(m.Doctor, key)


@router.post("/doctors", status_code=201, response_model=s.DoctorRead)
async def create_doctor(rows: RowsDep, body: s.DoctorCreate) -> m.Doctor:
    """Create a doctor."""
    return await rows.create(m.Doctor(), body)


@router.patch("/doctors/{key}", response_model=s.DoctorRead)
async def update_doctor(rows: RowsDep, key: int, body: s.DoctorUpdate) -> m.Doctor:
    """Change a doctor."""
    return await rows.update(await rows.get(m.Doctor, key), body)


@router.put("/doctors/{key}", response_model=s.DoctorRead)
async def replace_doctor(rows: RowsDep, key: int, body: s.DoctorCreate) -> m.Doctor:
    """Replace a doctor."""
    return await rows.replace(await rows.get(m.Doctor, key), body)


@router.delete("/doctors/{key}", status_code=204)
async def delete_doctor(rows: RowsDep, key: int) -> None:
    """Delete a doctor."""
    await rows.delete(await rows.get(m.Doctor, key))


# --- Nurses ---------------------------------------------------------------------------------------


@router.get("/nurses", response_model=list[s.NurseRead])
async def list_nurses(rows: RowsDep, query: Annotated[q.NurseQuery, Query()]) -> Sequence[m.Nurse]:
    """Return a page of the nurses."""
    return await rows.page(m.Nurse, query)


@router.get("/nurses/{key}", response_model=s.NurseRead)
async def get_nurse(rows: RowsDep, key: int) -> m.Nurse:
    """Return a nurse."""
    return await rows.get(m.Nurse, key)


@router.post("/nurses", status_code=201, response_model=s.NurseRead)
async def create_nurse(rows: RowsDep, body: s.NurseCreate) -> m.Nurse:
    """Create a nurse."""
    return await rows.create(m.Nurse(), body)


@router.patch("/nurses/{key}", response_model=s.NurseRead)
async def update_nurse(rows: RowsDep, key: int, body: s.NurseUpdate) -> m.Nurse:
    """Change a nurse."""
    return await rows.update(await rows.get(m.Nurse, key), body)


@router.put("/nurses/{key}", response_model=s.NurseRead)
async def replace_nurse(rows: RowsDep, key: int, body: s.NurseCreate) -> m.Nurse:
    """Replace a nurse."""
    return await rows.replace(await rows.get(m.Nurse, key), body)


@router.delete("/nurses/{key}", status_code=204)
async def delete_nurse(rows: RowsDep, key: int) -> None:
    """Delete a nurse."""
    await rows.delete(await rows.get(m.Nurse, key))


# --- Occupancy ------------------------------------------------------------------------------------


@router.get("/occupancy", response_model=list[s.OccupancyRead])
async def list_occupancy(
    rows: RowsDep, query: Annotated[q.OccupancyQuery, Query()]
) -> Sequence[m.Occupancy]:
    """Return a page of the occupancy."""
    return await rows.page(m.Occupancy, query)


@router.get("/occupancy/{key}", response_model=s.OccupancyRead)
async def get_occupancy(rows: RowsDep, key: int) -> m.Occupancy:
    """Return a occupancy."""
    return await rows.get(m.Occupancy, key)
