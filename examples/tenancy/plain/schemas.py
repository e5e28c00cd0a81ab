"""The schemas of requests and responses."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, EmailStr, Field, PlainSerializer

from examples.tenancy.models import Role

Instant = Annotated[
    datetime, PlainSerializer(lambda time: f"{time.replace(tzinfo=None).isoformat()}Z")
]
"""A time in UTC, with or without its zone: SQLite drops it."""


class Input(BaseModel):
    """Base of bodies and queries."""

    model_config = ConfigDict(extra="forbid")


class UserCreate(Input):
    """A new user."""

    email: EmailStr
    name: str = Field(min_length=1, max_length=100)
    role: Role = "member"
    salary: int | None = Field(default=None, ge=0)


class UserUpdate(Input):
    """Changes to a user."""

    email: EmailStr = ""
    name: str = Field(default="", min_length=1, max_length=100)
    role: Role = "member"
    salary: int | None = Field(default=None, ge=0)


class UserRead(BaseModel):
    """A user, as other users see them."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    email: str
    name: str
    role: str


class UserAdminRead(UserRead):
    """A user, as admins see them."""

    salary: int | None


class ProjectCreate(Input):
    """A new project, or a changed one."""

    name: str = Field(min_length=1, max_length=100)


class ProjectRead(BaseModel):
    """A project in a response."""

    id: UUID
    name: str
    created_at: Instant


class ProjectTaskCreate(Input):
    """A new task of the project in the path."""

    title: str = Field(min_length=1, max_length=200)
    assignee_id: UUID | None = None


class TaskCreate(ProjectTaskCreate):
    """A new task."""

    project_id: UUID


class TaskUpdate(Input):
    """Changes to a task."""

    title: str = Field(default="", min_length=1, max_length=200)
    assignee_id: UUID | None = None
    project_id: UUID = UUID(int=0)


class TaskRead(BaseModel):
    """A task in a response."""

    id: UUID
    project_id: UUID
    assignee_id: UUID | None
    title: str
    done: bool
    version: int


class TaskCounts(BaseModel):
    """The numbers of tasks."""

    open: int
    done: int


class EntryRead(BaseModel):
    """A change of a row."""

    id: UUID
    action: str
    actor: str
    changes: dict[str, Any]
    created_at: Instant


class PageQuery(Input):
    """The parameters of every list."""

    limit: int = Field(default=20, ge=1, le=100)
    offset: int = Field(default=0, ge=0, le=10_000)
    count: Literal["exact"] | None = None


class UserQuery(PageQuery):
    """The parameters of the users."""

    email: str | None = None
    role: str | None = None
    sort: Literal["name", "-name", "email", "-email"] | None = None


class ProjectQuery(PageQuery):
    """The parameters of the projects."""

    name__icontains: str | None = None
    sort: Literal["name", "-name", "created_at", "-created_at"] | None = None


class TaskQuery(PageQuery):
    """The parameters of the tasks."""

    project_id: UUID | None = None
    assignee_id: UUID | None = None
    done: bool | None = None
    title__icontains: str | None = None
    sort: Literal["title", "-title", "created_at", "-created_at"] | None = None
