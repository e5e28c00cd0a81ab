"""A resource: the steps every request takes, each an ordinary method to override."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar, get_args

from sqlalchemy import Select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm.interfaces import ORMOption
from typing_extensions import dataclass_transform, get_original_bases, override

from brickwork.database.database import (
    IsolationLevel,
    SessionDep,
    begin_snapshot,
    strictest_isolation,
)
from brickwork.models.model import now
from brickwork.models.soft_delete import DeletedFilter, as_soft_deletable
from brickwork.problems import NotFound
from brickwork.query.list_query import ListQuery
from brickwork.query.lookup import Page, base_statement, get_all, get_or_404, paginate, stream
from brickwork.resource.changes import apply_changes
from brickwork.resource.checks import assign_rows, register_resource, release_row
from brickwork.resource.references import ReferenceScopes
from brickwork.resource.removals import leave_references_to_database
from brickwork.signatures import check_fields, check_methods, methods_of
from brickwork.tracking.audit import AuditEntry, history_statement

M = TypeVar("M", bound=DeclarativeBase)


class _ModelOf:
    """The mapped class of a resource, as its bases name it: `Resource[Article]`."""

    def __get__(self, _: object, resource: "type[Resource[M]]") -> type[M]:
        """Return the model; raises `TypeError` for a resource that was declared without."""
        bases = (base for each in resource.__mro__ for base in get_original_bases(each))
        for base in bases:
            for model in get_args(base):
                if isinstance(model, type):
                    return model
        raise TypeError(f"{resource.__name__} has no model: inherit from Resource[YourModel].")


@dataclass_transform(kw_only_default=True)
@dataclass(kw_only=True, eq=False, repr=False)
class Resource(Generic[M]):
    """The rows of one model, for one request: inherit as `Articles(Resource[Article])`.

    Override a step and it holds on every route, `super()` being the rest of it. A typed field,
    `user: CurrentUser`, is an ordinary FastAPI dependency. Steps change the session and leave
    the flush to their caller; they know no HTTP, so a script may use a resource as well.
    """

    session: SessionDep
    model = _ModelOf()
    load_options: Sequence[ORMOption] = field(default=(), init=False)
    """What `page` and `get` load with the rows, since the answer shows it; the router sets it."""
    deleted_filter: DeletedFilter = field(default="exclude", init=False)
    """Which rows `query` shows; `include_deleted` changes it."""

    require_if_match: ClassVar[bool] = False
    """Whether a row is changed only by those who say with If-Match which version they mean."""
    allow_upsert: ClassVar[bool] = False
    """Whether PUT creates a row that is not there; its key is one that clients choose."""
    isolation_level: ClassVar[IsolationLevel | None] = None
    """How far the transactions that change rows are kept apart, if not as others are."""

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(kw_only=True, eq=False, repr=False)(cls)
        check_methods(cls, Resource, methods_of(Resource))
        with suppress(NameError):  # an annotation names what is defined later
            check_fields(cls, Resource)
        if cls.isolation_level not in {None, *get_args(IsolationLevel)}:
            known = ", ".join(map(repr, get_args(IsolationLevel)))
            raise TypeError(
                f"{cls.__name__}.isolation_level is {cls.isolation_level!r}: use one of {known}."
            )

    def __post_init__(self) -> None:
        """Have what the session writes laid to whom `actor` names, and kept apart as wanted."""
        if (actor := self.actor()) is not None:
            self.session.info["actor"] = actor
        if self.session.info.get("writes"):
            self._isolate()
            leave_references_to_database(self.session)
        register_resource(self.session, self)

    def _isolate(self) -> None:
        known = self.session.info.get("isolation")
        if (wanted := strictest_isolation((known, self.isolation_level))) == known:
            return
        if self.session.in_transaction():
            raise TypeError(
                f"{type(self).__name__} is to be {wanted}, and its transaction has begun: give the "
                "router of this endpoint route_class=brickwork.StrictRoute, which looks ahead."
            )
        self.session.info["isolation"] = wanted

    def actor(self) -> str | None:
        """Return who is asking, as an audit is to name them; override it where that is known."""
        return None

    def query(self) -> Select[M]:
        """Return where every read and every write starts; override to narrow them all."""
        return base_statement(type(self).model, self.deleted_filter)

    def reference_scopes(self) -> ReferenceScopes:
        """Return the rows that each attribute may refer to, where those are not all.

        Override it as `return {"article_id": self.articles.query()}`, with a field
        `articles: Annotated[Articles, Depends()]`: what is out of that scope is then as if it were
        not there, however the row is written.
        """
        return {}

    async def include_deleted(self, deleted_filter: DeletedFilter, /) -> None:
        """Have `query` show deleted rows too, or alone; override to refuse those who may not."""
        self.deleted_filter = deleted_filter

    def _loaded(self) -> Select[M]:
        """Return the rows, with what the answer shows; a change reads that when it is made."""
        reads = self.load_options and not self.session.info.get("writes")
        return self.query().options(*self.load_options) if reads else self.query()

    async def page(self, params: ListQuery[M], /) -> Page[M]:
        """Return a page of the list; override to change how it is read."""
        return await paginate(self.session, self._loaded(), params)

    async def export(self, params: ListQuery[M], /) -> AsyncGenerator[M]:
        """Yield the rows of all pages of the list, in one transaction.

        Override it where you override `page` or `get`: the list is no export until you do.
        """
        await begin_snapshot(self.session)
        async with aclosing(stream(self.session, self._loaded(), params)) as rows:
            async for row in rows:
                yield row

    async def get(self, key: object, /) -> M:
        """Return the row with this key; raises `NotFound`. Override to check who may see it."""
        row = await get_or_404(self.session, self._loaded(), key)
        return assign_rows(self.session, row, self, wrote=False)

    async def get_many(self, keys: Sequence[object], /) -> list[M | None]:
        """Return the row of each key, None where there is none; as `get` would, at once."""
        if type(self).get is Resource[M].get:
            found = await get_all(self.session, self._loaded(), keys)
            for row in found:
                if row is not None:
                    assign_rows(self.session, row, self, wrote=False)
            return found
        return [await self._found(key) for key in keys]

    async def _found(self, key: object) -> M | None:
        try:
            return await self.get(key)
        except NotFound:
            return None

    async def history(self, key: object, params: ListQuery[AuditEntry], /) -> Page[AuditEntry]:
        """Return a page of what was done to the row; override to check who may see it."""
        row = await self.get(key)
        return await paginate(self.session, history_statement(row), params)

    async def create(self, row: M, /) -> None:
        """Add *row*; override to complete it first, or to write what goes with it."""
        self.session.add(assign_rows(self.session, row, self))

    async def update(self, row: M, /, changes: Mapping[str, Any]) -> None:
        """Set the attributes of *row* that *changes* names; override to check or add to them."""
        apply_changes(assign_rows(self.session, row, self), changes)

    async def delete(self, row: M, /) -> None:
        """Remove *row*, or mark it where it is a `SoftDelete`; override to refuse."""
        release_row(self.session, row)
        if marked := as_soft_deletable(row):
            marked.deleted_at = now()
        else:
            await self.session.delete(row)

    async def restore(self, row: M, /) -> None:
        """Take the mark of a deleted *row* away; override to refuse, or to check it anew."""
        assign_rows(self.session, row, self)
        if marked := as_soft_deletable(row):
            marked.deleted_at = None

    async def purge(self, row: M, /) -> None:
        """Remove *row* for good, deleted or not; override to refuse."""
        await self.session.delete(row)


def is_exported(resource: type[Resource[Any]]) -> bool:
    """Tell whether an export of *resource* shows the rows of its list.

    A class that overrides `page` or `get` takes the exports of its bases away.
    """
    page, get, export = (_depth(resource, name) for name in ("page", "get", "export"))
    return export <= min(page, get)


def _depth(resource: type[Resource[Any]], method: str) -> int:
    """Return how many classes are before the class that defines *method*."""
    return next(n for n, each in enumerate(resource.__mro__) if method in vars(each))
