"""Tables that Brickwork brings along."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import JSON, BigInteger, Integer, LargeBinary, MetaData, String, Table, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from brickwork.models.model import Model, UTCDateTime, now


class CompanionTable(Model):
    """The base of tables that are made and migrated with those which ask for them, and not else."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


def register_companion_tables(
    model: type[DeclarativeBase], *companions: type[CompanionTable]
) -> None:
    """Have the tables of *companions* made and migrated with that of *model*.

    They are in no schema, wherever the others are. Raises `TypeError` for another table of one of
    their names.
    """
    for each in companions:
        table = cast("Table[Any]", each.__table__)
        known = model.metadata.tables.get(table.name)
        if known is None:
            _copy_table(table, model.metadata)
        elif known.columns.keys() != table.columns.keys():
            raise TypeError(
                f"The table {table.name} is Brickwork's, and the metadata of {model.__name__} has "
                "another of this name. Rename that."
            )


def _copy_table(table: "Table[Any]", metadata: MetaData) -> None:
    """Add *table* to *metadata*, outside of its schema: statements name it without one."""
    schema, metadata.schema = metadata.schema, None
    try:
        table.to_metadata(metadata)
    finally:
        metadata.schema = schema


class IdempotencyKey(CompanionTable):
    """An answer that was given, by the digest of who asked, for what, with which key."""

    __tablename__ = "idempotency_keys"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    fingerprint: Mapped[str] = mapped_column(String(64))
    status: Mapped[int] = mapped_column(Integer)
    headers: Mapped[dict[str, Any]] = mapped_column(JSON)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, index=True)


class ImportPosition(CompanionTable):
    """How far the import of a file is, by the digest of its path and the path of the resource."""

    __tablename__ = "import_positions"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    file: Mapped[str] = mapped_column(Text)
    resource: Mapped[str] = mapped_column(Text)
    lines: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(String(64))
    accepted: Mapped[int] = mapped_column(BigInteger)
    refused: Mapped[int] = mapped_column(BigInteger)
    report: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=now, onupdate=now)
