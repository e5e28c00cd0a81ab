"""The statement executor.

It executes plans with one statement of the driver, without the ORM session.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, ClassVar, Final, Generic, TypeVar

from sqlalchemy import ClauseElement, Column, Dialect, Select, inspect, select
from sqlalchemy.sql.cache_key import CacheKey

from brickwork.database.compiled import BoundStatement, CompiledStatement, compile_statement
from brickwork.database.database import Database
from brickwork.execution.eligibility import NotEligible
from brickwork.execution.joins import column_fields
from brickwork.execution.listeners import ListenerCheck
from brickwork.http.representation import Serializer
from brickwork.models.model import Versioned
from brickwork.query.keys import PrimaryKey, primary_key
from brickwork.query.lookup import base_statement
from brickwork.resource.definition import ResourceDefinition
from brickwork.resource.resource import Resource
from brickwork.schemas.schema import is_pure
from brickwork.sqlalchemy_internals import statement_cache_key, where_conditions
from brickwork.tracking.changes import mapped_columns

M = TypeVar("M")

Columns = Mapping[str, Column[Any]]
"""Columns by attribute name."""

Statements = Iterator[BoundStatement | None]

_EMPTY_CACHE_KEY: Final = CacheKey((), [], None)

_MAX_STATEMENTS: Final = 256
"""How many compiled statements an operation caches."""

_resource_methods: Final = attrgetter(
    *("__post_init__", "query", "reference_scopes", "get", "page", "create", "update", "delete")
)
"""Returns the current methods of a resource that affect responses."""


P = TypeVar("P")
R = TypeVar("R")


@dataclass(slots=True, frozen=True)
class StatementCall(Generic[M]):
    """The database, the visible rows and the serializer of a request."""

    database: Database
    statement: Select[M]
    """The rows that this client may see."""
    serializer: Serializer
    scope: Select[M] | None = None
    """The rows that this client may write, deleted ones included. None for all rows."""


class StatementOperation(ABC, Generic[M, P, R]):
    """An operation as one statement of the driver, without the ORM session.

    `P` is its plan, `R` its result.
    """

    finds_rows: ClassVar = True
    """Whether it takes the visible rows of a call."""
    checks_scope: ClassVar = False
    """Whether it takes the scope of a call: a written row has to be in it."""

    def __init__(
        self, definition: ResourceDefinition[M], columns: Columns, *models: type[object]
    ) -> None:
        """Store the *columns* that statements return, and the *models* that they read or write.

        Statements are compiled for the dialect of the first request.
        """
        self.definition = definition
        self._field_names = column_fields(definition.model, definition.read)
        self._columns = columns
        self._statements: dict[object, CompiledStatement | None] = {}
        self._base = base_statement(definition.model)
        self._base_statements: dict[object, BoundStatement] = {}
        """The statements of unscoped rows, by dialect and kind."""
        self._methods = _resource_methods(definition.resource)
        self._models = models
        self._listeners = ListenerCheck(*models)

    def prepare(self, serializer: Serializer) -> None:
        """Raise `NotEligible` if the operation cannot answer as *serializer* does."""
        if serializer.response_class is not None:
            raise NotEligible("its router has its own response class")
        if not is_pure(self.definition.read):
            raise NotEligible(f"{self.definition.read.__name__} has code or types of its own")

    def find_reason(self, database: Database) -> str | None:
        """Return why the ORM path has to serve requests to *database* now. None if it has not."""
        if not database.fast_path:
            return "the fast path of the database is off, or its methods are overridden"
        if _resource_methods(self.definition.resource) != self._methods:
            return f"a method of {self.definition.resource.__name__} was replaced"
        if observer := self._listeners.find_observer(database):
            return f"SQLAlchemy calls code of the application: {observer}"
        return None

    @abstractmethod
    async def execute(self, call: StatementCall[M], plan: P) -> R:
        """Execute *plan*. Raises the problem of the client, as the ORM path does.

        Raises `NotEligible` or `StatementFailed` if the ORM path has to execute the plan. Nothing
        has changed then.
        """

    @abstractmethod
    def common_statements(
        self, statement: Select[M], database: Database, scope: Select[M] | None = None
    ) -> Statements:
        """Yield the statements that most requests send. None for one that cannot be compiled.

        *statement* selects the rows of the client, *scope* the rows that it may write: None for
        all. Raises `NotEligible` if the mapping of all
        models shows that the operation has none.
        """

    def cached_statement(  # noqa: PLR0913 — the parts of a cache key
        self,
        dialect: Dialect,
        statement: Select[Any] | None,
        kind: object,
        build: Callable[[], ClauseElement | None],
        *,
        source: Select[Any] | None = None,
        scope: Select[Any] | None = None,
        columns: Columns | None = None,
    ) -> BoundStatement | None:
        """Return the compiled statement of a *kind* for *statement*, built by *build* on first use.

        Statements that differ only in parameter values share one entry. None if one of the SELECTs
        has more than conditions.

        Args:
            dialect: The dialect to compile for.
            statement: The visible rows. None for all rows.
            kind: Distinguishes the statements of this operation.
            build: Builds the statement. None if there is none.
            source: The list of which *statement* is a page.
            scope: The rows that may be written. None for all rows.
            columns: The columns that it returns, by default those of the operation.

        """
        is_base = statement is None or statement is self._base
        if is_base and scope is None:
            known = self._base_statements.get((dialect.name, kind))
            if known is not None:
                return known
        own = _EMPTY_CACHE_KEY if is_base else _cache_key(statement)
        other = _EMPTY_CACHE_KEY if scope is None else _cache_key(scope)
        if own is None or other is None:
            return None
        name = (dialect.name, kind, own.key, other.key)
        bindparams = [*own.bindparams, *other.bindparams]
        if name not in self._statements:
            if len(self._statements) >= _MAX_STATEMENTS:
                self._statements.clear()
                self._base_statements.clear()
            selects = (statement if source is None else source, scope)
            is_eligible = all(
                one is None or has_only_conditions(one, self.definition.model) for one in selects
            )
            self._statements[name] = compile_statement(
                build() if is_eligible else None, columns or self._columns, dialect, bindparams
            )
        compiled = self._statements[name]
        if compiled is None:
            return None
        bound = BoundStatement(compiled, compiled.extract_params(bindparams))
        if own is other:
            self._base_statements[dialect.name, kind] = bound
        return bound

    def dump(self, serializer: Serializer, content: object) -> bytes:
        """Return the JSON of *content*. Raises `NotEligible` if the read schema rejects it."""
        if (body := serializer.try_dump(content)) is None:
            raise NotEligible(f"{self.definition.read.__name__} rejects a value of the row")
        return body

    def to_dict(self, row: Sequence[Any]) -> dict[str, Any]:
        """Return the values of the read schema's fields, which are the first values of *row*."""
        return dict(zip(self._field_names, row, strict=False))


