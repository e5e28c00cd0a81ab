"""The fast lanes of new rows: one, and several at once."""

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, TypeVar, cast

from fastapi import Response
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import (
    ARRAY,
    ClauseElement,
    Column,
    Dialect,
    Select,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.orm import DeclarativeBase
from typing_extensions import override

from brickwork.database.compiled import BoundStatement
from brickwork.database.database import Database
from brickwork.database.driver import execute_write, insert_many, insert_one as insert_row
from brickwork.fastpath.eligibility import NotEligible
from brickwork.fastpath.operation import BoundOperation, FastOperation, selected_columns
from brickwork.fastpath.prefetch import ReferencePrefetch
from brickwork.fastpath.request import FastRequest
from brickwork.fastpath.samples import sample_values
from brickwork.fastpath.write import (
    FastWrite,
    PythonDefault,
    has_standard_version,
    mapped_table,
    python_defaults,
    require_plain_flush,
)
from brickwork.http.links import item_path
from brickwork.problems import Problem
from brickwork.query.keys import primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.schema import Schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)


def fast_create(shape: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast lane of `POST /articles`; raises `NotEligible` if it is overridden."""
    return _Create(shape, *_made(shape))


def fast_create_batch(shape: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast lane of `POST /articles/batch`; raises `NotEligible` as above."""
    return _CreateBatch(shape, *_made(shape))


def _made(
    shape: ResourceDefinition[M],
) -> tuple[Mapping[str, Column[Any]], Mapping[str, PythonDefault]]:
    """Return the columns that are shown of a new row, and what Python gives it."""
    shown, own = selected_columns(shape), mapped_columns(shape.model)
    if others := sorted(shape.create.model_fields.keys() - own.keys()):
        raise NotEligible(f"{', '.join(others)} is no column of {shape.model.__name__}")
    require_plain_flush(shape, "create", "query")
    absent = {name: each for name, each in own.items() if name not in shape.create.model_fields}
    return shown, python_defaults(absent, "default")


class _Create(FastWrite[M]):
    """The lane of a new row."""

    method: ClassVar = "POST"
    unusual: ClassVar = {*FastWrite.unusual, b"if-match"}

    def __init__(
        self,
        shape: ResourceDefinition[M],
        shown: Mapping[str, Column[Any]],
        defaults: Mapping[str, PythonDefault],
    ) -> None:
        """Take what Python gives a new row, and find what the database does."""
        own, key = mapped_columns(shape.model), primary_key(shape.model).key
        first = {"version": 1} if has_standard_version(shape) else {}
        self._references = ReferencePrefetch(shape)
        unknown = {key, *shown, *self._references.names}
        unknown -= {*shape.create.model_fields, *defaults, *first}
        returned = {name for name in unknown if not _is_null(own[name])}
        given = {name: own[name] for name in returned or {key}}
        super().__init__(shape, given, shape.model, *self._references.models)
        self._own, self._key, self._defaults, self._first = own, key, defaults, first
        self._fields = {*shape.create.model_fields}
        self._nulls, self._made = dict.fromkeys(unknown - returned), returned
        if made := returned.intersection(self._references.names):
            raise NotEligible(f"the database makes {', '.join(sorted(made))}")
        self._explicit = {name for name in self._fields if not _is_null(own[name])}
        self._nullable = {name for name in self._explicit if _stores_null(own[name])}
        self.is_known = not returned

    @override
    async def answer(self, call: FastRequest[M]) -> Response | None:
        data = await self.sent(call)
        row = self.completed(data) if data else None
        if row is None:
            return None
        if (referred := await self._references.of(call.database, self._nulls | row)) is None:
            return None
        dialect = call.database.writer.dialect
        one = self._of_one(dialect, [*row])
        shown = {**row, **referred.shown}
        # Nothing is stored of a row that cannot be shown.
        trial = self._answer(call, {**self._samples, **shown})
        if one is None or trial is None:
            return None
        shared = call.database.coalesce and one.statement.shareable
        many = self._of_many(dialect, [*row]) if shared else None
        records = await (
            insert_row(call.database, one.statement, many.statement, row)
            if many
            else execute_write(call.database, one.statement, row)
        )
        if self.is_known or not records:
            return trial if records else None
        made = dict(zip(one.statement.columns, one.statement.read(records[0]), strict=True))
        if response := self._answer(call, made | shown):
            return response
        raise TypeError(f"The database made what no {self.shape.read.__name__} can show.")

    @override
    def included(self, route: APIRoute | RouteContext) -> BoundOperation[M]:
        every = sample_values(self.shape)
        made = self._made.intersection(self.shape.read.model_fields)
        if unknown := made - every.keys():
            names = ", ".join(sorted(unknown))
            raise NotEligible(f"{self.shape.read.__name__} may refuse what is made of {names}")
        self._samples = {self._key: "", **{name: every[name] for name in made}}
        return super().included(route)

    @override
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        dialect = database.writer.dialect
        yield from self._references.usual(database, is_new=True)
        yield self._of_one(dialect, self.names)
        if database.coalesce and (many := self._of_many(dialect, self.names)):
            yield many

    @property
    def names(self) -> Sequence[str]:
        """The columns that most requests give a value."""
        return [*self._first, *self.shape.create.model_fields, *self._defaults]

    def completed(self, data: Schema) -> dict[str, Any] | None:
        """Return the values of a new row; None if only a flush would know them all."""
        row = self._first | data.model_dump(include=self._fields)
        given = self._nullable & data.model_fields_set
        if any(row[name] is None for name in self._explicit - given):  # the default is another
            return None
        for name, default in self._defaults.items():
            row[name] = default(row)
        try:
            if self._key in row:
                self.shape.require_path(cast("M", SimpleNamespace(**row)))
        except Problem:
            return None
        return row

    def known(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what is shown of the new *row*."""
        known = {**self._nulls, **row}
        return {name: known[name] for name in self.shape.read.model_fields}

    def _answer(self, call: FastRequest[M], row: Mapping[str, Any]) -> Response | None:
        headers = {"Location": item_path(call.request, row[self._key])}
        version = row["version"] if self._first else None
        return self.response(call.route, self.known(row), headers, status=201, version=version)

    def _insert(self, names: Sequence[str]) -> Any:
        values = {self._own[name]: bindparam(name, type_=self._own[name].type) for name in names}
        return insert(mapped_table(self.shape)).values(values).returning(*self._columns.values())

    def _of_one(self, dialect: Dialect, names: Sequence[str]) -> BoundStatement | None:
        return self.statement(dialect, None, "one", lambda: self._insert(names))

    def _of_many(self, dialect: Dialect, names: Sequence[str]) -> BoundStatement | None:
        """Return the statement that inserts lists of values, where all else is known before."""
        if dialect.name != "postgresql" or not self.is_known:
            return None
        return self.statement(dialect, None, "many", lambda: self._insert_many(dialect, names))

    def _insert_many(self, dialect: Dialect, names: Sequence[str]) -> ClauseElement | None:
        own = [self._own[name] for name in names]
        if any(each.type.compile(dialect).endswith("[]") for each in own):
            return None  # unnest would take lists of lists apart
        lists = [bindparam(n, type_=ARRAY(c.type)) for n, c in zip(names, own, strict=True)]
        rows = func.unnest(*lists).table_valued(*(each.name for each in own)).render_derived()
        values = select(*(rows.c[each.name] for each in own))
        return (
            insert(mapped_table(self.shape))
            .from_select(own, values)
            .returning(*self._columns.values())
        )


class _CreateBatch(_Create[M]):
    """The lane of several new rows, of which all is known before."""

    def __init__(
        self,
        shape: ResourceDefinition[M],
        shown: Mapping[str, Column[Any]],
        defaults: Mapping[str, PythonDefault],
    ) -> None:
        """Take the same; raises `NotEligible` if the database has to be asked what it made."""
        super().__init__(shape, shown, defaults)
        if not self.is_known:
            raise NotEligible(f"the database makes some of what {shape.read.__name__} shows")
        if self._references.names:
            raise NotEligible(f"{shape.read.__name__} shows rows that are related")

    @override
    async def answer(self, call: FastRequest[M]) -> Response | None:
        items = await self.sent(call)
        rows = [self.completed(each) for each in items or ()]
        made = [each for each in rows if each is not None]
        if not made or len(made) < len(rows):
            return None
        dialect, names = call.database.writer.dialect, [*made[0]]
        insertion = self._of_all(dialect, names)
        response = self.response(call.route, [self.known(each) for each in made], status=201)
        if insertion is None or response is None:
            return None
        return response if await insert_many(call.database, insertion.statement, made) else None

    @override
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        yield self._of_all(database.writer.dialect, self.names)

    def _of_all(self, dialect: Dialect, names: Sequence[str]) -> BoundStatement | None:
        several = dialect.name == "postgresql"
        return self._of_many(dialect, names) if several else self._of_one(dialect, names)


def _stores_null(column: Column[Any]) -> bool:
    """Tell whether a None that a client sent for *column* is stored as NULL."""
    return not (column.primary_key or column.type.should_evaluate_none)


def _is_null(column: Column[Any]) -> bool:
    """Tell whether *column* is NULL in a new row that is given None, or nothing."""
    return not (
        column.primary_key
        or column.default is not None
        or column.server_default is not None
        or column.type.should_evaluate_none
    )
