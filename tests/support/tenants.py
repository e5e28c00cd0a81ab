"""Two tenants of `examples/tenancy`, in one database or in two."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from fastapi import FastAPI
from httpx2 import AsyncClient
from sqlalchemy import select

from brickwork import Database
from examples.tenancy import main, per_tenant
from examples.tenancy.auth import Caller, create_token
from examples.tenancy.models import Base
from examples.tenancy.seed import add_tenant
from tests.support.bodies import Body
from tests.support.calls import calling
from tests.support.databases import Databases


@dataclass
class Party:
    """A tenant with an admin, a member, a project and two tasks."""

    name: str
    admin: Caller
    member: Caller
    ids: dict[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True)
class Tenancy:
    """The application, its tenants and its databases."""

    app: FastAPI
    client: AsyncClient
    databases: Sequence[Database]
    a: Party
    b: Party

    async def stored(self) -> Mapping[str, Sequence[Any]]:
        """Return all rows of all tables."""
        rows: dict[str, Sequence[Any]] = {}
        for number, database in enumerate(self.databases):
            async with database.session(readonly=True) as session:
                for table in Base.metadata.sorted_tables:
                    statement = select(table).order_by(*table.primary_key)
                    found = (await session.execute(statement)).all()
                    rows[f"{number} {table.name}"] = [tuple(row) for row in found]
        return rows


def bearer(caller: Caller, **more: str) -> dict[str, str]:
    """Return the headers of *caller*."""
    return {"authorization": f"Bearer {create_token(caller)}"} | more


@asynccontextmanager
async def two_tenants(
    databases: Databases, backend: str, *, separate: bool
) -> AsyncGenerator[Tenancy]:
    """Start the application with two tenants, each in a database of its own if *separate*."""
    urls = [databases.empty(backend) for _ in range(1 + separate)]
    stores = [Database(url) for url in urls]
    for store in stores:
        await store.create_all(Base.metadata)
    admins = [
        await add_tenant(store, name, f"{name}@example.org")
        for store, name in zip((stores[0], stores[-1]), ("alpha", "beta"), strict=True)
    ]
    if separate:
        by_tenant: dict[UUID, str] = {
            admin.tenant_id: url for admin, url in zip(admins, urls, strict=True)
        }
        app = per_tenant.create_app(by_tenant)
    else:
        app = main.create_app(urls[0])
    async with calling(app) as client:
        a, b = [
            await fill(client, name, admin)
            for name, admin in zip(("alpha", "beta"), admins, strict=True)
        ]
        yield Tenancy(app, client, stores, a, b)
    for store in stores:
        await store.dispose()


async def fill(client: AsyncClient, name: str, admin: Caller) -> Party:
    """Create the rows of a tenant."""

    async def create(path: str, body: Body) -> str:
        response = await client.post(f"/v1{path}", json=body, headers=bearer(admin))
        assert response.status_code == 201, response.text
        key: str = response.json()["id"]
        return key

    user = await create(
        "/users", {"email": "member@example.org", "name": f"{name} member", "salary": 5_000}
    )
    project = await create("/projects", {"name": "Secret plans"})
    task, other = [
        await create("/tasks", {"title": title, "project_id": project, "assignee_id": user})
        for title in (f"{name} task", f"{name} other")
    ]
    ids = {"user": user, "project": project, "task": task, "other": other}
    member = Caller(UUID(user), admin.tenant_id, "member")
    return Party(name, admin, member, ids)
