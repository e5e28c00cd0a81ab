"""A resource: the steps every request takes, each an ordinary method to override."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

from sqlalchemy import Select, select
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm.interfaces import ORMOption
from typing_extensions import dataclass_transform, get_original_bases, override

from brickwork.changes import apply_changes
from brickwork.database import Session
from brickwork.lists import ListQuery
from brickwork.queries import Page, get_or_404, paginate

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

    session: Session
    model = _ModelOf()
    shown: Sequence[ORMOption] = field(default=(), init=False)
    """What `page` and `get` load with the rows, since the answer shows it; the router sets it."""

    @override
    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(kw_only=True, eq=False, repr=False)(cls)

    def query(self) -> Select[M]:
        """Return where every read and every write starts; override to narrow them all."""
        return select(self.model)

    def _shown(self) -> Select[M]:
        """Return the rows, with what the answer shows; a change reads that when it is made."""
        reads = not self.session.info.get("writes")
        return self.query().options(*self.shown) if reads else self.query()

    async def page(self, at: ListQuery[M], /) -> Page[M]:
        """Return a page of the list; override to change how it is read."""
        return await paginate(self.session, self._shown(), at)

    async def get(self, key: object, /) -> M:
        """Return the row with this key; raises `NotFound`. Override to check who may see it."""
        return await get_or_404(self.session, self._shown(), key)

    async def create(self, row: M, /) -> None:
        """Add *row*; override to complete it first, or to write what goes with it."""
        self.session.add(row)

    async def update(self, row: M, /, changes: Mapping[str, Any]) -> None:
        """Set the attributes of *row* that *changes* names; override to check or add to them."""
        apply_changes(row, changes)

    async def delete(self, row: M, /) -> None:
        """Remove *row*; override to refuse, or to mark it instead."""
        await self.session.delete(row)
