"""Text in SQL: its order and what is found in it, the same on every database."""

from typing import Any, Final

from sqlalchemy import Boolean, ColumnElement, FunctionElement, Index, String, literal
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from typing_extensions import override

from brickwork.models.columns import storage_type

LOWER_FUNCTION: Final = "brickwork_lower"
"""The SQL function that lowers more than ASCII on SQLite; each connection is given it."""


class code_point_text(FunctionElement[str]):  # noqa: N801 — SQLAlchemy's functions are in small letters
    """Text, compared and sorted by code point.

    Where the database's collation decides, a list has another order on every machine.
    """

    type = String()
    inherit_cache = True


_BY_CODE_POINT: Final = 'COLLATE "C"'


def c_collation(*columns: str) -> dict[str, str]:
    """Return the `postgresql_ops` of an index that has these *columns* of text by code point.

    `Index("ix_articles_title", "title", "id", postgresql_ops=c_collation("title"))`: with it a list
    that is sorted by title is quick. (It says the collation where an operator class may stand.)
    """
    return dict.fromkeys(columns, _BY_CODE_POINT)


def uses_c_collation(index: Index, column: str) -> bool:
    """Tell whether *index* has *column* by code point."""
    return bool(index.dialect_options["postgresql"]["ops"].get(column) == _BY_CODE_POINT)


def comparable(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return *column* as every database compares and sorts it alike."""
    return code_point_text(column) if isinstance(storage_type(column.type), String) else column


class _Match(FunctionElement[bool]):
    """Tells whether a column has a text in it; `%` and `_` are letters like others."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any], text: str) -> None:
        """Take *text* as it is, and as a pattern: databases want the one or the other."""
        pattern = self.pattern(text.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_"))
        super().__init__(column, literal(text), literal(pattern), literal(len(text)))

    @staticmethod
    def pattern(escaped: str) -> str:
        """Return the pattern for LIKE."""
        return f"%{escaped}%"


class contains(_Match):  # noqa: N801 — as above
    """Tell whether *column* has *text* in it, in these very letters."""

    inherit_cache = True


class icontains(_Match):  # noqa: N801 — as above
    """Tell whether *column* has *text* in it, in capital or small letters."""

    inherit_cache = True


class startswith(_Match):  # noqa: N801 — as above
    """Tell whether *column* begins with *text*."""

    inherit_cache = True

    @staticmethod
    @override
    def pattern(escaped: str) -> str:
        return f"{escaped}%"


def _sql(element: FunctionElement[Any], compiler: SQLCompiler, form: str, **options: Any) -> str:
    """Return *form* with the column, the text, its pattern and its length where it names them."""
    names = ("{column}", "{text}", "{pattern}", "{length}")
    for name, clause in zip(names, element.clauses, strict=False):
        if name in form:
            form = form.replace(name, compiler.process(clause, **options))
    return f"({form})"


def _compiled(kind: type[FunctionElement[Any]], *, postgresql: str, sqlite: str) -> None:
    def compiling(form: str) -> Any:
        def compile_(element: Any, compiler: SQLCompiler, **options: Any) -> str:
            return _sql(element, compiler, form, **options)

        return compile_

    compiles(kind)(compiling(sqlite))
    compiles(kind, "postgresql")(compiling(postgresql))


_compiled(code_point_text, postgresql=f"{{column}} {_BY_CODE_POINT}", sqlite="{column}")
_compiled(
    contains,
    postgresql="{column} LIKE {pattern}",
    sqlite="instr({column}, {text}) > 0",
)
_compiled(
    icontains,
    postgresql="{column} ILIKE {pattern}",
    sqlite=f"instr({LOWER_FUNCTION}({{column}}), {LOWER_FUNCTION}({{text}})) > 0",
)
_compiled(
    startswith,
    postgresql='{column} COLLATE "C" LIKE {pattern}',
    sqlite="{column} >= {text} AND substr({column}, 1, {length}) = {text}",
)
