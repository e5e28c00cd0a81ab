"""The resources, with what a caller may do."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import BackgroundTasks, Depends
from sqlalchemy import Select
from typing_extensions import override

from brickwork import Forbidden, ReferenceScopes, Resource

from . import mail
from .auth import CurrentCaller
from .models import Owned, Project, Task, User
from .schemas import UserAdminRead

T = TypeVar("T", bound=Owned)


class TenantResource(Resource[T]):
    """Rows of the caller's tenant. Every resource inherits from it."""

    caller: CurrentCaller

    @override
    def query(self) -> Select[T]:
        return super().query().where(type(self).model.tenant_id == self.caller.tenant_id)

    @override
    def actor(self) -> str:
        return f"{self.caller.tenant_id}/{self.caller.user_id}"

    @override
    async def create(self, row: T, /) -> None:
        row.tenant_id = self.caller.tenant_id
        await super().create(row)

    @override
    async def delete(self, row: T, /) -> None:
        self.caller.require_admin()
        await super().delete(row)


class Users(TenantResource[User]):
    """Users. Members may change their own name and email."""

    @override
    def read_schema(self) -> type[UserAdminRead] | None:
        return UserAdminRead if self.caller.role == "admin" else None

    @override
    async def create(self, row: User, /) -> None:
        self.caller.require_admin()
        await super().create(row)

    @override
    async def update(self, row: User, /, changes: Mapping[str, Any]) -> None:
        if row.id != self.caller.user_id or changes.keys() & {"role", "salary"}:
            self.caller.require_admin()
        await super().update(row, changes)


class Projects(TenantResource[Project]):
    """Projects."""


class Tasks(TenantResource[Task]):
    """Tasks of all projects."""

    projects: Annotated[Projects, Depends()]
    users: Annotated[Users, Depends()]
    background: BackgroundTasks

    @override
    def reference_scopes(self) -> ReferenceScopes:
        return {"project_id": self.projects.query(), "assignee_id": self.users.query()}

    @override
    async def create(self, row: Task, /) -> None:
        await super().create(row)
        if row.assignee_id is not None:
            (user,) = await self.users.get_many([row.assignee_id])
            if user is not None:  # otherwise the flush rejects the reference
                self.background.add_task(mail.send_assignment, user.email, row.title)

    async def complete(self, row: Task) -> None:
        """Complete a task. Only its assignee and admins may do that."""
        if self.caller.role != "admin" and row.assignee_id != self.caller.user_id:
            raise Forbidden("Only the assignee and admins may complete a task.")
        await self.update(row, {"done": True})


async def get_project(project_id: str, projects: Annotated[Projects, Depends()]) -> Project:
    """Return the project in the path. Raises `NotFound` for a project of another tenant."""
    return await projects.get(project_id)


class ProjectTasks(Tasks):
    """Tasks of the project in the path."""

    project: Annotated[Project, Depends(get_project)]

    @override
    def query(self) -> Select[Task]:
        return super().query().where(Task.project_id == self.project.id)

    @override
    async def create(self, row: Task, /) -> None:
        row.project_id = self.project.id
        await super().create(row)