def _cache_key(statement: Select[Any] | None) -> CacheKey | None:
    """Return the key under which SQLAlchemy caches *statement*. None if it cannot be cached."""
    if statement is None or statement.get_execution_options():
        return None
    key = statement_cache_key(statement)
    return None if key is None or key.params else key


def has_only_conditions(statement: Select[Any], model: type[object]) -> bool:
    """Return whether *statement* is a SELECT of *model* with nothing but WHERE conditions."""
    rebuilt = select(model).where(*where_conditions(statement))
    return rebuilt.compare(statement) and [*rebuilt.get_final_froms()] == [
        inspect(model).local_table
    ]


def require_statement(statement: BoundStatement | None) -> BoundStatement:
    """Return *statement*. Raises `NotEligible` if it cannot be compiled."""
    if statement is None:
        raise NotEligible("query() has more than conditions, or its SQL depends on values")
    return statement


def require_not_overridden(resource: type[Resource[Any]], *methods: str) -> None:
    """Raise `NotEligible` if *resource* overrides `__post_init__` or one of *methods*."""
    for method in (*methods, "__post_init__"):
        if getattr(resource, method) is not getattr(Resource, method):
            raise NotEligible(f"{resource.__name__}.{method} is overridden")


def require_single_key(model: type[object]) -> PrimaryKey:
    """Return the primary key of *model*. Raises `NotEligible` if it has several columns."""
    key = primary_key(model)
    if key.is_composite:
        raise NotEligible(f"the key of {model.__name__} has several columns")
    return key


def selected_columns(definition: ResourceDefinition[Any], *others: str) -> Columns:
    """Return the columns of the read schema, the version if there is one, and *others*.

    Raises `NotEligible` if a field is neither a column nor an embedded row.
    """
    model: type[object] = definition.model
    names = [*column_fields(model, definition.read), *others]
    names += ["version"] if issubclass(model, Versioned) else []
    columns = mapped_columns(model)
    if computed := sorted({*names} - columns.keys()):
        raise NotEligible(f"{', '.join(computed)} is no column of {model.__name__}")
    return {name: columns[name] for name in names}
