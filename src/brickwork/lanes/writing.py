"""The fast lanes of writes: each is one statement, which commits by itself.

What is refused has changed nothing, and is sent again on the ordinary lane, which tells why.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar, Final, TypeVar, cast

from fastapi import Request, Response
from fastapi.routing import RouteContext
from pydantic import ValidationError
from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    Integer,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    func,
    insert,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.dml import UpdateBase
from starlette.types import Scope
from typing_extensions import override

from brickwork.database import Database
from brickwork.deletion import is_soft, visible
from brickwork.documents import parse
from brickwork.drivers import Statement, compiled, insert as insert_row, write
from brickwork.etags import tag_of
from brickwork.keys import parse_key, primary_key
from brickwork.lanes.lane import Lane, Replayed, is_plain, shown_columns
from brickwork.links import item_path
from brickwork.listeners import is_write_watched
from brickwork.models import UTCDateTime, Versioned, created, now
from brickwork.negotiation import JSON
from brickwork.problems import Problem
from brickwork.routes import PATCH_TYPES
from brickwork.schemas import Schema
from brickwork.shapes import Shape
from brickwork.writes import Noted, columns

M = TypeVar("M", bound=DeclarativeBase)

_Default = Callable[[Mapping[str, Any]], Any]

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types of which both databases tell whether a value is another, as Python would."""

_TAG: Final = re.compile(rb'"([1-9][0-9]{0,8})"')
_MOST: Final = 256
"""How many statements are kept of those that differ in the fields that were sent."""


def create_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `POST /articles`, if the resource leaves it as it is."""
    shown, own = shown_columns(shape), columns(shape.model)
    if not (
        shown and shape.create.model_fields.keys() <= own.keys() and _is_plain(shape, "create")
    ):
        return None
    absent = {name: each for name, each in own.items() if name not in shape.create.model_fields}
    defaults = _given(absent, "default")
    return None if defaults is None else _Create(shape, shown, defaults)


def update_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `PATCH /articles/{id}`, if the resource leaves it as it is."""
    shown, moving = shown_columns(shape), _given(columns(shape.model), "onupdate")
    if not (shown and _is_plain(shape, "update", "get")):
        return None
    return None if moving is None else _Update(shape, shown, moving)


def delete_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `DELETE /articles/{id}`, if the resource leaves it as it is."""
    own, key = columns(shape.model), primary_key(shape.model).key
    moving = _given(own, "onupdate")
    if moving is None or not _is_plain(shape, "delete", "get"):
        return None
    return _Delete(shape, {key: own[key]}, moving)


def _is_plain(shape: Shape[Any], *steps: str) -> bool:
    """Tell whether a flush would send one statement, and nobody of the model's own sees it."""
    model: type[DeclarativeBase] = shape.model
    mapper = inspect(model)
    manager: Any = mapper.class_manager
    return (
        is_plain(shape.resource, *steps, "references")
        and shape.resource.isolation is None
        and not issubclass(shape.model, Noted)
        and mapper.inherits is None
        and mapper.polymorphic_on is None
        and len(mapper.tables) == 1
        and not mapper.validators
        and manager.original_init is mapper.registry.constructor
        and _counts(mapper.version_id_generator, shape.model)
    )


def _counts(generator: Any, model: type[DeclarativeBase]) -> bool:
    """Tell whether versions of *model*, if it has any, are 1, 2, 3 and so on."""
    column: Any = inspect(model).version_id_col
    if column is None:
        return True
    usual = issubclass(model, Versioned) and column is columns(model)["version"]
    return usual and callable(generator) and [generator(n) for n in (None, 1, 41)] == [1, 2, 42]


def _given(own: Mapping[str, Column[Any]], kind: str) -> Mapping[str, _Default] | None:
    """Return what Python gives the columns that are given nothing; None if a flush alone knows."""
    found: dict[str, _Default] = {}
    for name, column in own.items():
        default = getattr(column, kind)
        if default is not None and default.is_scalar:
            found[name] = _constant(default.arg)
        elif default is not None and default.is_callable:
            if (call := _called(default.arg)) is None:
                return None
            found[name] = call
    return found


