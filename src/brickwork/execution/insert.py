"""Statements that insert one row, or a batch."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar, cast

from sqlalchemy import (
    ClauseElement,
    Column,
    Dialect,
    Select,
    bindparam,
    func,
    insert,
    select,
)
from typing_extensions import override

from brickwork.database.compiled import BoundStatement
from brickwork.database.database import Database
from brickwork.database.driver import execute_write, insert_many, insert_one as insert_row
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.plans import InsertManyPlan, InsertPlan
from brickwork.execution.prefetch import ReferencePrefetch
from brickwork.execution.samples import sample_values
from brickwork.execution.statement import (
    Columns,
    StatementCall,
    StatementOperation,
    Statements,
    require_statement,
    selected_columns,
)
from brickwork.execution.write import (
    PythonDefaults,
    Returned,
    WriteOperation,
    is_versioned,
    list_params,
    mapped_table,
    python_defaults,
    require_one_row,
    require_plain_flush,
)
from brickwork.http.representation import Representation, Serializer
from brickwork.problems import Problem
from brickwork.query.keys import primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.schemas.schema import Schema
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")
P = TypeVar("P")


def insert_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, InsertPlan, Representation]:
    """Return the statement of `POST /articles`. Raises `NotEligible` if overridden."""
    return _Insert(definition, *_insert_columns(definition))


def insert_many_statement(
    definition: ResourceDefinition[M],
) -> StatementOperation[M, InsertManyPlan, Representation]:
    """Return the statement of `POST /articles/batch`. Raises `NotEligible` if overridden."""
    return _InsertMany(definition, *_insert_columns(definition))


def _insert_columns(definition: ResourceDefinition[M]) -> tuple[Columns, PythonDefaults]:
    """Return the columns that the response reads, and the Python defaults of the others."""
    require_one_row(definition, definition.create)
    model, fields = definition.model, definition.create.model_fields
    selected, columns = selected_columns(definition), mapped_columns(model)
    if others := sorted(fields.keys() - columns.keys()):
        raise NotEligible(f"{', '.join(others)} is no column of {model.__name__}")
    require_plain_flush(definition, "create")
    absent = {name: column for name, column in columns.items() if name not in fields}
    return selected, python_defaults(absent, "default")


class _InsertBase(WriteOperation[M, P, Representation]):
    """An insertion of rows."""

    finds_rows = False
    checks_scope = True

    def __init__(
        self, definition: ResourceDefinition[M], selected: Columns, defaults: PythonDefaults
    ) -> None:
        """Sort the columns by the source of their values: request, Python or database."""
        columns, key = mapped_columns(definition.model), primary_key(definition.model)
        version = {"version": 1} if is_versioned(definition) else {}
        self._references = ReferencePrefetch(definition)
        unknown = {*key.names, *selected, *self._references.foreign_keys}
        unknown -= {*definition.create.model_fields, *defaults, *version}
        generated = {name for name in unknown if not _defaults_to_null(columns[name])}
        returned = {name: columns[name] for name in generated or key.names}
        super().__init__(definition, returned, definition.model, *self._references.models)
        self._mapped_columns, self._key = columns, key
        self._defaults, self._initial_version = defaults, version
        self._read_names = (*definition.read.model_fields,)
        self._fields = {*definition.create.model_fields}
        self._null_columns = dict.fromkeys(unknown - generated)
        self._generated_columns = generated
        if names := generated.intersection(self._references.foreign_keys):
            raise NotEligible(f"the database generates {', '.join(sorted(names))}")
        self._required_columns = {
            name for name in self._fields if not _defaults_to_null(columns[name])
        }
        self._nullable_columns = {
            name for name in self._required_columns if _stores_null(columns[name])
        }
        self.all_values_known = not generated

    @override
    def prepare(self, serializer: Serializer) -> None:
        super().prepare(serializer)
        samples = sample_values(self.definition)
        generated = self._generated_columns.intersection(self.definition.read.model_fields)
        if unknown := generated - samples.keys():
            names, read = ", ".join(sorted(unknown)), self.definition.read.__name__
            raise NotEligible(f"{read} may reject generated values of {names}")
        self._samples = {
            **dict.fromkeys(self._key.names, ""),
            **{name: samples[name] for name in generated},
        }

    @property
    def column_names(self) -> Sequence[str]:
        """Return the columns that most requests insert."""
        return [*self._initial_version, *self.definition.create.model_fields, *self._defaults]

    def row_values(self, data: Schema) -> dict[str, Any]:
        """Return the values of a new row, unless only a flush can compute all of them."""
        row = self._initial_version | data.model_dump(include=self._fields)
        explicit = self._nullable_columns & data.model_fields_set
        if any(row[name] is None for name in self._required_columns - explicit):
            raise NotEligible("a column has a default other than NULL")
        for name, default in self._defaults.items():
            row[name] = default(row)
        if row.keys() >= {*self._key.names}:
            self.definition.require_path(cast("M", SimpleNamespace(**row)))
        return row

    def response_fields(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the values of the read schema's fields for the new *row*."""
        values = {**self._null_columns, **row}
        return {name: values[name] for name in self._read_names}

    def _build_insert(self, names: Sequence[str], returned: Returned) -> ClauseElement:
        columns = [self._mapped_columns[name] for name in names]
        params = (bindparam(n, type_=c.type) for n, c in zip(names, columns, strict=True))
        values: dict[Any, Any] = dict(zip(columns, params, strict=True))
        table = mapped_table(self.definition)
        return insert(table).values(values).returning(*returned.values())

    def _one_statement(
        self, dialect: Dialect, names: Sequence[str], scope: Select[M] | None = None
    ) -> BoundStatement | None:
        return self.cached_write(
            dialect, None, scope, "one", lambda returned: self._build_insert(names, returned)
        )

    def _many_statement(
        self, dialect: Dialect, names: Sequence[str], scope: Select[M] | None = None
    ) -> BoundStatement | None:
        """Return the INSERT of lists of values. None unless all other values are known before."""
        if dialect.name != "postgresql" or not self.all_values_known:
            return None

        def build(returned: Returned) -> ClauseElement | None:
            return self._build_insert_many(dialect, names, returned)

        return self.cached_single_write(dialect, None, scope, "many", build)

    def _build_insert_many(
        self, dialect: Dialect, names: Sequence[str], returned: Returned
    ) -> ClauseElement | None:
        columns = [self._mapped_columns[name] for name in names]
        lists = list_params(dict(zip(names, columns, strict=True)), dialect)
        if lists is None:
            return None
        column_names = [column.name for column in columns]
        rows = func.unnest(*lists).table_valued(*column_names).render_derived()
        values = select(*(rows.c[name] for name in column_names))
        return (
            insert(mapped_table(self.definition))
            .from_select(columns, values)
            .returning(*returned.values())
        )


