"""What a row refers to, found before it is written: the statement that writes commits as well.

What a foreign key refers to is still there when the row is written, since the database sees to it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ClauseElement, Dialect, Select, bindparam, false, select, union_all
from sqlalchemy.orm import DeclarativeBase, aliased

from brickwork.database.compiled import BoundStatement, CompiledStatement, compile_statement
from brickwork.database.database import Database
from brickwork.database.driver import KEY_PARAM, fetch_rows
from brickwork.fastpath.eligibility import NotEligible
from brickwork.fastpath.joins import ToOneJoin, to_one_joins
from brickwork.query.keys import primary_key
from brickwork.resource.definition import ResourceDefinition
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M", bound=DeclarativeBase)


@dataclass(frozen=True)
class PrefetchedRows:
    """What is shown of the rows that a row refers to, and the values by which it does."""

    shown: Mapping[str, Any]
    values: Mapping[str, Any]


class ReferencePrefetch(Generic[M]):
    """The rows that are shown within those of a resource."""

    def __init__(self, shape: ResourceDefinition[M]) -> None:
        """Ask for nothing yet; raises `NotEligible` where a row may be shown within itself."""
        self._shape = shape
        self._related = to_one_joins(shape.model, shape.read)
        self.models = {each for own in self._related for each in own.models()}
        self._own = mapped_columns(shape.model)
        self._statements: dict[object, CompiledStatement | None] = {}
        self.names = [*dict.fromkeys(name for each in self._related for name in each.own)]
        """The columns by which rows refer to others."""
        others = (named for each in self._related for named in each.columns())
        self._columns = {**{name: self._own[name] for name in self.names}, **dict(others)}
        if shape.model in self.models:
            raise NotEligible(f"{shape.read.__name__} shows rows of {shape.model.__name__} itself")
        for name in self.names:
            if self._own[name].onupdate or self._own[name].server_onupdate:
                raise NotEligible(f"{name} changes with the row")

    async def of(
        self, database: Database, given: Mapping[str, Any], key: object = None
    ) -> PrefetchedRows | None:
        """Return what the row of *key* refers to once it has the values that are *given*.

        Without a *key* that is a new row. None if there is less than it refers to, or if that is
        not to be found like this: the ordinary lane tells why.
        """
        if not self._related:
            return PrefetchedRows({}, {})
        known = {name: given[name] for name in self.names if name in given}
        statement = self._statement(database.reader.dialect, known, is_new=key is None)
        records = statement and await fetch_rows(database, statement, {**known, KEY_PARAM: key})
        if not statement or not records or len(records) > 1:
            return None
        values = iter(statement.read(records[0]))
        row = {name: next(values) for name in self.names}
        shown = {each.name: each.read(values) for each in self._related}
        if any(shown[each.name] is None and _refers(row, each) for each in self._related):
            return None
        return PrefetchedRows(shown, row)

    def usual(self, database: Database, *, is_new: bool) -> Iterator[BoundStatement | None]:
        """Yield what finds what a new row refers to, or one that goes on to refer to the same."""
        if self._related:
            known = self.names if is_new else ()
            statement = self._statement(database.reader.dialect, known, is_new=is_new)
            yield BoundStatement(statement, {}) if statement else None

    def _statement(
        self, dialect: Dialect, known: Collection[str], *, is_new: bool
    ) -> CompiledStatement | None:
        name = (dialect.name, is_new, *known)
        if name not in self._statements:
            rows = self._rows(known, is_new=is_new)
            self._statements[name] = compile_statement(self._beside(rows), self._columns, dialect)
        return self._statements[name]

    def _rows(self, known: Collection[str], *, is_new: bool) -> Any:
        """Return what says to whom a row refers of which the values of *known* names are given."""
        values = (self._value(name, known).label(self._own[name].name) for name in self.names)
        rows: Any = select(*values)
        key = primary_key(self._shape.model)
        return rows if is_new else rows.where(key == bindparam(KEY_PARAM, type_=key.type))

    def _value(self, name: str, known: Collection[str]) -> Any:
        own = self._own[name]
        return bindparam(name, type_=own.type) if name in known else own

    def _beside(self, rows: Any) -> ClauseElement:
        """Return *rows*, and what they refer to."""
        # The first half is empty: it says to SQLAlchemy which columns the values stand for.
        none = select(*(self._own[name] for name in self.names)).where(false())
        owner: Any = aliased(self._shape.model, union_all(none, rows).subquery())
        found: Select[Any] = select(owner)
        shown: list[Any] = [getattr(owner, name) for name in self.names]
        for each in to_one_joins(self._shape.model, self._shape.read, owner):
            found = each.joined(found)
            shown += each.attributes()
        return found.with_only_columns(*shown, maintain_column_froms=True)


def _refers(row: Mapping[str, Any], to: ToOneJoin) -> bool:
    """Tell whether *row* names another."""
    return all(row[name] is not None for name in to.own)
