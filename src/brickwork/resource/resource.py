"""`Resource`: the methods that every request calls."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar, get_args

from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.orm.interfaces import ORMOption
from typing_extensions import dataclass_transform, get_original_bases, override

from brickwork.database.database import SessionDep
from brickwork.database.isolation import IsolationLevel, strictest_isolation
from brickwork.database.transactions import begin_snapshot
from brickwork.database.unit_of_work import set_actor, unit_of_work
from brickwork.models.model import now
from brickwork.models.soft_delete import DeletedFilter, as_soft_deletable
from brickwork.problems import NotFound
from brickwork.query.list_query import ListQuery
from brickwork.query.lookup import base_statement, get_all, get_or_404
from brickwork.query.pagination import Page, paginate, stream
from brickwork.resource.changes import apply_changes
from brickwork.resource.checks import assign_rows, register_resource, release_row
from brickwork.resource.references import ReferenceScopes
from brickwork.resource.related import input_of
from brickwork.resource.related_changes import change_related
from brickwork.resource.removals import leave_references_to_database
from brickwork.schemas.schema import Schema
from brickwork.signatures import check_fields, check_methods, methods_of
from brickwork.tracking.audit import AuditEntry, history_statement

M = TypeVar("M")
S = TypeVar("S", bound=Schema)


class _ModelDescriptor:
    """Descriptor of the model of a resource, named in its bases: `Resource[Article]`."""

    def __get__(self, _: object, resource: "type[Resource[M]]") -> type[M]:
        """Return the model. Raises `TypeError` for a resource without one."""
        bases = (base for kind in resource.__mro__ for base in get_original_bases(kind))
        for base in bases:
            for model in get_args(base):
                if isinstance(model, type):
                    return model
        raise TypeError(f"{resource.__name__} has no model: inherit from Resource[YourModel].")


@dataclass_transform(kw_only_default=True)
@dataclass(kw_only=True, eq=False, repr=False)
class Resource(Generic[M]):
    """The rows of one model, for one request: inherit as `Articles(Resource[Article])`.

    An overridden method applies to every route; call `super()` for the default behaviour. A typed
    field, `user: CurrentUser`, is a FastAPI dependency. The methods change the session, and their
    caller flushes it. They know no HTTP, so a script can use a resource as well.
    """

    session: SessionDep
    model = _ModelDescriptor()
    load_options: Sequence[ORMOption] = field(default=(), init=False)
    """Loader options for what the response shows, or for what a change is compared with. The router
    sets them."""
    deleted_filter: DeletedFilter = field(default="exclude", init=False)
    """Whether `query` returns deleted rows. `include_deleted` changes it."""

    require_if_match: ClassVar[bool] = False
    """Whether a change without If-Match is a 428."""
    allow_upsert: ClassVar[bool] = False
    """Whether PUT creates a missing row. Clients then choose its key."""
    isolation_level: ClassVar[IsolationLevel | None] = None
    """Isolation level of writing transactions. None: the level of the `Database`."""

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        docstring = cls.__doc__
        dataclass(kw_only=True, eq=False, repr=False)(cls)
        cls.__doc__ = docstring  # a dataclass without one gets its signature
        check_methods(cls, Resource, methods_of(Resource))
        with suppress(NameError):  # an annotation names a class that is defined later
            check_fields(cls, Resource)
        if cls.isolation_level not in {None, *get_args(IsolationLevel)}:
            known = ", ".join(map(repr, get_args(IsolationLevel)))
            raise TypeError(
                f"{cls.__name__}.isolation_level is {cls.isolation_level!r}: use one of {known}."
            )

    def __post_init__(self) -> None:
        """Store the actor and the isolation level on the session."""
        if (actor := self.actor()) is not None:
            set_actor(self.session, actor)
        if unit_of_work(self.session).writable:
            self._set_isolation_level()
            leave_references_to_database(self.session)
        register_resource(self.session, self)

    def _set_isolation_level(self) -> None:
        unit = unit_of_work(self.session)
        current = unit.isolation_level
        if (level := strictest_isolation((current, self.isolation_level))) == current:
            return
        if self.session.in_transaction():
            raise TypeError(
                f"{type(self).__name__} needs {level} isolation, but its transaction has begun. "
                "Give the router of this endpoint route_class=brickwork.StrictRoute."
            )
        unit.isolation_level = level

    def actor(self) -> str | None:
        """Return the name of the caller, for the audit and idempotency keys. None by default."""
        return None

    def query(self) -> Select[M]:
        """Return the SELECT from which every read and write starts. Override it to scope them."""
        return base_statement(type(self).model, self.deleted_filter)

    def reference_scopes(self) -> ReferenceScopes:
        """Return the rows that attributes may refer to. A missing attribute may refer to any row.

        Override it as `return {"article_id": self.articles.query()}`, with a field
        `articles: Annotated[Articles, Depends()]`. A reference out of that scope is then a 422
        `reference_not_found`, however the row is written.
        """
        return {}

    def read_schema(self) -> type[BaseModel] | None:
        """Return the schema of responses to this caller. None: the `read` of `crud_router`.

        Annotate an override with the schemas that it returns, `-> type[ArticleAdminRead] | None`.
        It cannot use the session.
        """
        return None

    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        """Make `query` return deleted rows too, or alone. Override it to restrict that."""
        self.deleted_filter = deleted_filter

    def _loading_query(self) -> Select[M]:
        """Return `query`, with the loader options."""
        return self.query().options(*self.load_options) if self.load_options else self.query()

    async def page(self, params: ListQuery[M], /) -> Page[M]:
        """Return a page of the list. Override it to change the reading."""
        return await paginate(self.session, self._loading_query(), params)

    async def export(self, params: ListQuery[M], /) -> AsyncGenerator[M]:
        """Yield the rows of all pages of the list, in one transaction.

        If you override `page` or `get`, override it too: until then the list offers no export.
        """
        await begin_snapshot(self.session)
        async with aclosing(stream(self.session, self._loading_query(), params)) as rows:
            async for row in rows:
                yield row

    async def get(self, key: object, /) -> M:
        """Return the row with *key*. Raises `NotFound`. Override it to restrict access."""
        row = await get_or_404(self.session, self._loading_query(), key)
        return assign_rows(self.session, row, self, wrote=False)

    async def get_many(self, keys: Sequence[object], /) -> list[M | None]:
        """Return the row of each key, or None. An overridden `get` is called for each key."""
        if type(self).get is Resource[M].get:
            rows = await get_all(self.session, self._loading_query(), keys)
            for row in rows:
                if row is not None:
                    assign_rows(self.session, row, self, wrote=False)
            return rows
        return [await self._get_or_none(key) for key in keys]

    async def _get_or_none(self, key: object) -> M | None:
        try:
            return await self.get(key)
        except NotFound:
            return None

    async def history(self, key: object, params: ListQuery[AuditEntry], /) -> Page[AuditEntry]:
        """Return a page of the audit entries of the row. Override it to restrict access."""
        row = await self.get(key)
        return await paginate(self.session, history_statement(row), params)

    async def create(self, row: M, /) -> None:
        """Add *row*. Override it to set more attributes, or to write related rows."""
        self.session.add(assign_rows(self.session, row, self))

    async def update(self, row: M, /, changes: Mapping[str, Any]) -> None:
        """Set the attributes of *row* that *changes* names. Override it to check or add some.

        A list of related rows in *changes* is the list of their schemas. It replaces the rows.
        """
        assign_rows(self.session, row, self)
        apply_changes(row, await change_related(self.session, row, changes))

    def validated_data(self, row: M, schema: type[S], /) -> S | None:
        """Return the validated input that writes *row*, in a batch its own item.

        `create` and `update` read fields in it that the row lacks. None if the request has no
        input of this *schema* for the row.
        """
        data = input_of(row)
        return data if isinstance(data, schema) else None

    async def delete(self, row: M, /) -> None:
        """Remove *row*; a `SoftDelete` row is only marked. Override it to forbid that."""
        release_row(self.session, row)
        if soft_deletable := as_soft_deletable(row):
            soft_deletable.deleted_at = now()
        else:
            await self.session.delete(row)

    async def restore(self, row: M, /) -> None:
        """Undo the soft delete of *row*. Override it to forbid that, or to check the row."""
        assign_rows(self.session, row, self)
        if soft_deletable := as_soft_deletable(row):
            soft_deletable.deleted_at = None

    async def purge(self, row: M, /) -> None:
        """Remove *row* for good, soft-deleted or not. Override it to forbid that."""
        await self.session.delete(row)


def is_exported(resource: type[Resource[Any]]) -> bool:
    """Return whether *resource* offers an export.

    False if a class overrides `page` or `get` below the last override of `export`.
    """
    page, get, export = (_definition_depth(resource, name) for name in ("page", "get", "export"))
    return export <= min(page, get)


def _definition_depth(resource: type[Resource[Any]], method: str) -> int:
    """Return the position in the MRO of the class that defines *method*."""
    return next(n for n, kind in enumerate(resource.__mro__) if method in vars(kind))
