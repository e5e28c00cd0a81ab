"""The fast lanes of changes: some fields of a row, and its end."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from fastapi import Response
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import (
    Boolean,
    ClauseElement,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    Integer,
    Select,
    String,
    Uuid,
    bindparam,
    delete,
    inspect,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import DeclarativeBase
from typing_extensions import override

from brickwork.database.compiled import BoundStatement, CompiledStatement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, execute_write, fetch_rows
from brickwork.fastpath.eligibility import NotEligible
from brickwork.fastpath.operation import (
    STRONG_ETAG,
    BoundOperation,
    FastOperation,
    selected_columns,
)
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
from brickwork.http.routing import PATCH_TYPES
from brickwork.models.model import UTCDateTime, now
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import parse_key, primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.schema import Schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types of which both databases tell whether a value is another, as Python would."""

_VERSION: Final = "brickwork_version"
"""The parameter that says which version is meant; the others have the names of columns."""

_STILL: Final = "brickwork_still_"
"""What the parameters begin with that say what a row still has to refer to."""


def fast_update(shape: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast lane of `PATCH /articles/{id}`; raises `NotEligible` if it is overridden."""
    require_plain_flush(shape, "update", "get", "query")
    moving = python_defaults(mapped_columns(shape.model), "onupdate")
    return _Update(shape, selected_columns(shape), moving)


def fast_delete(shape: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast lane of `DELETE /articles/{id}`; raises `NotEligible` if it is overridden."""
    require_plain_flush(shape, "delete", "get")
    own, key = mapped_columns(shape.model), primary_key(shape.model).key
    return _Delete(shape, {key: own[key]}, python_defaults(own, "onupdate"))


class _Change(FastWrite[M]):
    """A lane of a change of one row, of a certain version if the client says so."""

    def __init__(
        self,
        shape: ResourceDefinition[M],
        returned: Mapping[str, Column[Any]],
        moving: Mapping[str, PythonDefault],
        *models: type[DeclarativeBase],
    ) -> None:
        """Take what Python gives a row that changes; rows of *models* are read besides."""
        super().__init__(shape, returned, shape.model, *models)
        self._own, self._moving = mapped_columns(shape.model), moving
        self._versioned = has_standard_version(shape)

    def condition(self, call: FastRequest[M]) -> Mapping[str, Any] | None:
        """Return which row is meant, and of which version; None if that is not for this lane."""
        tags = call.headers(b"if-match")
        key = parse_key(self.shape.model, call.key)
        if key is None or call.query or len(tags) > 1:
            return None
        if not tags:
            return None if self.shape.resource.require_if_match else {KEY_PARAM: key}
        found = STRONG_ETAG.fullmatch(tags[0])
        return {KEY_PARAM: key, _VERSION: int(found[1])} if found and self._versioned else None

    def changing(self, names: Sequence[str]) -> Any:
        """Return the statement that sets *names* and counts the version."""
        given = [*dict.fromkeys((*names, *self._moving))]
        values: dict[Any, Any] = {self._own[name]: self._value(name) for name in given}
        if self._versioned:
            values[self._own["version"]] = self._own["version"] + literal_column("1")
        return update(mapped_table(self.shape)).values(values)

    def narrowed(
        self, statement: Any, rows: Select[M], condition: Mapping[str, Any]
    ) -> ClauseElement:
        """Return *statement* for the one of *rows* that is meant."""
        narrowing = rows._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        key = self._own[primary_key(self.shape.model).key]
        narrowed = statement.where(*narrowing, key == bindparam(KEY_PARAM, type_=key.type))
        if _VERSION in condition:
            version = self._own["version"]
            narrowed = narrowed.where(version == bindparam(_VERSION, type_=version.type))
        for name in condition.keys() - {KEY_PARAM, _VERSION}:
            own = self._own[name.removeprefix(_STILL)]
            still = bindparam(name, type_=own.type)
            narrowed = narrowed.where(own.is_not_distinct_from(still))
        found: ClauseElement = narrowed.returning(*self._columns.values())
        return found

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
        shape: ResourceDefinition[M],
        returned: Mapping[str, Column[Any]],
        moving: Mapping[str, PythonDefault],
    ) -> None:
        """Find the fields of which the database can tell whether they change."""
        self._references = ReferencePrefetch(shape)
        super().__init__(shape, returned, moving, *self._references.models)
        kept = {primary_key(shape.model).key, *(["version"] if self._versioned else [])}
        self._comparable = {
            name
            for name, each in self._own.items()
            if isinstance(each.type, _COMPARABLE) and name not in kept
        }

    @override
    async def answer(self, call: FastRequest[M]) -> Response | None:
        condition = self.condition(call)
        sent = condition and await self._changes(call)
        if not (condition and sent):
            return None
        if (before := await self._before(call, condition)) is None:
            return None
        referred = await self._references.of(call.database, sent, condition[KEY_PARAM])
        if referred is None:
            return None
        moved = self.moved(sent)
        trial = self._named({**before, **moved, **referred.shown})
        if self.body(call.route, trial) is None:
            return None  # nothing is stored of a change that cannot be shown
        doubted = {name: before[name] for name in self._doubted}
        condition = {**condition, **_still({**doubted, **referred.values}, sent)}
        change = self._of(call.rows, call.database.writer.dialect, sorted(sent), condition)
        if change is None:
            return None
        given = {**change.values, **moved, **condition}
        records = await execute_write(call.database, change.statement, given)
        shown = {**sent, **referred.shown}
        return self._answer(call, change.statement, records[0], shown) if records else None

    @override
    def included(self, route: APIRoute | RouteContext) -> BoundOperation[M]:
        self._samples = sample_values(self.shape)
        shown = [each for each in self.shape.read.model_fields if each in self._own]
        self._doubted = [each for each in shown if each not in self._samples]
        if unknown := [each for each in self._doubted if not self._is_kept(each)]:
            names = ", ".join(sorted(unknown))
            raise NotEligible(f"{self.shape.read.__name__} may refuse what is stored in {names}")
        return super().included(route)

    def _is_kept(self, name: str) -> bool:
        """Tell whether the value of column *name* is known before a change, or compared with it."""
        column = self._own[name]
        if column.server_onupdate is not None:
            return False
        if column.onupdate is not None and name not in self._moving:
            return False
        return column.primary_key or name in self._comparable

    @override
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        if self._doubted:
            yield self._known(rows, database.reader.dialect)
        yield from self._references.usual(database, is_new=False)
        names = sorted(self._comparable & self.shape.update.model_fields.keys())
        still = _still(dict.fromkeys((*self._doubted, *self._references.names)), names)
        yield self._of(rows, database.writer.dialect, names, still)

    async def _before(
        self, call: FastRequest[M], condition: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Return a row for the trial of an answer; None if there is none.

        It is the row itself where the read schema may refuse one of its values, else a sample.
        """
        if not self._doubted:
            return self._samples
        known = self._known(call.rows, call.database.reader.dialect)
        given = known and {**known.values, KEY_PARAM: condition[KEY_PARAM]}
        records = known and await fetch_rows(call.database, known.statement, given or {})
        if not known or not records:
            return None
        return dict(zip(known.statement.columns, known.statement.read(records[0]), strict=True))

    def _known(self, rows: Select[M], dialect: Dialect) -> BoundStatement | None:
        """Return the statement that reads the row as it is before."""
        key = self._own[primary_key(self.shape.model).key]
        shown = select(*self._columns.values())
        narrowing = rows._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        found = shown.where(*narrowing, key == bindparam(KEY_PARAM, type_=key.type))
        return self.statement(dialect, rows, "before", lambda: found)

    def _of(
        self, rows: Select[M], dialect: Dialect, names: Sequence[str], condition: Mapping[str, Any]
    ) -> BoundStatement | None:
        return self.statement(
            dialect,
            rows,
            (*names, *condition),
            lambda: self.narrowed(self._differing(names), rows, condition),
        )

    async def _changes(self, call: FastRequest[M]) -> Mapping[str, Any] | None:
        """Return what was sent; None if the row has to be known for it."""
        data: Schema | None = await self.sent(call)
        if data is None or not data.model_fields_set <= self._comparable:
            return None
        return data.model_dump(exclude_unset=True)

    def _differing(self, names: Sequence[str]) -> Any:
        """Return the statement for a row that *names* change: else there is nothing to write."""
        return self.changing(names).where(
            or_(*(self._own[name].is_distinct_from(self._value(name)) for name in names))
        )

    def _answer(
        self,
        call: FastRequest[M],
        statement: CompiledStatement,
        record: Any,
        known: Mapping[str, Any],
    ) -> Response | None:
        row = {**dict(zip(statement.columns, statement.read(record), strict=True)), **known}
        version = row["version"] if self._versioned else None
        return self.response(call.route, self._named(row), version=version)

    def _named(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what is shown of *row*."""
        return {name: row[name] for name in self.shape.read.model_fields}


class _Delete(_Change[M]):
    """The lane of a row that is removed, or marked as it."""

    method: ClassVar = "DELETE"

    @override
    async def answer(self, call: FastRequest[M]) -> Response | None:
        condition = self.condition(call)
        if condition is None or not self._is_alone():
            return None
        if (change := self._of(call.rows, call.database.writer.dialect, condition)) is None:
            return None
        marked = self.moved({"deleted_at": now()}) if is_soft_deletable(self.shape.model) else {}
        given = {**change.values, **marked, **condition}
        records = await execute_write(call.database, change.statement, given)
        return Response(status_code=204) if records else None

    @override
    def usual(self, rows: Select[M], database: Database) -> Iterator[BoundStatement | None]:
        if not self._is_alone():
            raise NotEligible(f"others may have to go with a {self.shape.model.__name__}")
        yield self._of(rows, database.writer.dialect, {})

    def _of(
        self, rows: Select[M], dialect: Dialect, condition: Mapping[str, Any]
    ) -> BoundStatement | None:
        return self.statement(
            dialect, rows, (*condition,), lambda: self.narrowed(self._ending(), rows, condition)
        )

    def _ending(self) -> Any:
        table = mapped_table(self.shape)
        return (
            self.changing(["deleted_at"]) if is_soft_deletable(self.shape.model) else delete(table)
        )

    def _is_alone(self) -> bool:
        """Tell whether no row goes with it: which do where it is not marked, the session knows."""
        return is_soft_deletable(self.shape.model) or not [*inspect(self.shape.model).relationships]


def _still(values: Mapping[str, Any], sent: Collection[str]) -> Mapping[str, Any]:
    """Return the *values* that are not *sent*, as parameters."""
    return {_STILL + name: each for name, each in values.items() if name not in sent}
