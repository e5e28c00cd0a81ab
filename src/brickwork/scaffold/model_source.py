"""The source of models, and drafts of their classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, MetaData, Uuid
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork.database.text import c_collation
from brickwork.models.model import Model, Timestamped, Versioned, new_key
from brickwork.models.soft_delete import SoftDelete
from brickwork.scaffold.field_specs import FieldSpec
from brickwork.scaffold.names import Names
from brickwork.scaffold.rendering import render


@dataclass(frozen=True)
class Target:
    """A model that a reference refers to."""

    names: Names
    is_soft_deletable: bool
    is_self: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """A model as the command line describes it."""

    names: Names
    fields: Sequence[FieldSpec]
    targets: Mapping[str, Target]
    """The models that the references refer to, by their names."""
    mixins: Sequence[str] = ()

    @property
    def is_soft_deletable(self) -> bool:
        """Return whether deleted rows are kept."""
        return "SoftDelete" in self.mixins

    @property
    def is_timestamped(self) -> bool:
        """Return whether rows have times of creation and change."""
        return "Timestamped" in self.mixins

    def hides(self, field: FieldSpec) -> bool:
        """Return whether *field* refers to rows that can be deleted softly."""
        if not field.is_reference:
            return False
        target = self.targets[field.target]
        return target.is_soft_deletable and not target.is_self


def model_source(spec: ModelSpec, package: str) -> str:
    """Return the source of the model, unformatted."""
    targets = [target.names for target in spec.targets.values() if not target.is_self]
    return render(
        "models.py",
        model=spec.names.model,
        row=spec.names.row,
        rows=spec.names.rows,
        plural=spec.names.plural,
        package=package,
        targets=targets,
        bases=", ".join(["Entity", *spec.mixins]),
        columns=[line for field in spec.fields for line in _column_lines(spec, field)],
        table_args=[*_table_args(spec)],
    )


def _column_lines(spec: ModelSpec, field: FieldSpec) -> Iterator[str]:
    null = " | None" if field.optional else ""
    arguments = ", ".join(_arguments(spec, field))
    column = f" = mapped_column({arguments})" if arguments else ""
    yield f"{field.attribute}: Mapped[{field.kind.annotation}{null}]{column}"
    if spec.hides(field):
        yield f"{field.name}_is_deleted: Mapped[bool] = mapped_column(default=False)"


def _arguments(spec: ModelSpec, field: FieldSpec) -> Iterator[str]:
    """Yield the arguments of `mapped_column`."""
    if source := field.kind.source(field.arguments):
        yield source
    if field.is_reference and not spec.hides(field):
        target = spec.targets[field.target]
        key = f'"{target.names.plural}.id"' if target.is_self else f"{target.names.model}.id"
        yield f"ForeignKey({key})"
    if field.unique and not spec.is_soft_deletable:
        yield "unique=True"
    elif field.is_reference or (field.index and not field.kind.can_sort):
        yield "index=True"
    if field.default is not None:
        yield f"default={literal(field.default)}"


def literal(value: object) -> str:
    """Return the source of a default."""
    return f'Decimal("{value}")' if isinstance(value, Decimal) else repr(value)


def _table_args(spec: ModelSpec) -> Iterator[str]:
    for field in spec.fields:
        if field.unique and spec.is_soft_deletable:
            yield f'unique_unless_deleted("{field.attribute}")'
    for field in spec.fields:
        if spec.hides(field):
            model = spec.targets[field.target].names.model
            yield (
                f'soft_delete_foreign_key("{field.attribute}", "{field.name}_is_deleted", {model})'
            )
    for name, is_text in _sorted_columns(spec):
        ops = f', postgresql_ops=c_collation("{name}")' if is_text else ""
        yield f'Index("ix_{spec.names.plural}_{name}", "{name}", "id"{ops})'
    for field in spec.fields:
        if field.choices:
            condition = _condition(field).replace('"', '\\"')
            yield f'CheckConstraint("{condition}", name="{field.name}")'


def _sorted_columns(spec: ModelSpec) -> Iterator[tuple[str, bool]]:
    """Yield the columns that lists are sorted by, and whether they hold text."""
    for field in spec.fields:
        if field.kind.can_sort:
            yield field.attribute, field.kind.annotation == "str"
    if spec.is_timestamped:
        yield "created_at", False


def _condition(field: FieldSpec) -> str:
    """Return the SQL of the choices of *field*, the same for both databases."""
    choices = ", ".join(f"'{choice}'" for choice in field.choices)
    return f"{_quoted(field.name)} IN ({choices})"


def _quoted(name: str) -> str:
    """Return *name*, in quotes if a database reads it as a word of SQL."""
    preparers = (dialect.identifier_preparer for dialect in _DIALECTS)
    return next((sql for preparer in preparers if (sql := preparer.quote(name)) != name), name)


_DIALECTS: Final = (
    postgresql.dialect(),  # type: ignore[no-untyped-call] # of SQLAlchemy
    sqlite.dialect(),
)


_MIXINS: Final[Mapping[str, type]] = {
    "Timestamped": Timestamped,
    "Versioned": Versioned,
    "SoftDelete": SoftDelete,
}


def draft_model(spec: ModelSpec) -> type[object]:
    """Return a mapped class with the columns of the model, apart from those of the application."""

    class Draft(DeclarativeBase):
        metadata = MetaData(naming_convention=Model.metadata.naming_convention)
        type_annotation_map = Model.type_annotation_map

    columns: dict[str, Any] = {
        "id": mapped_column(Uuid, primary_key=True, default=new_key, sort_order=-1)
    }
    for field in spec.fields:
        keys = (
            [ForeignKey(f"{spec.targets[field.target].names.plural}.id")]
            if field.is_reference
            else []
        )
        columns[field.attribute] = mapped_column(
            field.kind.column(field.arguments),
            *keys,
            nullable=field.optional,
            default=field.default,
        )
    arguments: list[Any] = [
        CheckConstraint(_condition(field), name=field.name)
        for field in spec.fields
        if field.choices
    ]
    for name, is_text in _sorted_columns(spec):
        ops: Any = c_collation(name) if is_text else {}
        arguments.append(Index(None, name, "id", postgresql_ops=ops))
    annotations = {
        field.attribute: Mapped[dict[str, Any] | None] if field.optional else Mapped[dict[str, Any]]
        for field in spec.fields
        if field.type == "json"
    }
    mixins = [_MIXINS[name] for name in spec.mixins if name in _MIXINS]
    body = {
        "__tablename__": spec.names.plural,
        "__table_args__": tuple(arguments),
        "__annotations__": annotations,
        "__module__": __name__,
        **columns,
    }
    return type(spec.names.model, (*mixins, Draft), body)
