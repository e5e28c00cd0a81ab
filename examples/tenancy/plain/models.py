"""The models, and the audit of their changes."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import JSON, DateTime, ForeignKey, MetaData, String, UniqueConstraint, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from examples.tenancy.models import Role


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Base of all models."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=utc_now)


class Tenant(Base):
    """A customer of the service."""

    __tablename__ = "tenants"

    name: Mapped[str] = mapped_column(String(100), unique=True)


class Owned(Base):
    """Base of rows that belong to a tenant."""

    __abstract__ = True

    @declared_attr
    @classmethod
    def tenant_id(cls) -> Mapped[UUID]:
        """Return the column of the tenant."""
        return mapped_column(ForeignKey(Tenant.id), index=True)


class User(Owned):
    """A user of a tenant."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant_id", "email"),)

    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[Role] = mapped_column(String(6), default="member")
    salary: Mapped[int | None]


class Project(Owned):
    """A project."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str] = mapped_column(String(100))


class Task(Owned):
    """A task of a project."""

    __tablename__ = "tasks"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id), index=True)
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id), index=True)
    title: Mapped[str] = mapped_column(String(200))
    done: Mapped[bool] = mapped_column(default=False)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012 — SQLAlchemy's name


class Entry(Owned):
    """A change of a row."""

    __tablename__ = "entries"

    row_id: Mapped[UUID] = mapped_column(index=True)
    action: Mapped[str] = mapped_column(String(6))
    actor: Mapped[str] = mapped_column(String(100))
    changes: Mapped[dict[str, Any]] = mapped_column(JSON)


AUDITED = (User, Task)


def add_entry(db: AsyncSession, row: Owned, action: str, actor: str) -> None:
    """Add the entry of a change of *row*: after its INSERT, before its UPDATE or DELETE."""
    if not isinstance(row, AUDITED):
        return
    changes: dict[str, Any] = {}
    state: Any = inspect(row)
    for name in {*state.mapper.columns.keys()} - {"tenant_id", "created_at"}:
        history = state.attrs[name].history
        value = as_json(getattr(row, name))
        if action == "create":
            changes[name] = {"after": value}
        elif action == "delete":
            changes[name] = {"before": value}
        elif history.has_changes():
            changes[name] = {"before": as_json(history.deleted[0]), "after": value}
    if changes:
        entry = Entry(row_id=row.id, action=action, actor=actor, changes=changes)
        entry.tenant_id = row.tenant_id
        db.add(entry)


def as_json(value: Any) -> Any:
    """Return *value* as JSON has it."""
    return value if value is None or isinstance(value, (bool, int)) else str(value)
