"""Text comparison and search, identical on every database."""

from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, FunctionElement, Index, String, Time, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from typing_extensions import override

from brickwork.models.columns import has_sql_instants, storage_type

LOWER_FUNCTION: Final = "brickwork_lower"
"""SQLite function that lowers all of Unicode. Each connection registers it."""


class code_point_text(FunctionElement[str]):  # noqa: N801 — SQLAlchemy's functions are in lower case
    """Text that is compared and sorted by code point.

    The order of the database's collation would depend on its machine.
    """

    type = String()
    inherit_cache = True


_C_COLLATION: Final = 'COLLATE "C"'


def c_collation(*columns: str) -> dict[str, str]:
    """Return the `postgresql_ops` of an index that sorts text *columns* by code point.

    `Index("ix_articles_title", "title", "id", postgresql_ops=c_collation("title"))` serves lists
    that are sorted by title. The collation takes the place of an operator class.
    """
    return dict.fromkeys(columns, _C_COLLATION)


def uses_c_collation(index: Index, column: str) -> bool:
    """Return whether *index* sorts *column* by code point."""
    return bool(index.dialect_options["postgresql"]["ops"].get(column) == _C_COLLATION)


class full_instant(FunctionElement[Any]):  # noqa: N801 — as above
    """A datetime with microseconds, which SQLite's own functions omit."""

    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        """Keep the type of *column*."""
        self.type = column.type
        super().__init__(column)


class full_time(full_instant):  # noqa: N801 — as above
    """A time with microseconds."""

    inherit_cache = True


def exact(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *column* in a form that equals bound values on every database."""
    if not has_sql_instants(column):
        return column
    is_time = isinstance(storage_type(column.type), Time)
    return full_time(column) if is_time else full_instant(column)


def comparable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *column* in a form that every database compares and sorts identically."""
    is_text = isinstance(storage_type(column.type), String)
    return code_point_text(column) if is_text else exact(column)


class _Match(FunctionElement[bool]):
    """A condition on a text in a column. `%` and `_` have no special meaning."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], text: str) -> None:
        """Bind *text* itself and its LIKE pattern. Each database uses one of them."""
        pattern = self.pattern(text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_"))
        super().__init__(column, literal(text), literal(pattern), literal(len(text)))

    @staticmethod
    def pattern(escaped: str) -> str:
        """Return the LIKE pattern for *escaped* text."""
        return f"%{escaped}%"


class contains(_Match):  # noqa: N801 — as above
    """A case-sensitive substring search."""

    inherit_cache = True


class icontains(_Match):  # noqa: N801 — as above
    """A case-insensitive substring search."""

    inherit_cache = True


class startswith(_Match):  # noqa: N801 — as above
    """A case-sensitive prefix search."""

    inherit_cache = True

    @staticmethod
    @override
    def pattern(escaped: str) -> str:
        return f"{escaped}%"


def _render(element: FunctionElement[Any], compiler: SQLCompiler, form: str, **options: Any) -> str:
    """Fill in the column, the text, its pattern and its length in the SQL template *form*."""
    names = ("{column}", "{text}", "{pattern}", "{length}")
    for name, clause in zip(names, element.clauses, strict=False):
        if name in form:
            form = form.replace(name, compiler.process(clause, **options))
    return f"({form})"


def _register_sql(kind: type[FunctionElement[Any]], *, postgresql: str, sqlite: str) -> None:
    def compiler_of(form: str) -> Any:
        def compile_(element: Any, compiler: SQLCompiler, **options: Any) -> str:
            return _render(element, compiler, form, **options)

        return compile_

    compiles(kind)(compiler_of(sqlite))
    compiles(kind, "postgresql")(compiler_of(postgresql))


_register_sql(code_point_text, postgresql=f"{{column}} {_C_COLLATION}", sqlite="{column}")
_FULL_INSTANT: Final = "0000-00-00 00:00:00.000000"
_register_sql(
    full_instant,
    postgresql="{column}",
    sqlite=f"{{column}} || substr('{_FULL_INSTANT}', length({{column}}) + 1)",
)
_register_sql(
    full_time,
    postgresql="{column}",
    sqlite=f"{{column}} || substr('{_FULL_INSTANT[11:]}', length({{column}}) + 1)",
)
_register_sql(
    contains,
    postgresql="{column} LIKE {pattern}",
    sqlite="instr({column}, {text}) > 0",
)
_register_sql(
    icontains,
    postgresql="{column} ILIKE {pattern}",
    sqlite=f"instr({LOWER_FUNCTION}({{column}}), {LOWER_FUNCTION}({{text}})) > 0",
)
_register_sql(
    startswith,
    postgresql='{column} COLLATE "C" LIKE {pattern}',
    sqlite="{column} >= {text} AND substr({column}, 1, {length}) = {text}",
)
