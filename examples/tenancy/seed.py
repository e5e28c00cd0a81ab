"""New tenants.

`python -m examples.tenancy.seed NAME EMAIL` adds one, and prints a token.
"""

import asyncio
import sys
from os import environ

from brickwork import Database

from .auth import Caller, create_token
from .models import Base, Tenant, User


async def add_tenant(database: Database, name: str, email: str) -> Caller:
    """Add a tenant with an admin, and return the admin."""
    async with database.session() as session:
        session.add(tenant := Tenant(name=name))
        await session.flush()
        session.add(user := User(tenant_id=tenant.id, email=email, name="Admin", role="admin"))
        await session.flush()
        return Caller(user.id, tenant.id, "admin")


async def main(name: str, email: str) -> None:
    """Add a tenant to `DATABASE_URL`, and print the token of its admin."""
    database = Database(environ.get("DATABASE_URL", "sqlite:///tenancy.db"))
    await database.create_all(Base.metadata)
    print(create_token(await add_tenant(database, name, email)))  # noqa: T201 — a command
    await database.dispose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
