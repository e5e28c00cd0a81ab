"""Reads and writes of rows, for one request."""

import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from operator import eq, ge, lt
from typing import Annotated, Any, TypeVar, cast

from fastapi import Depends, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AnyUrl, BaseModel, SecretStr, ValidationError
from sqlalchemy import ColumnOperators, func, inspect, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from .models import Base
from .queries import PageQuery

SessionLocal = async_sessionmaker(expire_on_commit=False)

M = TypeVar("M", bound=Base)

OPERATORS: Mapping[str, Any] = {
    "": eq,
    "gte": ge,
    "lt": lt,
    "in": ColumnOperators.in_,
    "icontains": partial(ColumnOperators.icontains, autoescape=True),
}


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield a session for a request."""
    async with SessionLocal() as session:
        yield session


def refuse(status: int, pointer: str, code: str) -> HTTPException:
    """Return the error about a field."""
    errors = [{"pointer": f"#/{pointer}", "code": code}]
    return HTTPException(status, {"detail": "The value is not accepted.", "errors": errors})


def as_column(value: object) -> object:
    """Return *value* as its column holds it."""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value) if isinstance(value, (AnyUrl, IPv4Address, IPv6Address)) else value


def merge(target: Any, patch: Any) -> Any:
    """Return *target* with a merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    changes = cast("Mapping[str, Any]", patch)
    merged: dict[str, Any] = {**target} if isinstance(target, Mapping) else {}
    for name, value in changes.items():
        merged[name] = merge(merged.get(name), value)
    return {name: value for name, value in merged.items() if value is not None}


def validate(schema: type[BaseModel], value: object, field: str) -> dict[str, Any]:
    """Return the merged document of a field, valid. Raises a 422 otherwise."""
    try:
        return schema.model_validate(value).model_dump()
    except ValidationError as error:
        located = [{**one, "loc": ("body", field, *one["loc"])} for one in error.errors()]
        raise RequestValidationError(located) from error


class Rows:
    """The rows of all tables."""

    def __init__(
        self,
        db: Annotated[AsyncSession, Depends(get_db)],
        request: Request,
        response: Response,
    ) -> None:
        """Take what the request has."""
        self.db = db
        self.request = request
        self.response = response

    async def get(self, model: type[M], *key: object) -> M:
        """Return the row, and add its tag. Raises a 404 without one, and a 412 for another tag."""
        row = await self.db.get(model, key, with_for_update=self.request.method != "GET")
        if row is None:
            raise HTTPException(404, f"{model.__name__} not found")
        self.check_match(row)
        return row

    def check_match(self, row: Base) -> None:
        """Compare the version of *row* with If-Match."""
        if version := getattr(row, "version", None):
            tags = self.request.headers.get("if-match", "*").split(",")
            if not {tag.strip() for tag in tags} & {"*", f'"{version}"'}:
                raise HTTPException(412, "The row has changed.")
            self.response.headers["ETag"] = f'"{version}"'

    async def page(self, model: type[M], query: PageQuery) -> Sequence[M]:
        """Return a page of the rows, filtered and sorted as *query* says."""
        statement = select(model)
        filters = query.model_dump(exclude={*PageQuery.model_fields, "sort"}, exclude_none=True)
        for name, value in filters.items():
            column, _, operator = name.partition("__")
            statement = statement.where(OPERATORS[operator](getattr(model, column), value))
        if query.count:
            total = await self.db.scalar(select(func.count()).select_from(statement.subquery()))
            self.response.headers["X-Total-Count"] = str(total)
        sort: str = getattr(query, "sort", None) or ""
        name = re.sub(r"[A-Z]", lambda letter: "_" + letter[0].lower(), sort.removeprefix("-"))
        columns = [getattr(model, name)] if name else []
        columns += inspect(model).primary_key
        ordered = (column.desc() if sort.startswith("-") else column for column in columns)
        statement = statement.order_by(*ordered).limit(query.limit + 1).offset(query.offset)
        rows = (await self.db.scalars(statement)).all()
        if len(rows) > query.limit:
            url = self.request.url.include_query_params(offset=query.offset + query.limit)
            self.response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return rows[: query.limit]

    async def create(self, row: M, body: BaseModel) -> M:
        """Add *row* with the values of *body*."""
        self.db.add(row)
        await self.write(row, body.model_dump())
        key = "/".join(str(part) for part in inspect(row).identity or ())
        self.response.status_code = 201
        self.response.headers["Location"] = f"/{self.request.url.path.split('/')[1]}/{key}"
        return row

    async def update(self, row: M, body: BaseModel) -> M:
        """Set the sent values of *body* on *row*."""
        return await self.write(row, body.model_dump(exclude_unset=True))

    async def replace(self, row: M, body: BaseModel) -> M:
        """Set all values of *body* on *row*."""
        return await self.write(row, body.model_dump())

    async def write(self, row: M, values: Mapping[str, Any]) -> M:
        """Set *values* on *row*, commit, and read what the database computes."""
        state = inspect(row)
        for name, value in values.items():
            column = state.mapper.columns.get(name)  # None for a hybrid property
            if (
                column is not None
                and column.primary_key
                and state.persistent
                and getattr(row, name) != value
            ):
                raise refuse(409, self.alias(name), "key_differs")
            for key in column.foreign_keys if column is not None and value is not None else ():
                found = select(key.column).where(key.column == value)
                with self.db.no_autoflush:
                    if await self.db.scalar(found) is None:
                        raise refuse(422, self.alias(name), "reference_not_found")
            setattr(row, name, as_column(value))
        await self.commit(values)
        await self.db.refresh(row)
        if version := getattr(row, "version", None):
            self.response.headers["ETag"] = f'"{version}"'
        return row

    async def delete(self, row: Base) -> None:
        """Delete *row*."""
        await self.db.delete(row)
        await self.commit({})

    async def commit(self, values: Mapping[str, Any]) -> None:
        """Commit. Raises a 409 if a constraint fails, and a 412 if the row has changed."""
        try:
            await self.db.commit()
        except StaleDataError as error:
            raise HTTPException(412, "The row has changed.") from error
        except IntegrityError as error:
            cause = getattr(error.orig, "__cause__", None)
            text = f"{error.orig} {getattr(cause, 'detail', '')}"  # asyncpg names the columns there
            if "foreign key" in text.lower():
                raise HTTPException(409, "Other rows refer to this one.") from error
            names = (self.alias(name) for name in values if re.search(rf"\b{name}\b", text))
            raise refuse(409, next(names, ""), "not_unique") from error

    def alias(self, name: str) -> str:
        """Return the name of a column in bodies."""
        camel = self.request.url.path.startswith("/patients")
        return re.sub(r"_(\w)", lambda match: match[1].upper(), name) if camel else name


RowsDep = Annotated[Rows, Depends()]
