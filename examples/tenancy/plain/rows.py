"""The session, and the rows of a tenant."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, HTTPException, Request, Response
from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from examples.tenancy.auth import CurrentCaller

from .models import Entry, Owned, Task, add_entry
from .schemas import PageQuery

SessionLocal = async_sessionmaker(expire_on_commit=False)

M = TypeVar("M", bound=Owned)


async def get_db() -> AsyncGenerator[AsyncSession]:
    """Yield a session for a request."""
    async with SessionLocal() as session:
        yield session


class Rows:
    """The rows of the caller's tenant, for one request."""

    def __init__(
        self,
        db: Annotated[AsyncSession, Depends(get_db)],
        caller: CurrentCaller,
        request: Request,
        response: Response,
    ) -> None:
        """Take what the request has."""
        self.db = db
        self.caller = caller
        self.request = request
        self.response = response
        self.actor = f"{caller.tenant_id}/{caller.user_id}"

    def require_admin(self) -> None:
        """Raise a 403 unless the caller is an admin."""
        if self.caller.role != "admin":
            raise HTTPException(403, "Only admins may do this.")

    def query(self, model: type[M]) -> Select[M]:
        """Return the statement of all rows of the tenant."""
        return select(model).where(model.tenant_id == self.caller.tenant_id)

    async def find(self, model: type[M], key: UUID) -> M:
        """Return the row, and add its tag. Raises a 404 without one, and a 412 for another tag."""
        row = await self.db.scalar(self.query(model).where(model.id == key).with_for_update())
        if row is None:
            raise HTTPException(404, f"{model.__name__} not found")
        self.check_match(row)
        return row

    def check_match(self, row: Owned) -> None:
        """Compare the version of *row* with If-Match."""
        if isinstance(row, Task):
            tags = self.request.headers.get("if-match", "*").split(",")
            if not {tag.strip() for tag in tags} & {"*", f'"{row.version}"'}:
                raise HTTPException(412, "The row has changed.")
            self.response.headers["ETag"] = f'"{row.version}"'

    async def require(self, model: type[M], key: UUID | None, field: str) -> M | None:
        """Return the row that a field refers to. Raises a 422 without one."""
        if key is None:
            return None
        row = await self.db.scalar(self.query(model).where(model.id == key))
        if row is None:
            error = {"pointer": f"#/{field}", "code": "reference_not_found"}
            raise HTTPException(
                422, {"detail": "There is no row with this key.", "errors": [error]}
            )
        return row

    async def page(self, statement: Select[M], model: type[M], query: PageQuery) -> Sequence[M]:
        """Return a page of *statement*, filtered and sorted as *query* says."""
        for name, value in query.model_dump(exclude=set(PageQuery.model_fields) | {"sort"}).items():
            column = getattr(model, name.partition("__")[0])
            if value is not None and name.endswith("__icontains"):
                statement = statement.where(column.icontains(value, autoescape=True))
            elif value is not None:
                statement = statement.where(column == value)
        if query.count:
            total = await self.db.scalar(select(func.count()).select_from(statement.subquery()))
            self.response.headers["X-Total-Count"] = str(total)
        sort: str = getattr(query, "sort", None) or "created_at"
        columns = (getattr(model, sort.removeprefix("-")), model.id)
        ordered = (c.desc() if sort.startswith("-") else c.asc() for c in columns)
        statement = statement.order_by(*ordered).limit(query.limit + 1).offset(query.offset)
        rows = (await self.db.scalars(statement)).all()
        if len(rows) > query.limit:
            url = self.request.url.include_query_params(offset=query.offset + query.limit)
            self.response.headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
        return rows[: query.limit]

    async def create(self, row: M, values: Mapping[str, Any]) -> M:
        """Add *row* with *values* to the tenant."""
        for name, value in values.items():
            setattr(row, name, value)
        row.tenant_id = self.caller.tenant_id
        self.db.add(row)
        await self._write("flush")
        add_entry(self.db, row, "create", self.actor)
        await self._write("commit")
        self.response.headers["Location"] = f"{self.request.url.path.rstrip('/')}/{row.id}"
        self.check_match(row)
        return row

    async def update(self, row: M, values: Mapping[str, Any]) -> M:
        """Set *values* on *row*."""
        for name, value in values.items():
            setattr(row, name, value)
        add_entry(self.db, row, "update", self.actor)
        await self._write("commit")
        if isinstance(row, Task):
            self.response.headers["ETag"] = f'"{row.version}"'
        return row

    async def delete(self, row: Owned) -> None:
        """Delete *row*. Only admins may do that."""
        self.require_admin()
        add_entry(self.db, row, "delete", self.actor)
        await self.db.delete(row)
        await self._write("commit")

    async def history(self, row: Owned) -> Sequence[Entry]:
        """Return the changes of *row*, newest first."""
        statement = self.query(Entry).where(Entry.row_id == row.id)
        return (await self.db.scalars(statement.order_by(Entry.created_at.desc()))).all()

    async def _write(self, step: str) -> None:
        """Flush or commit. Raises a 409 if a constraint fails or the row has changed."""
        try:
            await getattr(self.db, step)()
        except IntegrityError as error:
            text = str(error.orig).lower()
            if "foreign key" in text:
                raise HTTPException(409, "Other rows refer to this one.") from error
            field = "email" if "email" in text else "name"
            errors = [{"pointer": f"#/{field}", "code": "not_unique"}]
            raise HTTPException(409, {"detail": "The value is taken.", "errors": errors}) from error
        except StaleDataError as error:
            raise HTTPException(412, "The row has changed.") from error


RowsDep = Annotated[Rows, Depends()]
