"""Base classes, mixins and types of models."""

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeGuard, cast
from uuid import UUID

from pydantic_core import to_jsonable_python
from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    DateTime,
    Dialect,
    Index,
    Integer,
    MetaData,
    Uuid,
    inspect,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import (
    DeclarativeBase,
    LoaderCallableStatus,
    Mapped,
    Session,
    declared_attr,
    mapped_column,
)
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from brickwork.sqlalchemy_internals import set_comparison

if sys.version_info >= (3, 14):
    from uuid import uuid7
else:
    from uuid_utils.compat import uuid7


def now() -> datetime:
    """Return the current time in UTC, to the microsecond."""
    return datetime.now(UTC)


def new_key() -> UUID:
    """Return a UUIDv7, greater than earlier ones of this process (RFC 9562)."""
    return uuid7()


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: stores aware datetimes, and returns the same instant in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[datetime]:
        return datetime

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("This datetime has no time zone. Give it one, datetime.now(UTC).")
        return value.astimezone(UTC)

    @override
    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        # Not process_result_value, which would cost two more calls for each value.
        read = self.impl_instance.result_processor(dialect, coltype)

        def process(value: Any) -> datetime | None:
            instant: datetime | None = value if read is None else read(value)
            if instant is None or instant.tzinfo is UTC:
                return instant
            if instant.tzinfo is None:
                return instant.replace(tzinfo=UTC)
            return instant.astimezone(UTC)

        return process


class JSONDocument(TypeDecorator[Any]):
    """A JSON object or array, stored as text and returned unchanged. `None` is NULL."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[Any]:
        return dict

    @override
    def compare_values(self, x: object, y: object) -> bool:
        return equal_documents(x, y)


def equal_documents(x: object, y: object) -> bool:
    """Return whether *x* and *y* are the same JSON: `1`, `1.0` and `true` differ."""
    if isinstance(x, LoaderCallableStatus) or isinstance(y, LoaderCallableStatus):
        return x is y  # one value is not loaded
    return _canonical_json(x) == _canonical_json(y)


def equal_values(column: Column[Any], x: object, y: object) -> bool:
    """Return whether *x* and *y* are the same value of *column*."""
    is_document = isinstance(column.type, JSON)
    return (equal_documents if is_document else column.type.compare_values)(x, y)


def _canonical_json(document: object) -> str:
    # Values without a JSON type are compared as the text that is stored.
    return json.dumps(document, sort_keys=True, default=partial(to_jsonable_python, fallback=str))


class Versioned:
    """Mixin: each change increments `version`, which prevents lost updates."""

    version: Mapped[int] = mapped_column(Integer, sort_order=94)


def _mapper_args(model: type[Any]) -> dict[str, Any]:
    """Return mapper arguments that fetch computed values on write, and count versions."""
    inherited = any(
        issubclass(base, Versioned) and hasattr(base, "__mapper__") for base in model.__bases__
    )
    versions = issubclass(model, Versioned) and not inherited
    return {"eager_defaults": True} | ({"version_id_col": model.version} if versions else {})


def _merge_mapper_args(owner: type[Any], own: Mapping[str, Any]) -> object:
    """Merge the *own* mapper arguments of *owner* with ours.

    Subclasses inherit them only if *owner* is abstract.
    """
    abstract = "__abstract__" in vars(owner)

    def merge(model: type[Any]) -> dict[str, Any]:
        return {**_mapper_args(model), **(own if abstract or model is owner else {})}

    return declared_attr.directive(merge)


def _index_kind(index: Index, _: object) -> str:
    """Return the prefix of the name of an index, which differs for partial indexes."""
    return "ix" if index.dialect_options["postgresql"]["where"] is None else "live"


class Model(DeclarativeBase):
    """The base of mapped classes: constraints have names, a datetime is an instant.

    Use it directly for a key of your own (`int`, `str`), and `Entity` for a UUID.
    """

    metadata = MetaData(
        naming_convention={
            "index_kind": _index_kind,
            "ix": "%(index_kind)s_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 — SQLAlchemy declares it, and not as a ClassVar
        datetime: UTCDateTime,
        dict[str, Any]: JSONDocument,
    }

    __mapper_args__: Any = declared_attr.directive(_mapper_args)

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        own: Any = vars(cls).get("__mapper_args__")
        if isinstance(own, Mapping):
            cls.__mapper_args__ = _merge_mapper_args(cls, cast("Mapping[str, Any]", own))
        super().__init_subclass__(**kwargs)


def adapt_to_responses(model: type[object]) -> None:
    """Make a flush of *model*, which may have another base, do what responses need.

    It fetches the values that the database computes, as for a `Model`: a response cannot load
    them. It writes each change of a plain JSON column, even of `1` to `true`.
    """
    mapper = inspect(model)
    mapper.base_mapper.eager_defaults = True
    mapper.registry.configure()
    for name, column in mapper.columns.items():
        if isinstance(column.type, JSON):
            set_comparison(getattr(model, name), equal_documents)


class Entity(Model):
    """The base of rows with a UUIDv7 key, whose order is the order of creation (RFC 9562)."""

    __abstract__ = True

    id: Mapped[UUID] = mapped_column(Uuid, primary_key=True, default=new_key, sort_order=-1)


def created_at_of(context: DefaultExecutionContext) -> datetime:
    """Return the `created_at` of the row that *context* inserts."""
    instant: datetime = (context.current_parameters or {})["created_at"]
    return instant


class Timestamped:
    """Mixin: the times of creation and of the last change, in UTC. They are equal at first."""

    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, sort_order=90)
    updated_at: Mapped[datetime] = mapped_column(
        UTCDateTime, default=created_at_of, onupdate=now, sort_order=91
    )


def touch_updated_at(session: Session, *_: object) -> None:
    """Set `updated_at` of changed rows that span several tables. A hook of `before_flush`.

    `onupdate` covers only its own table.
    """
    for row in session.dirty:
        if isinstance(row, Timestamped) and len(inspect(row).mapper.tables) > 1:
            is_set = inspect(row).attrs.updated_at.history.has_changes()
            if not is_set and session.is_modified(row, include_collections=False):
                row.updated_at = now()


def is_mapped(model: object) -> TypeGuard[type[object]]:
    """Return whether *model* is a mapped class, with any base."""
    return isinstance(model, type) and inspect(model, raiseerr=False) is not None


def is_deleted_marker(column: ColumnElement[Any]) -> bool:
    """Return whether *column* hides a row together with the deleted row it refers to."""
    return any(key.target_fullname.endswith(".is_deleted") for key in column.foreign_keys)
