"""Alembic plugin that renders column types and orders operations.

Alembic loads it by its entry point. Without it, a migration refers to the type of a column by the
name of our module. It does not import that module, and breaks when Brickwork renames it.
"""

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import INTEGER, Column
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

from brickwork.models.generated_keys import is_generated_key, sqlite_type
from brickwork.sqlalchemy_internals import variant_types

if TYPE_CHECKING:  # Alembic loads plugins before it defines these
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import MigrateOperation, UpgradeOps
    from alembic.runtime.plugins import Plugin

_RenderResult: TypeAlias = str | Literal[False] | None

_SQLITE: Final = sqlite.dialect()

_PACKAGE: Final = __name__.partition(".")[0]


def setup(plugin: "Plugin") -> None:
    """Register with *plugin*. Alembic calls this when it loads the module."""
    plugin.add_autogenerate_comparator(_render_columns, "autogenerate")
    plugin.add_autogenerate_comparator(_compare_generated_key, "column", "types")
    plugin.add_autogenerate_comparator(
        _order_operations, "autogenerate", priority=DispatchPriority.LAST
    )


def _render_columns(context: "AutogenContext", _: "UpgradeOps") -> PriorityDispatchResult:
    """Add Brickwork's `render_item` to *context*, after the function of the project."""
    own = context.opts.get("render_item")

    def render(kind: str, item: Any, context: "AutogenContext") -> _RenderResult:
        rendered: _RenderResult = own(kind, item, context) if own else False
        if rendered is False and kind == "type" and _is_brickwork_type(item):
            return _render_type(_storage_type(item), context)
        return rendered

    context.opts = {**context.opts, "render_item": render}
    return PriorityDispatchResult.CONTINUE


def _compare_generated_key(
    context: "AutogenContext",
    _: object,
    __: str | None,
    ___: str,
    ____: str,
    stored: Column[Any],
    declared: Column[Any],
) -> PriorityDispatchResult:
    """Accept an INTEGER of SQLite for a key whose type is wider, since SQLite generates no other.

    Alembic compares types without their columns, and would find a difference.
    """
    is_sqlite = context.migration_context.dialect.name == "sqlite"
    is_integer = type(stored.type) is INTEGER and sqlite_type(declared) == "INTEGER"
    if is_sqlite and is_integer and is_generated_key(declared):
        return PriorityDispatchResult.STOP
    return PriorityDispatchResult.CONTINUE


def _order_operations(context: "AutogenContext", upgrade: "UpgradeOps") -> PriorityDispatchResult:
    """Change the tables that new tables refer to before the new tables are created.

    The foreign key of `soft_delete_foreign_key` needs a unique index of its target. PostgreSQL
    rejects the key without that index, and Alembic would create it last.
    """
    from alembic.operations.ops import (  # noqa: PLC0415 — Alembic loads plugins before it
        CreateForeignKeyOp,
        CreateTableOp,
        ModifyTableOps,
    )

    created = {(op.schema, op.table_name) for op in upgrade.ops if isinstance(op, CreateTableOp)}
    targets = {
        (key.column.table.schema, key.column.table.name)
        for table in context.sorted_tables
        if (table.schema, table.name) in created
        for key in table.foreign_keys
    } - created
    first: list[MigrateOperation] = []
    for op in upgrade.ops:
        if isinstance(op, ModifyTableOps) and (op.schema, op.table_name) in targets:
            # Its own new foreign keys may refer to the new tables.
            keys = [one for one in op.ops if isinstance(one, CreateForeignKeyOp)]
            others = [one for one in op.ops if not isinstance(one, CreateForeignKeyOp)]
            if others:
                first.append(ModifyTableOps(op.table_name, others, schema=op.schema))
            op.ops[:] = keys
    kept = [op for op in upgrade.ops if not (isinstance(op, ModifyTableOps) and op.is_empty())]
    upgrade.ops[:] = [*first, *kept]
    return PriorityDispatchResult.CONTINUE


def _is_brickwork_type(kind: TypeEngine[Any]) -> bool:
    """Return whether *kind* is a type of Brickwork or a subclass."""
    packages = {base.__module__.partition(".")[0] for base in type(kind).__mro__}
    return isinstance(kind, TypeDecorator) and _PACKAGE in packages


def _storage_type(kind: TypeDecorator[Any]) -> TypeEngine[Any]:
    """Return the type that *kind* decorates, with the variants of *kind*.

    A decorator such as `ExactNumeric` may choose another type on SQLite.
    """
    storage = kind.impl_instance
    on_sqlite = kind.load_dialect_impl(_SQLITE)
    variants = {} if on_sqlite is storage else {_SQLITE.name: on_sqlite}
    for name, variant in {**variants, **variant_types(kind)}.items():
        storage = storage.with_variant(variant, name)
    return storage


def _render_type(kind: TypeEngine[Any], context: "AutogenContext") -> _RenderResult:
    """Render *kind* with Alembic's function, which is private."""
    from alembic.autogenerate import render  # noqa: PLC0415 — as above

    return render._repr_type(kind, context)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
