"""The fast lanes of changes: some fields of a row, and its end."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from fastapi import Response
from fastapi.routing import RouteContext
from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Float,
    Integer,
    String,
    Uuid,
    bindparam,
    delete,
    inspect,
    or_,
    update,
)
from sqlalchemy.orm import DeclarativeBase
from starlette.types import Scope
from typing_extensions import override

from brickwork.database import Database
from brickwork.deletion import is_soft, visible
from brickwork.drivers import write
from brickwork.etags import tag_of
from brickwork.keys import parse_key, primary_key
from brickwork.lanes.lane import Lane, Replayed, shown_columns
from brickwork.lanes.writing import (
    Default,
    Writing,
    defaults_of,
    is_plain_write,
    is_versioned,
    table_of,
)
from brickwork.models import UTCDateTime, now
from brickwork.routes import PATCH_TYPES
from brickwork.shapes import Shape
from brickwork.statements import Statement
from brickwork.writes import columns

M = TypeVar("M", bound=DeclarativeBase)

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types of which both databases tell whether a value is another, as Python would."""

_KEY: Final = "brickwork_key"
_VERSION: Final = "brickwork_version"
"""The parameters that say which row is meant; the others have the names of columns."""

_TAG: Final = re.compile(rb'"([1-9][0-9]{0,8})"')


def update_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `PATCH /articles/{id}`, if the resource leaves it as it is."""
    shown, moving = shown_columns(shape), defaults_of(columns(shape.model), "onupdate")
    if not (shown and is_plain_write(shape, "update", "get")):
        return None
    return None if moving is None else _Update(shape, shown, moving)


def delete_lane(shape: Shape[M]) -> Lane[M] | None:
    """Return the fast lane of `DELETE /articles/{id}`, if the resource leaves it as it is."""
    own, key = columns(shape.model), primary_key(shape.model).key
    moving = defaults_of(own, "onupdate")
    if moving is None or not is_plain_write(shape, "delete", "get"):
        return None
    return _Delete(shape, {key: own[key]}, moving)


class _Change(Writing[M]):
    """A lane of a change of one row, of a certain version if the client says so."""

    def __init__(
        self,
        shape: Shape[M],
        returned: Mapping[str, Column[Any]],
        moving: Mapping[str, Default],
    ) -> None:
        """Take what Python gives a row that changes."""
        super().__init__(shape, returned)
        self._own, self._moving = columns(shape.model), moving
        self._versioned = is_versioned(shape)

    def condition(self, scope: Scope) -> Mapping[str, Any] | None:
        """Return which row is meant, and of which version; None if that is not for this lane."""
        tags = [value for name, value in scope["headers"] if name == b"if-match"]
        key = parse_key(self.shape.model, scope["path_params"]["id"])
        if key is None or scope["query_string"] or len(tags) > 1:
            return None
        if not tags:
            return None if self.shape.resource.require_match else {_KEY: key}
        found = _TAG.fullmatch(tags[0])
        return {_KEY: key, _VERSION: int(found[1])} if found and self._versioned else None

    def changing(self, names: Sequence[str], condition: Mapping[str, Any]) -> Any:
        """Return the statement that sets *names*, counts the version, and returns the row."""
        given = [*dict.fromkeys((*names, *self._moving))]
        values: dict[Any, Any] = {self._own[name]: self._value(name) for name in given}
        if self._versioned:
            values[self._own["version"]] = self._own["version"] + 1
        statement = update(table_of(self.shape)).values(values)
        return self.narrowed(statement, condition).returning(*self._columns.values())

    def narrowed(self, statement: Any, condition: Mapping[str, Any]) -> Any:
        """Return *statement* for the one row that is meant, if it is shown."""
        key = self._own[primary_key(self.shape.model).key]
        narrowed = statement.where(key == bindparam(_KEY, type_=key.type))
        if _VERSION in condition:
            version = self._own["version"]
            narrowed = narrowed.where(version == bindparam(_VERSION, type_=version.type))
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
        moving: Mapping[str, Default],
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
        records = await write(database, statement, given) if statement else None
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
        records = await write(database, statement, {**given, **condition}) if statement else None
        return Response(status_code=204) if records else None

    def _marking(self, condition: Mapping[str, Any]) -> Any:
        return self.changing(["deleted_at"], condition)

    def _removing(self, condition: Mapping[str, Any]) -> Any:
        statement = delete(table_of(self.shape))
        return self.narrowed(statement, condition).returning(*self._columns.values())
