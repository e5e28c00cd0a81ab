"""Models with every kind of column and relationship."""

from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

from sqlalchemy import Enum as EnumType, ForeignKey, Index, MetaData, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from brickwork import Model, c_collation


class Base(Model):
    """The base of the models here, with tables of its own."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


class Climate(Enum):
    """An enum, which is stored by its names."""

    MILD = "mild"
    HARSH = "harsh"


class Word(TypeDecorator[str]):
    """Text with a custom type."""

    impl = String(20)
    cache_ok = True

    @property
    @override
    def python_type(self) -> type[str]:
        return str


class Land(Base):
    """A land, with parts."""

    __tablename__ = "lands"

    code: Mapped[str] = mapped_column(String(2), primary_key=True)
    name: Mapped[str | None] = mapped_column(String(30))
    parts: Mapped[list["Region"]] = relationship(back_populates="land")


class Region(Base):
    """A part of a land."""

    __tablename__ = "parts"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str | None] = mapped_column(String(30))
    note: Mapped[str | None]
    size: Mapped[int | None]
    height: Mapped[float | None]
    found: Mapped[date | None]
    money: Mapped[Decimal | None] = mapped_column(Numeric(10, 2))
    climate: Mapped[Climate | None] = mapped_column(EnumType(Climate))
    word: Mapped[str | None] = mapped_column(Word)
    eq: Mapped[int | None]
    more: Mapped[dict[str, Any] | None]
    land_code: Mapped[str | None] = mapped_column(ForeignKey(Land.code))
    land: Mapped[Land | None] = relationship(back_populates="parts")

    __table_args__ = (
        Index("ix_parts_name", "name", "id", postgresql_ops=c_collation("name")),
        Index("ix_parts_size", "size", "id"),
    )


class Stray(Base):
    """A row with a foreign key to a table without a model."""

    __tablename__ = "strays"

    id: Mapped[int] = mapped_column(primary_key=True)
    other_id: Mapped[int | None] = mapped_column(ForeignKey("elsewhere.id"))