def _constant(value: object) -> _Default:
    return lambda _: value


def _called(function: Any) -> _Default | None:
    """Return *function*, a default, such that it takes the other values; None if it takes more."""
    if function is created:
        return lambda values: created(cast("Any", SimpleNamespace(current_parameters=values)))
    if hasattr(function, "__wrapped__"):  # by SQLAlchemy, since it takes nothing
        return lambda _: function(None)
    return None


class _Writing(Lane[M]):
    """A lane of one statement, which writes."""

    unusual: ClassVar = {b"if-none-match", b"idempotency-key", b"prefer", b"content-encoding"}
    types: ClassVar = {JSON.encode()}

    def __init__(self, shape: Shape[M], columns: Mapping[str, Column[Any]]) -> None:
        """Compile a statement when it is known for which database, and of which fields."""
        super().__init__(shape, columns)
        self._statements: dict[object, Statement | None] = {}

    @override
    def is_watched(self, database: Database) -> bool:
        return is_write_watched(database.writer, self.shape.model)

    async def sent(self, scope: Scope, received: Replayed, schema: type[Schema]) -> Schema | None:
        """Return the body as *schema* has it; None if it is refused."""
        kinds = [value for name, value in scope["headers"] if name == b"content-type"]
        if len(kinds) != 1 or kinds[0] not in self.types or scope["query_string"]:
            return None
        try:
            body = await received.body()
            return None if body is None else schema.model_validate(parse(body))
        except (Problem, ValidationError):
            return None

    def statement(
        self, dialect: Dialect, variant: object, make: Callable[[], UpdateBase]
    ) -> Statement | None:
        """Return the statement that *make* makes, compiled once for each *variant* of it."""
        name = (dialect.name, variant)
        if name not in self._statements:
            if len(self._statements) >= _MOST:
                self._statements.clear()
            self._statements[name] = compiled(make(), self._columns, dialect)
        return self._statements[name]


