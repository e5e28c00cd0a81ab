"""The routes of step 3 by hand.

A team writes them like this in plain FastAPI and SQLAlchemy. They lack
batches, idempotency keys, cursors, exports, HEAD, OPTIONS and retries.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from sqlalchemy import Select, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute
from starlette.exceptions import HTTPException as StarletteHTTPException

from .database import DB, connect, running
from .models import Base, Customer, Order

M = TypeVar("M", bound=Base)
Instant = Annotated[datetime, PlainSerializer(lambda time: f"{time.isoformat()}Z")]
Money = Annotated[Decimal, Field(ge=0, max_digits=10, decimal_places=2)]


class CustomerCreate(BaseModel):
    """A new customer."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100)
    email: str = Field(max_length=254)
    credit: Money = Decimal(0)


class CustomerUpdate(BaseModel):
    """Changes to a customer."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(default="", max_length=100)
    email: str = Field(default="", max_length=254)
    credit: Money = Decimal(0)


class CustomerRead(BaseModel):
    """A customer in a response."""

    id: int
    name: str
    email: str
    credit: Decimal
    created: Instant


class OrderCreate(BaseModel):
    """A new order."""

    model_config = ConfigDict(extra="forbid")

    customer_id: int
    total: Money


class OrderUpdate(BaseModel):
    """Changes to an order."""

    model_config = ConfigDict(extra="forbid")

    customer_id: int = 0
    total: Money = Decimal(0)


class OrderRead(BaseModel):
    """An order in a response."""

    id: int
    customer_id: int
    total: Decimal
    placed: Instant


class PageQuery(BaseModel):
    """The parameters of every list."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=10_000)
    count: Literal["exact"] | None = None


class CustomerQuery(PageQuery):
    """The parameters of the customers."""

    email: str | None = None
    q: str | None = None
    sort: Literal["name", "-name", "created", "-created"] | None = None


class OrderQuery(PageQuery):
    """The parameters of the orders."""

    customer_id: int | None = None
    total__gte: Decimal | None = None
    placed__gte: datetime | None = None
    sort: Literal["placed", "-placed", "total", "-total"] | None = None


# --- What both resources share --------------------------------------------------------------------


async def find(db: DB, model: type[M], key: int) -> M:
    """Return the row. Raises a 404 without one."""
    if row := await db.get(model, key):
        return row
    raise HTTPException(404, f"{model.__name__} not found")


async def save(db: DB, row: M) -> M:
    """Commit, and return *row* as it is stored. Raises a 409 or a 422 if a constraint fails."""
    try:
        await db.commit()
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise HTTPException(422, "A row that is referred to does not exist.") from error
        raise HTTPException(409, "The value is taken.") from error
    await db.refresh(row)
    return row


async def change(db: DB, row: M, values: Mapping[str, Any]) -> M:
    """Set *values* on *row*, and commit."""
    for name, value in values.items():
        setattr(row, name, value)
    return await save(db, row)


async def remove(db: DB, row: Base) -> None:
    """Delete *row*. Raises a 409 if others refer to it."""
    try:
        await db.delete(row)
        await db.commit()
    except IntegrityError as error:
        raise HTTPException(409, "Other rows refer to this one.") from error


async def read_page(  # noqa: PLR0913, PLR0917 — each list needs all of them
    db: DB,
    statement: Select[M],
    key: InstrumentedAttribute[int],
    query: PageQuery,
    response: Response,
    request: Request,
) -> Sequence[M]:
    """Return a page of *statement*, and add its headers to *response*."""
    if query.count:
        total = await db.scalar(select(func.count()).select_from(statement.subquery()))
        response.headers["X-Total-Count"] = str(total)
    sort: str | None = getattr(query, "sort", None)
    descending = (sort or "").startswith("-")
    columns = [key] if sort is None else [getattr(key.class_, sort.removeprefix("-")), key]
    statement = statement.order_by(*(c.desc() if descending else c.asc() for c in columns))
    rows = (await db.scalars(statement.limit(query.limit + 1).offset(query.offset))).all()
    if len(rows) > query.limit:
        url = request.url.include_query_params(offset=query.offset + query.limit)
        response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return rows[: query.limit]


# --- The routes -----------------------------------------------------------------------------------

router = APIRouter()


@router.get("/customers", response_model=list[CustomerRead])
async def list_customers(
    db: DB, query: Annotated[CustomerQuery, Query()], response: Response, request: Request
) -> Sequence[Customer]:
    """Return a page of the customers."""
    statement = select(Customer)
    if query.email is not None:
        statement = statement.where(Customer.email == query.email)
    for word in (query.q or "").split():
        found = (
            column.icontains(word, autoescape=True) for column in (Customer.name, Customer.email)
        )
        statement = statement.where(or_(*found))
    return await read_page(db, statement, Customer.id, query, response, request)


