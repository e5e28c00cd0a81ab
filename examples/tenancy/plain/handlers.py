"""The routes."""
# ruff: noqa: FAST003 — dependencies have these parameters

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Depends, HTTPException, Query
from sqlalchemy import func, select

from examples.tenancy import mail

from .models import Entry, Project, Task, User
from .rows import RowsDep
from .schemas import (
    EntryRead,
    ProjectCreate,
    ProjectQuery,
    ProjectRead,
    ProjectTaskCreate,
    TaskCounts,
    TaskCreate,
    TaskQuery,
    TaskRead,
    TaskUpdate,
    UserAdminRead,
    UserCreate,
    UserQuery,
    UserRead,
    UserUpdate,
)

router = APIRouter(prefix="/v1", responses={401: {}, 403: {}, 404: {}, 409: {}, 412: {}, 422: {}})

# --- Users ----------------------------------------------------------------------------------------


def show_user(rows: RowsDep, user: User) -> UserRead:
    """Return *user* as the caller may see it."""
    kind = UserAdminRead if rows.caller.role == "admin" else UserRead
    return kind.model_validate(user)


async def change_user(rows: RowsDep, key: UUID, values: Mapping[str, Any]) -> UserRead:
    """Change a user. Members may change their own name and email."""
    user = await rows.find(User, key)
    if key != rows.caller.user_id or values.keys() & {"role", "salary"}:
        rows.require_admin()
    return show_user(rows, await rows.update(user, values))


@router.get("/users")
async def list_users(
    rows: RowsDep, query: Annotated[UserQuery, Query()]
) -> list[UserAdminRead | UserRead]:
    """Return a page of the users."""
    return [show_user(rows, user) for user in await rows.page(rows.query(User), User, query)]


@router.post("/users", status_code=201)
async def create_user(rows: RowsDep, body: UserCreate) -> UserAdminRead | UserRead:
    """Create a user."""
    rows.require_admin()
    return show_user(rows, await rows.create(User(), body.model_dump()))


@router.get("/users/{key}")
async def get_user(rows: RowsDep, key: UUID) -> UserAdminRead | UserRead:
    """Return a user."""
    return show_user(rows, await rows.find(User, key))


@router.patch("/users/{key}")
async def update_user(rows: RowsDep, key: UUID, body: UserUpdate) -> UserAdminRead | UserRead:
    """Change a user."""
    return await change_user(rows, key, body.model_dump(exclude_unset=True))


@router.put("/users/{key}")
async def replace_user(rows: RowsDep, key: UUID, body: UserCreate) -> UserAdminRead | UserRead:
    """Replace a user."""
    return await change_user(rows, key, body.model_dump())


@router.delete("/users/{key}", status_code=204)
async def delete_user(rows: RowsDep, key: UUID) -> None:
    """Delete a user."""
    await rows.delete(await rows.find(User, key))


@router.get("/users/{key}/history", response_model=list[EntryRead])
async def get_user_history(rows: RowsDep, key: UUID) -> Sequence[Entry]:
    """Return the changes of a user, with salaries for admins alone."""
    entries = await rows.history(await rows.find(User, key))
    for entry in entries if rows.caller.role != "admin" else ():
        if "salary" in entry.changes:
            entry.changes = entry.changes | {"salary": {}}
    return entries


# --- Projects -------------------------------------------------------------------------------------


@router.get("/projects", response_model=list[ProjectRead])
async def list_projects(
    rows: RowsDep, query: Annotated[ProjectQuery, Query()]
) -> Sequence[Project]:
    """Return a page of the projects."""
    return await rows.page(rows.query(Project), Project, query)


@router.post("/projects", status_code=201, response_model=ProjectRead)
async def create_project(rows: RowsDep, body: ProjectCreate) -> Project:
    """Create a project."""
    return await rows.create(Project(), body.model_dump())


@router.get("/projects/{key}", response_model=ProjectRead)
async def get_project(rows: RowsDep, key: UUID) -> Project:
    """Return a project."""
    return await rows.find(Project, key)


@router.patch("/projects/{key}", response_model=ProjectRead)
@router.put("/projects/{key}", response_model=ProjectRead)
async def change_project(rows: RowsDep, key: UUID, body: ProjectCreate) -> Project:
    """Change a project."""
    return await rows.update(await rows.find(Project, key), body.model_dump())


@router.delete("/projects/{key}", status_code=204)
async def delete_project(rows: RowsDep, key: UUID) -> None:
    """Delete a project."""
    await rows.delete(await rows.find(Project, key))


# --- Tasks ----------------------------------------------------------------------------------------


async def create(rows: RowsDep, background: BackgroundTasks, values: Mapping[str, Any]) -> Task:
    """Create a task, and send a mail to its assignee."""
    await rows.require(Project, values["project_id"], "project_id")
    assignee = await rows.require(User, values["assignee_id"], "assignee_id")
    task = await rows.create(Task(), values)
    if assignee is not None:
        background.add_task(mail.send_assignment, assignee.email, task.title)
    return task


