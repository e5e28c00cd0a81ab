"""The schemas of requests and responses."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from annotated_types import Ge, Len
from pydantic import EmailStr

from brickwork import ListQuery, ReadSchema, Schema, SortBy

from .models import Project, Role, Task, User


class UserCreate(Schema):
    """A new user."""

    email: EmailStr
    name: Annotated[str, Len(1, 100)]
    role: Role = "member"
    salary: Annotated[int, Ge(0)] | None = None


class UserUpdate(UserCreate, partial=True):
    """Changes to a user."""


class UserRead(ReadSchema):
    """A user, as other users see them."""

    id: UUID
    email: str
    name: str
    role: str


class UserAdminRead(UserRead):
    """A user, as admins see them."""

    salary: int | None


class UserQuery(ListQuery[User]):
    """The parameters of the users."""

    email: str | None = None
    role: str | None = None
    sort: SortBy[Literal["name", "email"]] = None


class ProjectCreate(Schema):
    """A new project."""

    name: Annotated[str, Len(1, 100)]


class ProjectUpdate(ProjectCreate, partial=True):
    """Changes to a project."""


class ProjectRead(ReadSchema):
    """A project in a response."""

    id: UUID
    name: str
    created_at: datetime


class ProjectQuery(ListQuery[Project]):
    """The parameters of the projects."""

    name__icontains: str | None = None
    sort: SortBy[Literal["name", "created_at"]] = None


class ProjectTaskCreate(Schema):
    """A new task of the project in the path."""

    title: Annotated[str, Len(1, 200)]
    assignee_id: UUID | None = None


class TaskCreate(ProjectTaskCreate):
    """A new task."""

    project_id: UUID


class TaskUpdate(TaskCreate, partial=True):
    """Changes to a task."""


class TaskRead(ReadSchema):
    """A task in a response."""

    id: UUID
    project_id: UUID
    assignee_id: UUID | None
    title: str
    done: bool
    version: int


class TaskQuery(ListQuery[Task]):
    """The parameters of the tasks."""

    project_id: UUID | None = None
    assignee_id: UUID | None = None
    done: bool | None = None
    title__icontains: str | None = None
    sort: SortBy[Literal["title", "created_at"]] = None


class TaskCounts(ReadSchema):
    """The numbers of tasks."""

    open: int
    done: int