@router.post("/customers", status_code=201, response_model=CustomerRead)
async def create_customer(db: DB, body: CustomerCreate, response: Response) -> Customer:
    """Create a customer."""
    customer = Customer(**body.model_dump())
    db.add(customer)
    await save(db, customer)
    response.headers["Location"] = f"/customers/{customer.id}"
    return customer


@router.get("/customers/{key}", response_model=CustomerRead)
async def get_customer(db: DB, key: int) -> Customer:
    """Return a customer."""
    return await find(db, Customer, key)


@router.patch("/customers/{key}", response_model=CustomerRead)
async def change_customer(db: DB, key: int, body: CustomerUpdate) -> Customer:
    """Change a customer."""
    customer = await find(db, Customer, key)
    return await change(db, customer, body.model_dump(exclude_unset=True))


@router.put("/customers/{key}", response_model=CustomerRead)
async def replace_customer(db: DB, key: int, body: CustomerCreate) -> Customer:
    """Replace a customer."""
    return await change(db, await find(db, Customer, key), body.model_dump())


@router.delete("/customers/{key}", status_code=204)
async def delete_customer(db: DB, key: int) -> None:
    """Delete a customer."""
    await remove(db, await find(db, Customer, key))


@router.get("/api/orders", response_model=list[OrderRead])
async def list_orders(
    db: DB, query: Annotated[OrderQuery, Query()], response: Response, request: Request
) -> Sequence[Order]:
    """Return a page of the orders."""
    statement = select(Order)
    if query.customer_id is not None:
        statement = statement.where(Order.customer_id == query.customer_id)
    if query.total__gte is not None:
        statement = statement.where(Order.total >= query.total__gte)
    if query.placed__gte is not None:
        since = query.placed__gte.astimezone(UTC).replace(tzinfo=None)
        statement = statement.where(Order.placed >= since)
    return await read_page(db, statement, Order.id, query, response, request)


@router.post("/api/orders", status_code=201, response_model=OrderRead)
async def create_order(db: DB, body: OrderCreate, response: Response) -> Order:
    """Create an order."""
    order = Order(**body.model_dump())
    db.add(order)
    await save(db, order)
    response.headers["Location"] = f"/api/orders/{order.id}"
    return order


@router.get("/api/orders/{key}", response_model=OrderRead)
async def get_order(db: DB, key: int) -> Order:
    """Return an order."""
    return await find(db, Order, key)


@router.patch("/api/orders/{key}", response_model=OrderRead)
async def change_order(db: DB, key: int, body: OrderUpdate) -> Order:
    """Change an order."""
    return await change(db, await find(db, Order, key), body.model_dump(exclude_unset=True))


@router.put("/api/orders/{key}", response_model=OrderRead)
async def replace_order(db: DB, key: int, body: OrderCreate) -> Order:
    """Replace an order."""
    return await change(db, await find(db, Order, key), body.model_dump())


@router.delete("/api/orders/{key}", status_code=204)
async def delete_order(db: DB, key: int) -> None:
    """Delete an order."""
    await remove(db, await find(db, Order, key))


# --- Errors and the application -------------------------------------------------------------------


def problem(status: int, detail: str, errors: Sequence[Mapping[str, str]] = ()) -> JSONResponse:
    """Return a problem (RFC 9457)."""
    document = {"status": status, "detail": detail, "errors": [*errors]}
    return JSONResponse(document, status, media_type="application/problem+json")


async def answer_http_error(_: Request, error: Exception) -> JSONResponse:
    """Answer an `HTTPException`."""
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 — its handler
    return problem(error.status_code, str(error.detail))


async def answer_invalid_request(_: Request, error: Exception) -> JSONResponse:
    """Answer an invalid request with 422."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 — its handler
    errors = [
        {"pointer": "#/" + "/".join(map(str, one["loc"][1:])), "detail": one["msg"]}
        for one in error.errors()
    ]
    return problem(422, "The request has invalid values.", errors)


def create_app(url: str | None = None) -> FastAPI:
    """Return the application. *url* defaults to `DATABASE_URL`, or to a file."""
    engine = connect(url)
    app = FastAPI(title="Customers", lifespan=lambda _: running(engine))
    app.include_router(router)
    app.add_exception_handler(StarletteHTTPException, answer_http_error)
    app.add_exception_handler(RequestValidationError, answer_invalid_request)
    return app
