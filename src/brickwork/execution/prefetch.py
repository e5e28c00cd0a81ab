"""Referenced rows, read before a write.

A fast write commits its own statement, so that its response cannot be read after it. The foreign
key constraint ensures that a prefetched row still exists when the statement runs.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ClauseElement, Dialect, Select, bindparam, false, select, union_all
from sqlalchemy.orm import aliased

from brickwork.database.compiled import BoundStatement, CompiledStatement, compile_statement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, fetch_rows
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.joins import ToOneJoin, to_one_joins
from brickwork.query.keys import primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")


@dataclass(frozen=True)
class PrefetchedRows:
    """The rows that a row references, as the response embeds them, and its foreign keys."""

    rows: Mapping[str, Any]
    key_values: Mapping[str, Any]


class ReferencePrefetch(Generic[M]):
    """The query for the rows that a response of a resource embeds."""

    def __init__(self, definition: ResourceDefinition[M]) -> None:
        """Find the joins. Raises `NotEligible` if a row may embed a row of its own model."""
        model, read = definition.model, definition.read
        self._definition = definition
        self._joins = to_one_joins(model, read)
        self.models = {joined for join in self._joins for joined in join.models()}
        self._mapped_columns = mapped_columns(model)
        self._statements: dict[object, CompiledStatement | None] = {}
        self.foreign_keys = [*dict.fromkeys(k for join in self._joins for k in join.local_columns)]
        """The names of the foreign key columns."""
        local = {name: self._mapped_columns[name] for name in self.foreign_keys}
        self._columns = {**local, **dict(pair for join in self._joins for pair in join.columns())}
        if model in self.models:
            raise NotEligible(f"{read.__name__} embeds rows of {model.__name__} itself")
        for name, column in local.items():
            if column.onupdate or column.server_onupdate:
                raise NotEligible(f"{name} has an onupdate default")

    async def load(
        self, database: Database, values: Mapping[str, Any], key: object = None
    ) -> PrefetchedRows:
        """Return the rows that row *key* will reference once *values* are applied.

        Without *key*, *values* are a new row's. Raises `NotEligible` if a referenced row is
        missing: the ORM path then reports which.
        """
        if not self._joins:
            return PrefetchedRows({}, {})
        known = {name: values[name] for name in self.foreign_keys if name in values}
        statement = self._statement(database.reader.dialect, known, is_new=key is None)
        if statement is None:
            raise NotEligible("the referenced rows cannot be selected")
        records = await fetch_rows(database, statement, {**known, KEY_PARAM: key})
        if len(records) != 1:
            raise NotEligible("there is no such row")
        record = iter(statement.decode_row(records[0]))
        key_values = {name: next(record) for name in self.foreign_keys}
        rows = {join.name: join.take_fields(record) for join in self._joins}
        for join in self._joins:
            if rows[join.name] is None and _has_reference(key_values, join):
                raise NotEligible("a referenced row is missing")
        return PrefetchedRows(rows, key_values)

    def common_statements(
        self, database: Database, *, is_new: bool
    ) -> Iterator[BoundStatement | None]:
        """Yield the query for a new row, or for an update that changes no foreign key."""
        if self._joins:
            known = self.foreign_keys if is_new else ()
            statement = self._statement(database.reader.dialect, known, is_new=is_new)
            yield BoundStatement(statement, {}) if statement else None

    def _statement(
        self, dialect: Dialect, known: Collection[str], *, is_new: bool
    ) -> CompiledStatement | None:
        cache_key = (dialect.name, is_new, *known)
        if cache_key not in self._statements:
            statement = self._join_to_values(self._select_foreign_keys(known, is_new=is_new))
            self._statements[cache_key] = compile_statement(statement, self._columns, dialect)
        return self._statements[cache_key]

    def _select_foreign_keys(self, known: Collection[str], *, is_new: bool) -> Any:
        """Return a one-row SELECT of the foreign keys; the *known* ones are parameters."""
        statement: Any = select(
            *(
                self._column_or_param(name, known).label(self._mapped_columns[name].name)
                for name in self.foreign_keys
            )
        )
        if is_new:
            return statement
        (key,) = primary_key(self._definition.model).attributes
        return statement.where(key == bindparam(KEY_PARAM, type_=key.type))

    def _column_or_param(self, name: str, known: Collection[str]) -> Any:
        column = self._mapped_columns[name]
        return bindparam(name, type_=column.type) if name in known else column

    def _join_to_values(self, values: Any) -> ClauseElement:
        """Join the referenced rows to *values*, a SELECT of foreign keys."""
        # The first half is empty: from it, SQLAlchemy takes the columns of the union.
        empty = select(*(self._mapped_columns[name] for name in self.foreign_keys)).where(false())
        owner: Any = aliased(self._definition.model, union_all(empty, values).subquery())
        statement: Select[Any] = select(owner)
        attributes: list[Any] = [getattr(owner, name) for name in self.foreign_keys]
        for join in to_one_joins(self._definition.model, self._definition.read, owner):
            statement = join.apply(statement)
            attributes += join.attributes()
        return statement.with_only_columns(*attributes, maintain_column_froms=True)


def _has_reference(row: Mapping[str, Any], join: ToOneJoin) -> bool:
    """Return whether no foreign key of *join* is NULL in *row*."""
    return all(row[name] is not None for name in join.local_columns)
