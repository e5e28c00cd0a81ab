"""Fast PATCH and DELETE of one row."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar, Final, TypeVar

from fastapi import Response
from fastapi.routing import APIRoute, RouteContext
from sqlalchemy import (
    Boolean,
    ClauseElement,
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
    Columns,
    FastOperation,
    Statements,
    selected_columns,
)
from brickwork.fastpath.prefetch import ReferencePrefetch
from brickwork.fastpath.request import FastRequest
from brickwork.fastpath.samples import sample_values
from brickwork.fastpath.write import (
    FastWrite,
    PythonDefaults,
    is_versioned,
    mapped_table,
    python_defaults,
    require_plain_flush,
)
from brickwork.http.json_request import PATCH_TYPES
from brickwork.models.model import UTCDateTime, now
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import parse_key, primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.schema import Schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)

_COMPARABLE: Final = (Boolean, Date, DateTime, Float, Integer, String, Uuid, UTCDateTime)
"""Types whose values both databases compare as Python does."""

_VERSION_PARAM: Final = "brickwork_version"
"""Bind parameter of the expected version; the parameters of columns have the columns' names."""

_UNCHANGED_PREFIX: Final = "brickwork_still_"
"""Prefix of parameters that must equal the values read before the update."""


def fast_update(definition: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast path of `PATCH /articles/{id}`. Raises `NotEligible` if overridden."""
    require_plain_flush(definition, "update", "get", "query")
    onupdate_defaults = python_defaults(mapped_columns(definition.model), "onupdate")
    return _FastUpdate(definition, selected_columns(definition), onupdate_defaults)


def fast_delete(definition: ResourceDefinition[M]) -> FastOperation[M]:
    """Return the fast path of `DELETE /articles/{id}`. Raises `NotEligible` if overridden."""
    require_plain_flush(definition, "delete", "get")
    columns, key = mapped_columns(definition.model), primary_key(definition.model).key
    return _FastDelete(definition, {key: columns[key]}, python_defaults(columns, "onupdate"))


class _FastWriteByKey(FastWrite[M]):
    """Fast write of one row, of a given version if the client sends If-Match."""

    def __init__(
        self,
        definition: ResourceDefinition[M],
        returned: Columns,
        onupdate_defaults: PythonDefaults,
        *models: type[DeclarativeBase],
    ) -> None:
        """Store the Python defaults of an update; *models* are read in addition to the row."""
        super().__init__(definition, returned, definition.model, *models)
        self._mapped_columns = mapped_columns(definition.model)
        self._onupdate_defaults = onupdate_defaults
        self._versioned = is_versioned(definition)

    def target_row(self, request: FastRequest[M]) -> Mapping[str, Any] | None:
        """Return the parameters that identify the row and its version.

        None if the ORM path has to handle the request.
        """
        tags = request.headers(b"if-match")
        key = parse_key(self.definition.model, request.key)
        if key is None or request.query or len(tags) > 1:
            return None
        if not tags:
            return None if self.definition.resource.require_if_match else {KEY_PARAM: key}
        tag = STRONG_ETAG.fullmatch(tags[0])
        return {KEY_PARAM: key, _VERSION_PARAM: int(tag[1])} if tag and self._versioned else None

    def build_update(self, names: Sequence[str]) -> Any:
        """Build the UPDATE that sets *names* and increments the version."""
        changed = [*dict.fromkeys((*names, *self._onupdate_defaults))]
        values: dict[Any, Any] = {self._mapped_columns[name]: self._param(name) for name in changed}
        if self._versioned:
            version = self._mapped_columns["version"]
            values[version] = version + literal_column("1")
        return update(mapped_table(self.definition)).values(values)

    def where_target(
        self, write: Any, statement: Select[M], target: Mapping[str, Any]
    ) -> ClauseElement:
        """Restrict *write* to the *target* row, if *statement* selects it."""
        where = statement._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        key = self._mapped_columns[primary_key(self.definition.model).key]
        write = write.where(*where, key == bindparam(KEY_PARAM, type_=key.type))
        if _VERSION_PARAM in target:
            version = self._mapped_columns["version"]
            write = write.where(version == bindparam(_VERSION_PARAM, type_=version.type))
        for name in target.keys() - {KEY_PARAM, _VERSION_PARAM}:
            column = self._mapped_columns[name.removeprefix(_UNCHANGED_PREFIX)]
            before = bindparam(name, type_=column.type)
            write = write.where(column.is_not_distinct_from(before))
        returning: ClauseElement = write.returning(*self._columns.values())
        return returning

    def with_onupdate_values(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return *row* with the values of Python's `onupdate` defaults added."""
        defaults = self._onupdate_defaults.items()
        return {**{name: default(row) for name, default in defaults}, **row}

    def _param(self, name: str) -> Any:
        return bindparam(name, type_=self._mapped_columns[name].type)


class _FastUpdate(_FastWriteByKey[M]):
    """Fast PATCH of a row."""

    method: ClassVar = "PATCH"
    content_types: ClassVar = {media_type.encode() for media_type in PATCH_TYPES}

    def __init__(
        self,
        definition: ResourceDefinition[M],
        returned: Columns,
        onupdate_defaults: PythonDefaults,
    ) -> None:
        """Find the columns whose changes the database can detect."""
        self._references = ReferencePrefetch(definition)
        super().__init__(definition, returned, onupdate_defaults, *self._references.models)
        fixed = {primary_key(definition.model).key, *(["version"] if self._versioned else [])}
        self._comparable = {
            name
            for name, column in self._mapped_columns.items()
            if isinstance(column.type, _COMPARABLE) and name not in fixed
        }

    @override
    async def respond(self, request: FastRequest[M]) -> Response | None:
        target = self.target_row(request)
        changes = target and await self._parse_changes(request)
        if not (target and changes):
            return None
        if (before := await self._load_trial_row(request, target)) is None:
            return None
        references = await self._references.load(request.database, changes, target[KEY_PARAM])
        if references is None:
            return None
        values = self.with_onupdate_values(changes)
        trial = self._read_fields({**before, **values, **references.rows})
        if self.body(request.route, trial) is None:
            return None  # a change that cannot be serialised is not stored
        uncertain = {name: before[name] for name in self._uncertain_columns}
        unchanged = _unchanged_params({**uncertain, **references.key_values}, changes)
        target = {**target, **unchanged}
        dialect = request.database.writer.dialect
        write = self._write_statement(request.statement, dialect, sorted(changes), target)
        if write is None:
            return None
        params = {**write.values, **values, **target}
        records = await execute_write(request.database, write.statement, params)
        fields = {**changes, **references.rows}
        return self._row_response(request, write.statement, records[0], fields) if records else None

    @override
    def bind(self, route: APIRoute | RouteContext) -> BoundOperation[M]:
        read = self.definition.read
        self._samples = sample_values(self.definition)
        names = [name for name in read.model_fields if name in self._mapped_columns]
        self._uncertain_columns = [name for name in names if name not in self._samples]
        if unknown := [name for name in self._uncertain_columns if not self._is_predictable(name)]:
            names = sorted(unknown)
            raise NotEligible(f"{read.__name__} may reject stored values of {', '.join(names)}")
        return super().bind(route)

    def _is_predictable(self, name: str) -> bool:
        """Return whether the value of column *name* can be read before the update and compared."""
        column = self._mapped_columns[name]
        if column.server_onupdate is not None:
            return False
        if column.onupdate is not None and name not in self._onupdate_defaults:
            return False
        return column.primary_key or name in self._comparable

    @override
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        if self._uncertain_columns:
            yield self._select_before(statement, database.reader.dialect)
        yield from self._references.common_statements(database, is_new=False)
        names = sorted(self._comparable & self.definition.update.model_fields.keys())
        compared = dict.fromkeys((*self._uncertain_columns, *self._references.foreign_keys))
        unchanged = _unchanged_params(compared, names)
        yield self._write_statement(statement, database.writer.dialect, names, unchanged)

    async def _load_trial_row(
        self, request: FastRequest[M], target: Mapping[str, Any]
    ) -> Mapping[str, Any] | None:
        """Return the values with which the response is serialised before the update.

        These are the stored values where the read schema may reject some, else samples. None if
        there is no such row.
        """
        if not self._uncertain_columns:
            return self._samples
        select_row = self._select_before(request.statement, request.database.reader.dialect)
        params = select_row and {**select_row.values, KEY_PARAM: target[KEY_PARAM]}
        records = select_row and await fetch_rows(
            request.database, select_row.statement, params or {}
        )
        if not select_row or not records:
            return None
        compiled = select_row.statement
        return dict(zip(compiled.columns, compiled.decode_row(records[0]), strict=True))

    def _select_before(self, statement: Select[M], dialect: Dialect) -> BoundStatement | None:
        """Return the statement that reads the row before the update."""
        key = self._mapped_columns[primary_key(self.definition.model).key]
        columns = select(*self._columns.values())
        where = statement._where_criteria  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        select_row = columns.where(*where, key == bindparam(KEY_PARAM, type_=key.type))
        return self.cached_statement(dialect, statement, "before", lambda: select_row)

    def _write_statement(
        self,
        statement: Select[M],
        dialect: Dialect,
        names: Sequence[str],
        target: Mapping[str, Any],
    ) -> BoundStatement | None:
        return self.cached_statement(
            dialect,
            statement,
            (*names, *target),
            lambda: self.where_target(self._update_if_changed(names), statement, target),
        )

    async def _parse_changes(self, request: FastRequest[M]) -> Mapping[str, Any] | None:
        """Return the fields sent. None if one of them can only be compared in Python."""
        data: Schema | None = await self.parse_body(request)
        if data is None or not data.model_fields_set <= self._comparable:
            return None
        return data.model_dump(exclude_unset=True)

    def _update_if_changed(self, names: Sequence[str]) -> Any:
        """Build an UPDATE that matches only a row in which one of *names* changes."""
        columns = self._mapped_columns
        return self.build_update(names).where(
            or_(*(columns[name].is_distinct_from(self._param(name)) for name in names))
        )

    def _row_response(
        self,
        request: FastRequest[M],
        statement: CompiledStatement,
        record: Any,
        fields: Mapping[str, Any],
    ) -> Response | None:
        row = {**dict(zip(statement.columns, statement.decode_row(record), strict=True)), **fields}
        version = row["version"] if self._versioned else None
        return self.response(request.route, self._read_fields(row), version=version)

    def _read_fields(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of the fields of the read schema."""
        return {name: row[name] for name in self.definition.read.model_fields}


class _FastDelete(_FastWriteByKey[M]):
    """Fast DELETE of a row, or the update that marks it as deleted."""

    method: ClassVar = "DELETE"

    @override
    async def respond(self, request: FastRequest[M]) -> Response | None:
        target = self.target_row(request)
        if target is None or not self._deletes_nothing_else():
            return None
        dialect = request.database.writer.dialect
        marker: Mapping[str, Any] = {}
        if (write := self._write_statement(request.statement, dialect, target)) is None:
            return None
        if is_soft_deletable(self.definition.model):
            marker = self.with_onupdate_values({"deleted_at": now()})
        params = {**write.values, **marker, **target}
        records = await execute_write(request.database, write.statement, params)
        return Response(status_code=204) if records else None

    @override
    def common_statements(self, statement: Select[M], database: Database) -> Statements:
        if not self._deletes_nothing_else():
            name = self.definition.model.__name__
            raise NotEligible(f"deleting a {name} may delete or change related rows")
        yield self._write_statement(statement, database.writer.dialect, {})

    def _write_statement(
        self, statement: Select[M], dialect: Dialect, target: Mapping[str, Any]
    ) -> BoundStatement | None:
        return self.cached_statement(
            dialect,
            statement,
            (*target,),
            lambda: self.where_target(self._build_delete(), statement, target),
        )

    def _build_delete(self) -> Any:
        if is_soft_deletable(self.definition.model):
            return self.build_update(["deleted_at"])
        return delete(mapped_table(self.definition))

    def _deletes_nothing_else(self) -> bool:
        """Return whether the row is only marked, or its model has no relationships."""
        model = self.definition.model
        return is_soft_deletable(model) or not [*inspect(model).relationships]


def _unchanged_params(values: Mapping[str, Any], changes: Collection[str]) -> Mapping[str, Any]:
    """Return as parameters the *values* of columns that are not in *changes*."""
    return {_UNCHANGED_PREFIX + name: values[name] for name in values if name not in changes}
