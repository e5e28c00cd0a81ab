"""The five handlers of the old application, with their envelope and errors."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException as StarletteHTTPException

from .database import DB
from .models import Customer


class CustomerIn(BaseModel):
    """A customer in a request."""

    name: str = Field(max_length=100)
    email: str = Field(max_length=254)
    credit: Decimal = Field(default=Decimal(0), max_digits=10, decimal_places=2)


class CustomerOut(CustomerIn):
    """A customer in a response."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    created: datetime


router = APIRouter(prefix="/customers", tags=["customers"])


def envelope(data: Any, **meta: Any) -> dict[str, Any]:
    """Wrap *data* as the clients expect it."""
    return {"data": data, "meta": meta, "error": None}


def show(customer: Customer) -> dict[str, Any]:
    """Return the document of *customer*."""
    return CustomerOut.model_validate(customer).model_dump(mode="json")


async def find(db: DB, customer_id: int) -> Customer:
    """Return the customer. Raises a 404 without one."""
    if customer := await db.get(Customer, customer_id):
        return customer
    raise HTTPException(404, f"No customer {customer_id}")


@router.get("/")
async def list_customers(
    db: DB,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 20,
) -> dict[str, Any]:
    """Return a page of the customers."""
    total = await db.scalar(select(func.count()).select_from(Customer))
    statement = select(Customer).order_by(Customer.id).limit(size).offset((page - 1) * size)
    customers = await db.scalars(statement)
    return envelope([show(customer) for customer in customers], page=page, total=total)


@router.post("/", status_code=201)
async def create_customer(body: CustomerIn, db: DB) -> dict[str, Any]:
    """Create a customer."""
    customer = Customer(**body.model_dump())
    db.add(customer)
    await commit(db)
    return envelope(show(customer))


@router.get("/{customer_id}")
async def get_customer(customer_id: int, db: DB) -> dict[str, Any]:
    """Return a customer."""
    return envelope(show(await find(db, customer_id)))


@router.put("/{customer_id}")
async def replace_customer(customer_id: int, body: CustomerIn, db: DB) -> dict[str, Any]:
    """Replace a customer."""
    customer = await find(db, customer_id)
    for name, value in body.model_dump().items():
        setattr(customer, name, value)
    await commit(db)
    return envelope(show(customer))


@router.delete("/{customer_id}", status_code=204)
async def delete_customer(customer_id: int, db: DB) -> None:
    """Delete a customer."""
    await db.delete(await find(db, customer_id))
    await commit(db)


async def commit(db: DB) -> None:
    """Commit. Raises a 409 if a constraint fails."""
    try:
        await db.commit()
    except IntegrityError as error:
        raise HTTPException(409, "The customer conflicts with another row") from error


def failure(status: int, message: str, fields: list[str] | None = None) -> JSONResponse:
    """Return an error as the clients expect it."""
    error = {"message": message, "fields": fields or []}
    return JSONResponse({"data": None, "meta": {}, "error": error}, status)


async def answer_http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an `HTTPException`."""
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 — its handler
    return failure(error.status_code, str(error.detail))


async def answer_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid request with 400."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 — its handler
    return failure(400, "Invalid request", [str(one["loc"][-1]) for one in error.errors()])


def add_old_routes(app: FastAPI) -> None:
    """Add the handlers, and those of errors."""
    app.include_router(router)
    app.add_exception_handler(StarletteHTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
