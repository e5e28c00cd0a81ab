"""Companion tables: idempotency keys and import positions."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.orm import Mapped, Mapper, mapped_column

from brickwork.models.model import Model, UTCDateTime, now


class CompanionTable(Model):
    """The base of tables that are added to a model's metadata on demand."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


def register_companion_tables(mapper: Mapper[Any], *companions: type[CompanionTable]) -> None:
    """Add the tables of *companions* to the metadata of *mapper*, without a schema.

    Raises `TypeError` if the metadata has another table of the same name.
    """
    metadata = _metadata_of(mapper)
    for companion in companions:
        table = cast("Table[Any]", companion.__table__)
        existing = metadata.tables.get(table.name)
        if existing is None:
            _copy_table(table, metadata)
        elif existing.columns.keys() != table.columns.keys():
            model = mapper.class_.__name__
            raise TypeError(
                f"Brickwork needs a table {table.name}, but the metadata of {model} has another "
                "table of this name. Rename it."
            )


def _metadata_of(mapper: Mapper[Any]) -> MetaData:
    """Return the metadata of the table of *mapper*, or of its base if it is mapped to a query."""
    table: object = mapper.local_table
    return table.metadata if isinstance(table, Table) else mapper.registry.metadata


def _copy_table(table: "Table[Any]", metadata: MetaData) -> None:
    """Add *table* to *metadata* without the default schema, as statements name it."""
    schema, metadata.schema = metadata.schema, None
    try:
        table.to_metadata(metadata)
    finally:
        metadata.schema = schema


class IdempotencyKey(CompanionTable):
    """A stored response, by a digest of the caller, the operation and the key."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)


class ImportPosition(CompanionTable):
    """The progress of an import, by a digest of the paths of file and resource."""

    __tablename__ = "import_positions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    file: Mapped[str] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(Text)
    lines: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    accepted: Mapped[int] = mapped_column(BigInteger)
    rejected: Mapped[int] = mapped_column("refused", BigInteger)
    report: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, onupdate=now)
