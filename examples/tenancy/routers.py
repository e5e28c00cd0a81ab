"""The routes."""

from typing import Annotated

from fastapi import APIRouter, Depends
from sqlalchemy import func, select

from brickwork import crud_router

from .models import Task
from .resources import Projects, ProjectTasks, Tasks, Users
from .schemas import (
    ProjectCreate,
    ProjectQuery,
    ProjectRead,
    ProjectTaskCreate,
    ProjectUpdate,
    TaskCounts,
    TaskCreate,
    TaskQuery,
    TaskRead,
    TaskUpdate,
    UserCreate,
    UserQuery,
    UserRead,
    UserUpdate,
)

users = crud_router(
    "/users", Users, read=UserRead, create=UserCreate, update=UserUpdate, query=UserQuery
)

projects = crud_router(
    "/projects",
    Projects,
    read=ProjectRead,
    create=ProjectCreate,
    update=ProjectUpdate,
    query=ProjectQuery,
)

tasks = crud_router(
    "/tasks", Tasks, read=TaskRead, create=TaskCreate, update=TaskUpdate, query=TaskQuery
)

project_tasks = crud_router(
    "/projects/{project_id}/tasks",
    ProjectTasks,
    read=TaskRead,
    create=ProjectTaskCreate,
    query=TaskQuery,
)


@tasks.get("/counts")
async def count_tasks(resource: Annotated[Tasks, Depends()]) -> TaskCounts:
    """Count the tasks of the tenant."""
    visible = resource.query().subquery()
    statement = select(visible.c.done, func.count()).group_by(visible.c.done)
    rows = await resource.session.execute(statement)
    counts: dict[bool, int] = {row[0]: row[1] for row in rows}
    return TaskCounts(open=counts.get(False, 0), done=counts.get(True, 0))


@tasks.post("/{id}/complete", response_model=TaskRead)
async def complete_task(id: str, resource: Annotated[Tasks, Depends()]) -> Task:  # noqa: A002
    """Complete a task."""
    task = await resource.get(id)
    await resource.complete(task)
    await resource.session.flush()
    return task


router = APIRouter(prefix="/v1")
for part in (users, projects, tasks, project_tasks):
    router.include_router(part)