class _Insert(_InsertBase[M, InsertPlan]):
    """Inserts one row."""

    @override
    async def execute(self, call: StatementCall[M], plan: InsertPlan) -> Representation:
        row = self.row_values(plan.data)
        database = call.database
        references = await self._references.load(database, self._null_columns | row)
        dialect = database.writer.dialect
        values = {**row, **references.rows}
        sample = {**self._samples, **values}
        # A row that cannot be serialised is not stored.
        trial = self._represented(self.dump(call.serializer, self.response_fields(sample)), sample)
        one = require_statement(self._one_statement(dialect, [*row], call.scope))
        is_shared = database.coalesce and one.statement.shareable
        many = self._many_statement(dialect, [*row], call.scope) if is_shared else None
        records = await (
            insert_row(database, one, many, row) if many else execute_write(database, one, row)
        )
        if not records:
            raise NotEligible("the database inserted no row, or one out of the scope")
        if self.all_values_known:
            return trial
        generated = dict(
            zip(one.statement.columns, one.statement.decode_row(records[0]), strict=True)
        )
        row = generated | values
        return self._represented(call.serializer.dump_stored(self.response_fields(row)), row)

    def _represented(self, body: bytes, row: Mapping[str, Any]) -> Representation:
        version = row["version"] if self._initial_version else None
        return Representation(body, version, self._key.value(map(row.__getitem__, self._key.names)))

    @override
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        dialect = database.writer.dialect
        yield from self._references.common_statements(database, is_new=True)
        yield self._one_statement(dialect, self.column_names, scope)
        if database.coalesce and (many := self._many_statement(dialect, self.column_names, scope)):
            yield many


class _InsertMany(_InsertBase[M, InsertManyPlan]):
    """Inserts several rows whose values are all known before the INSERT."""

    def __init__(
        self, definition: ResourceDefinition[M], selected: Columns, defaults: PythonDefaults
    ) -> None:
        """Raise `NotEligible` if the response needs values from the database."""
        super().__init__(definition, selected, defaults)
        if not self.all_values_known:
            raise NotEligible(f"{definition.read.__name__} has values that the database generates")
        if self._references.foreign_keys:
            raise NotEligible(f"{definition.read.__name__} embeds related rows")

    @override
    async def execute(self, call: StatementCall[M], plan: InsertManyPlan) -> Representation:
        rows: list[dict[str, Any]] = []
        for item in plan.items:
            try:
                row = self.row_values(item)
            except Problem as problem:  # the ORM path says which item has it
                raise NotEligible("a key cannot be in a path") from problem
            rows.append(row)
        dialect = call.database.writer.dialect
        insertion = require_statement(self._all_statement(dialect, [*rows[0]], call.scope))
        body = self.dump(call.serializer, [self.response_fields(row) for row in rows])
        await insert_many(call.database, insertion, rows)
        return Representation(body)

    @override
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        yield self._all_statement(database.writer.dialect, self.column_names, scope)

    def _all_statement(
        self, dialect: Dialect, names: Sequence[str], scope: Select[M] | None = None
    ) -> BoundStatement | None:
        has_lists = dialect.name == "postgresql"
        return (self._many_statement if has_lists else self._one_statement)(dialect, names, scope)


def _stores_null(column: Column[Any]) -> bool:
    """Return whether a null that a client sends for *column* is stored as NULL."""
    return not (column.primary_key or column.type.should_evaluate_none)


def _defaults_to_null(column: Column[Any]) -> bool:
    """Return whether *column* is NULL in a new row if its value is None or absent."""
    return not (
        column.primary_key
        or column.default is not None
        or column.server_default is not None
        or column.type.should_evaluate_none
    )
