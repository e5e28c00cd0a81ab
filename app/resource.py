"""The rules of every resource of this service."""

from typing import TypeVar

from typing_extensions import override

from brickwork import AuditEntry, DeletedFilter, ListQuery, Page, Resource

from .auth import ADMIN, ANYBODY, User, find_user, require_user

M = TypeVar("M")


class ProtectedResource(Resource[M]):
    """Rows that every user reads and writes.

    Admins alone see deleted rows and histories, restore rows, and remove them for good.
    """

    @property
    def user(self) -> User:
        """Return the user of the request, whose rows `query` may select. Raises `Unauthorized`."""
        return require_user()

    @override
    def actor(self) -> str | None:
        user = find_user()
        return None if user is None or user is ANYBODY else user.id

    @override
    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        self.user.require(ADMIN)
        await super().include_deleted(deleted_filter)

    @override
    async def history(self, key: object, params: ListQuery[AuditEntry], /) -> Page[AuditEntry]:
        self.user.require(ADMIN)
        return await super().history(key, params)

    @override
    async def restore(self, row: M, /) -> None:
        self.user.require(ADMIN)
        await super().restore(row)

    @override
    async def purge(self, row: M, /) -> None:
        self.user.require(ADMIN)
        await super().purge(row)