class _Create(_Writing[M]):
    """The lane of a new row."""

    method: ClassVar = "POST"
    unusual: ClassVar = {*_Writing.unusual, b"if-match"}

    def __init__(
        self,
        shape: Shape[M],
        shown: Mapping[str, Column[Any]],
        defaults: Mapping[str, _Default],
    ) -> None:
        """Take what Python gives a new row, and find what the database does."""
        own, key = columns(shape.model), primary_key(shape.model).key
        first = {"version": 1} if _is_versioned(shape) else {}
        unknown = {key, *shown} - shape.create.model_fields.keys() - defaults.keys() - first.keys()
        returned = {name for name in unknown if not _is_null(own[name])}
        super().__init__(shape, {name: own[name] for name in returned or {key}})
        self._own, self._key, self._defaults, self._first = own, key, defaults, first
        self._fields = {*shape.create.model_fields}
        self._nulls = dict.fromkeys(unknown - returned)
        self._explicit = {name for name in self._fields if not _is_null(own[name])}
        self._is_known = not returned

    @override
    async def answer(
        self, scope: Scope, received: Replayed, route: RouteContext, database: Database
    ) -> Response | None:
        data = await self.sent(scope, received, self.shape.create)
        row = self._completed(data) if data else None
        if row is None:
            return None
        dialect = database.writer.dialect
        statement = self.statement(dialect, None, lambda: self._insert([*row]))
        # What can be known of the answer before is known before: nothing is stored if it fails.
        response = self._answer(scope, route, row) if self._is_known else None
        if statement is None or (self._is_known and response is None):
            return None
        many = self._of_many(dialect, row) if database.coalesce else None
        records = await (
            insert_row(database, statement, many, row)
            if many
            else write(database, statement, **row)
        )
        if response or not records:
            return response if records else None
        made = dict(zip(statement.columns, statement.read(records[0]), strict=True))
        if response := self._answer(scope, route, made | row):
            return response
        raise TypeError(f"A new row does not fit {self.shape.read.__name__}, and is stored.")

    def _completed(self, data: Schema) -> dict[str, Any] | None:
        """Return the values of a new row; None if only a flush would know them all."""
        row = self._first | data.model_dump(include=self._fields)
        if any(row[name] is None for name in self._explicit):  # None asks for a default there
            return None
        for name, default in self._defaults.items():
            row[name] = default(row)
        try:
            if self._key in row:
                self.shape.require_path(cast("M", SimpleNamespace(**row)))
        except Problem:
            return None
        return row

    def _answer(self, scope: Scope, route: RouteContext, row: Mapping[str, Any]) -> Response | None:
        known = {**self._nulls, **row}
        response = self.response(route, {name: known[name] for name in self._names}, 201)
        if response:
            response.headers["Location"] = item_path(Request(scope), row[self._key])
            if self._first:
                response.headers["ETag"] = tag_of(row["version"])
        return response

    def _insert(self, names: Sequence[str]) -> Any:
        values = {self._own[name]: bindparam(name, type_=self._own[name].type) for name in names}
        return insert(_table(self.shape)).values(values).returning(*self._columns.values())

    def _of_many(self, dialect: Dialect, row: Mapping[str, Any]) -> Statement | None:
        """Return the statement that inserts lists of values, where all else is known before."""
        if dialect.name != "postgresql" or not self._is_known:
            return None
        return self.statement(dialect, "many", lambda: self._insert_many([*row]))

    def _insert_many(self, names: Sequence[str]) -> Any:
        own = [self._own[name] for name in names]
        lists = [bindparam(n, type_=ARRAY(c.type)) for n, c in zip(names, own, strict=True)]
        rows = func.unnest(*lists).table_valued(*(each.name for each in own)).render_derived()
        values = select(*(rows.c[each.name] for each in own))
        return (
            insert(_table(self.shape)).from_select(own, values).returning(*self._columns.values())
        )


def _is_versioned(shape: Shape[Any]) -> bool:
    return issubclass(shape.model, Versioned)


def _table(shape: Shape[Any]) -> "Table[Any]":
    return cast("Table[Any]", shape.model.__table__)


def _is_null(column: Column[Any]) -> bool:
    """Tell whether *column* is NULL in a new row that is given None, or nothing."""
    return not (
        column.primary_key
        or column.default is not None
        or column.server_default is not None
        or column.type.should_evaluate_none
    )