async def change(rows: RowsDep, task: Task, values: Mapping[str, Any]) -> Task:
    """Change a task, within the tenant."""
    if "project_id" in values:
        await rows.require(Project, values["project_id"], "project_id")
    if "assignee_id" in values:
        await rows.require(User, values["assignee_id"], "assignee_id")
    return await rows.update(task, values)


@router.get("/tasks", response_model=list[TaskRead])
async def list_tasks(rows: RowsDep, query: Annotated[TaskQuery, Query()]) -> Sequence[Task]:
    """Return a page of the tasks."""
    return await rows.page(rows.query(Task), Task, query)


@router.get("/tasks/counts")
async def count_tasks(rows: RowsDep) -> TaskCounts:
    """Count the tasks of the tenant."""
    visible = rows.query(Task).subquery()
    statement = select(visible.c.done, func.count()).group_by(visible.c.done)
    counts: dict[bool, int] = {row[0]: row[1] for row in await rows.db.execute(statement)}
    return TaskCounts(open=counts.get(False, 0), done=counts.get(True, 0))


@router.post("/tasks", status_code=201, response_model=TaskRead)
async def create_task(rows: RowsDep, body: TaskCreate, background: BackgroundTasks) -> Task:
    """Create a task."""
    return await create(rows, background, body.model_dump())


@router.get("/tasks/{key}", response_model=TaskRead)
async def get_task(rows: RowsDep, key: UUID) -> Task:
    """Return a task."""
    return await rows.find(Task, key)


@router.patch("/tasks/{key}", response_model=TaskRead)
async def update_task(rows: RowsDep, key: UUID, body: TaskUpdate) -> Task:
    """Change a task."""
    return await change(rows, await rows.find(Task, key), body.model_dump(exclude_unset=True))


@router.put("/tasks/{key}", response_model=TaskRead)
async def replace_task(rows: RowsDep, key: UUID, body: TaskCreate) -> Task:
    """Replace a task."""
    return await change(rows, await rows.find(Task, key), body.model_dump())


@router.delete("/tasks/{key}", status_code=204)
async def delete_task(rows: RowsDep, key: UUID) -> None:
    """Delete a task."""
    await rows.delete(await rows.find(Task, key))


@router.get("/tasks/{key}/history", response_model=list[EntryRead])
async def get_task_history(rows: RowsDep, key: UUID) -> Sequence[Entry]:
    """Return the changes of a task."""
    return await rows.history(await rows.find(Task, key))


@router.post("/tasks/{key}/complete", response_model=TaskRead)
async def complete_task(rows: RowsDep, key: UUID) -> Task:
    """Complete a task. Only its assignee and admins may do that."""
    task = await rows.find(Task, key)
    if rows.caller.role != "admin" and task.assignee_id != rows.caller.user_id:
        raise HTTPException(403, "Only the assignee and admins may complete a task.")
    return await rows.update(task, {"done": True})


# --- Tasks of a project ---------------------------------------------------------------------------


async def find_project(rows: RowsDep, project_id: UUID) -> Project:
    """Return the project in the path. Raises a 404 for a project of another tenant."""
    return await rows.find(Project, project_id)


ProjectDep = Annotated[Project, Depends(find_project)]


async def find_project_task(rows: RowsDep, project: ProjectDep, key: UUID) -> Task:
    """Return a task of the project in the path."""
    task = await rows.find(Task, key)
    if task.project_id != project.id:
        raise HTTPException(404, "Task not found")
    return task


ProjectTaskDep = Annotated[Task, Depends(find_project_task)]


@router.get("/projects/{project_id}/tasks", response_model=list[TaskRead])
async def list_project_tasks(
    rows: RowsDep, project: ProjectDep, query: Annotated[TaskQuery, Query()]
) -> Sequence[Task]:
    """Return a page of the tasks of a project."""
    return await rows.page(rows.query(Task).where(Task.project_id == project.id), Task, query)


@router.post("/projects/{project_id}/tasks", status_code=201, response_model=TaskRead)
async def create_project_task(
    rows: RowsDep, project: ProjectDep, body: ProjectTaskCreate, background: BackgroundTasks
) -> Task:
    """Create a task of a project."""
    return await create(rows, background, body.model_dump() | {"project_id": project.id})


@router.get("/projects/{project_id}/tasks/{key}", response_model=TaskRead)
async def get_project_task(task: ProjectTaskDep) -> Task:
    """Return a task of a project."""
    return task


@router.put("/projects/{project_id}/tasks/{key}", response_model=TaskRead)
async def replace_project_task(
    rows: RowsDep, task: ProjectTaskDep, body: ProjectTaskCreate
) -> Task:
    """Replace a task of a project."""
    return await change(rows, task, body.model_dump())


@router.delete("/projects/{project_id}/tasks/{key}", status_code=204)
async def delete_project_task(rows: RowsDep, task: ProjectTaskDep) -> None:
    """Delete a task of a project."""
    await rows.delete(task)


@router.get("/projects/{project_id}/tasks/{key}/history", response_model=list[EntryRead])
async def get_project_task_history(rows: RowsDep, task: ProjectTaskDep) -> Sequence[Entry]:
    """Return the changes of a task of a project."""
    return await rows.history(task)
