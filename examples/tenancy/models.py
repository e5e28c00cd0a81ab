"""The models."""

from typing import Literal
from uuid import UUID

from sqlalchemy import ForeignKey, MetaData, String, UniqueConstraint
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from brickwork import Audited, Entity, Timestamped, Versioned

Role = Literal["admin", "member"]


class Base(Entity):
    """Base of the models, with its own tables."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Entity.metadata.naming_convention)


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


class User(Owned, Audited):
    """A user of a tenant."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("tenant_id", "email"),)

    email: Mapped[str] = mapped_column(String(254))
    name: Mapped[str] = mapped_column(String(100))
    role: Mapped[str] = mapped_column(String(6), default="member")
    salary: Mapped[int | None]


class Project(Owned, Timestamped):
    """A project."""

    __tablename__ = "projects"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    name: Mapped[str] = mapped_column(String(100))


class Task(Owned, Timestamped, Versioned, Audited):
    """A task of a project."""

    __tablename__ = "tasks"

    project_id: Mapped[UUID] = mapped_column(ForeignKey(Project.id), index=True)
    assignee_id: Mapped[UUID | None] = mapped_column(ForeignKey(User.id), index=True)
    title: Mapped[str] = mapped_column(String(200))
    done: Mapped[bool] = mapped_column(default=False)