class _Change(_Writing[M]):
    """A lane of a change of one row, of a certain version if the client says so."""

    def __init__(
        self,
        shape: Shape[M],
        returned: Mapping[str, Column[Any]],
        moving: Mapping[str, _Default],
    ) -> None:
        """Take what Python gives a row that changes."""
        super().__init__(shape, returned)
        self._own, self._moving = columns(shape.model), moving
        self._versioned = _is_versioned(shape)

    def condition(self, scope: Scope) -> Mapping[str, Any] | None:
        """Return which row is meant, and of which version; None if that is not for this lane."""
        tags = [value for name, value in scope["headers"] if name == b"if-match"]
        key = parse_key(self.shape.model, scope["path_params"]["id"])
        if key is None or scope["query_string"] or len(tags) > 1:
            return None
        if not tags:
            return None if self.shape.resource.require_match else {"key": key}
        found = _TAG.fullmatch(tags[0])
        return {"key": key, "expected": int(found[1])} if found and self._versioned else None

    def changing(self, names: Sequence[str], condition: Mapping[str, Any]) -> Any:
        """Return the statement that sets *names*, counts the version, and returns the row."""
        given = [*dict.fromkeys((*names, *self._moving))]
        values: dict[Any, Any] = {self._own[name]: self._value(name) for name in given}
        if self._versioned:
            values[self._own["version"]] = self._own["version"] + 1
        statement = update(_table(self.shape)).values(values)
        return self.narrowed(statement, condition).returning(*self._columns.values())

    def narrowed(self, statement: Any, condition: Mapping[str, Any]) -> Any:
        """Return *statement* for the one row that is meant, if it is shown."""
        key = self._own[primary_key(self.shape.model).key]
        narrowed = statement.where(key == bindparam("key", type_=key.type))
        if "expected" in condition:
            version = self._own["version"]
            narrowed = narrowed.where(version == bindparam("expected", type_=version.type))
        return narrowed.where(*visible(self.shape.model))

    def moved(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of *row*, and those that Python gives it since it changes."""
        return {**{name: each(row) for name, each in self._moving.items()}, **row}

    def _value(self, name: str) -> Any:
        return bindparam(name, type_=self._own[name].type)


class _Update(_Change[M]):
    """The lane of changed fields of a row."""

    method: ClassVar = "PATCH"
    types: ClassVar = {each.encode() for each in PATCH_TYPES}

    def __init__(
        self,
        shape: Shape[M],
        returned: Mapping[str, Column[Any]],
        moving: Mapping[str, _Default],
    ) -> None:
        """Find the fields of which the database can tell whether they change."""
        super().__init__(shape, returned, moving)
        kept = {primary_key(shape.model).key, *(["version"] if self._versioned else [])}
        self._comparable = {
            name
            for name, each in self._own.items()
            if isinstance(each.type, _COMPARABLE) and name not in kept
        }

    @override
    async def answer(
        self, scope: Scope, received: Replayed, route: RouteContext, database: Database
    ) -> Response | None:
        condition = self.condition(scope)
        sent = condition and await self._changes(scope, received)
        if not (condition and sent):
            return None
        names = sorted(sent)
        statement = self.statement(
            database.writer.dialect,
            (*names, *condition),
            lambda: self._differing(self.changing(names, condition), names),
        )
        given = {**self.moved(sent), **condition}
        records = await write(database, statement, **given) if statement else None
        return self._answer(route, statement, records[0], sent) if statement and records else None

    async def _changes(self, scope: Scope, received: Replayed) -> Mapping[str, Any] | None:
        """Return what was sent; None if the row has to be known for it."""
        data = await self.sent(scope, received, self.shape.update)
        sent = data.model_dump(exclude_unset=True) if data else {}
        return sent if sent.keys() <= self._comparable else None

    def _differing(self, statement: Any, names: Sequence[str]) -> Any:
        """Return *statement* for a row that changes by it: else nothing is to be written."""
        return statement.where(
            or_(*(self._own[name].is_distinct_from(self._value(name)) for name in names))
        )

    def _answer(
        self, route: RouteContext, statement: Statement, record: Any, sent: Mapping[str, Any]
    ) -> Response | None:
        row = dict(zip(statement.columns, statement.read(record), strict=True))
        response = self.response(route, {name: sent.get(name, row[name]) for name in self._names})
        if response and self._versioned:
            response.headers["ETag"] = tag_of(row["version"])
        return response


class _Delete(_Change[M]):
    """The lane of a row that is removed, or marked as it."""

    method: ClassVar = "DELETE"

    @override
    async def answer(
        self, scope: Scope, received: Replayed, route: RouteContext, database: Database
    ) -> Response | None:
        if (condition := self.condition(scope)) is None:
            return None
        soft = is_soft(self.shape.model)
        # Without a mark, rows that are related may have to go with it, which the session knows.
        if not soft and [*inspect(self.shape.model).relationships]:
            return None
        statement = self.statement(
            database.writer.dialect,
            (*condition,),
            lambda: self._marking(condition) if soft else self._removing(condition),
        )
        given = self.moved({"deleted_at": now()}) if soft else {}
        records = await write(database, statement, **given, **condition) if statement else None
        return Response(status_code=204) if records else None

    def _marking(self, condition: Mapping[str, Any]) -> Any:
        return self.changing(["deleted_at"], condition)

    def _removing(self, condition: Mapping[str, Any]) -> Any:
        statement = delete(_table(self.shape))
        return self.narrowed(statement, condition).returning(*self._columns.values())
