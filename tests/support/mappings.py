"""Audited mappings: inheritance, composite keys, types, cycles."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    DateTime,
    Float,
    ForeignKey,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Uuid,
    func,
)
from sqlalchemy.orm import Mapped, column_property, declared_attr, mapped_column, relationship
from typing_extensions import override

from brickwork import Audited, Model, Versioned


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Tracked(Audited):
    """A mixin of an application, derived from the library's."""


class Person(Base, Tracked):
    """A person, of one kind or another."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))

    @declared_attr.directive
    @classmethod
    @override
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"polymorphic_on": "kind", "polymorphic_identity": "person"}


class Editor(Person):
    """A person with a second row in another table."""

    __tablename__ = "editors"

    id: Mapped[int] = mapped_column(ForeignKey(Person.id), primary_key=True)
    title: Mapped[str] = mapped_column(String(10), deferred=True)
    desk: Mapped[str | None] = mapped_column(String(10))
    initial = column_property(func.substr(title, 1, 1))

    @declared_attr.directive
    @classmethod
    @override
    def __mapper_args__(cls) -> dict[str, Any]:
        return {"polymorphic_identity": "editor"}


class Edition(Base, Tracked):
    """An edition, with a composite key."""

    __tablename__ = "editions"

    slug: Mapped[str] = mapped_column(String(10), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    price: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    rating: Mapped[float | None] = mapped_column(Float)
    cover: Mapped[bytes | None] = mapped_column(LargeBinary)
    code: Mapped[UUID | None] = mapped_column(Uuid)
    until: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    meta: Mapped[Any] = mapped_column(JSON, nullable=True)


class Chapter(Base, Versioned, Tracked):
    """A chapter, which refers to the next one."""

    __tablename__ = "chapters"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str | None] = mapped_column(String(10))
    next_id: Mapped[int | None] = mapped_column(ForeignKey("chapters.id"))
    next: Mapped["Chapter | None"] = relationship(remote_side="Chapter.id", post_update=True)
