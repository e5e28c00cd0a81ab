"""Alembic plugin that renders column types in migrations.

Alembic loads it by its entry point. Without it a migration has `brickwork.models.UTCDateTime(…)`: a
name that the migration does not import, and that breaks when Brickwork renames the module.
"""

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from alembic.util import PriorityDispatchResult
from sqlalchemy.types import TypeDecorator, TypeEngine

if TYPE_CHECKING:  # Alembic loads plugins before it defines these
    from alembic.autogenerate.api import AutogenContext
    from alembic.operations.ops import UpgradeOps
    from alembic.runtime.plugins import Plugin

_Rendered: TypeAlias = str | Literal[False] | None

_PACKAGE: Final = __name__.partition(".")[0]


def setup(plugin: "Plugin") -> None:
    """Register with *plugin*; Alembic calls this when it loads the module."""
    plugin.add_autogenerate_comparator(_render_columns, "autogenerate")


def _render_columns(context: "AutogenContext", _: "UpgradeOps") -> PriorityDispatchResult:
    """Add our `render_item` to the options of *context*, after the function of the project."""
    own = context.opts.get("render_item")

    def render(kind: str, item: Any, context: "AutogenContext") -> _Rendered:
        rendered: _Rendered = own(kind, item, context) if own else False
        if rendered is False and kind == "type" and _is_ours(item):
            return _rendered(_stored(item), context)
        return rendered

    context.opts = {**context.opts, "render_item": render}
    return PriorityDispatchResult.CONTINUE


def _is_ours(kind: TypeEngine[Any]) -> bool:
    """Tell whether *kind* is a type of Brickwork or of a subclass."""
    packages = {each.__module__.partition(".")[0] for each in type(kind).__mro__}
    return isinstance(kind, TypeDecorator) and _PACKAGE in packages


def _stored(kind: TypeDecorator[Any]) -> TypeEngine[Any]:
    """Return the type that *kind* decorates, with the variants of *kind*."""
    stored = kind.impl_instance
    for name, variant in kind._variant_mapping.items():  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        stored = stored.with_variant(variant, name)
    return stored


def _rendered(kind: TypeEngine[Any], context: "AutogenContext") -> _Rendered:
    """Render *kind* as Alembic does; its function for that is private."""
    from alembic.autogenerate import render  # noqa: PLC0415 — as above

    return render._repr_type(kind, context)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage, reportUnknownMemberType]
