"""Resources of random applications: scopes, overridden methods."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, cast

from fastapi import Depends, HTTPException, Request
from sqlalchemy import Select, and_, bindparam, exists, func, literal_column, or_, select, text
from sqlalchemy.orm import aliased, defer, joinedload, with_loader_criteria
from sqlalchemy.orm.attributes import set_committed_value

from brickwork import Conflict, NotFound, Page, Resource
from tests.support.applications.context import ASKING, EVE, masked, record, tenant_of
from tests.support.applications.draft import Draft, of, part, subclass

Rows = Select[Any]
Narrow = Callable[[Any, Rows], Rows]


def start_resource(draft: Draft) -> None:
    """Add a resource, perhaps with a scope that is eligible for the fast path."""
    draft.resource = subclass(of(Resource, draft.model), called="Items")
    if draft.chance(0.3):
        _narrow(draft, draft.pick(_of_field, _of_context, _of_scope, *_OF_ROWS))


def _narrow(draft: Draft, narrow: Callable[[Draft], Narrow]) -> None:
    """Override `query` with the condition that *narrow* returns."""
    condition = narrow(draft)
    base = draft.resource

    def query(self: Any) -> Rows:
        return condition(self, base.query(self))

    draft.resource = subclass(base, query=query)


def add_field(draft: Draft, name: str, kind: Any) -> None:
    """Add a field with a dependency to the resource."""
    draft.resource = subclass(draft.resource, fields={name: kind})


# --- Scopes that may be eligible for the fast path ------------------------------------------------


async def tenant_in_header(request: Request) -> str:
    record("tenant_in_header")
    return tenant_of(request.headers)


def _of_field(draft: Draft) -> Narrow:
    add_field(draft, "tenant", Annotated[str, Depends(tenant_in_header)])
    return lambda self, rows: rows.where(draft.model.tenant == self.tenant)


def _of_context(draft: Draft) -> Narrow:
    return lambda _, rows: rows.where(draft.model.tenant == ASKING.get())


async def tenant_in_scope(request: Request) -> str:
    record("tenant_in_scope")
    name: str = request.scope.get("tenant", "none")
    return name


def _of_scope(draft: Draft) -> Narrow:
    add_field(draft, "tenant", Annotated[str, Depends(tenant_in_scope)])
    return lambda self, rows: rows.where(draft.model.tenant == self.tenant)


def _of_state(draft: Draft) -> Narrow:
    add_field(draft, "request", Request)

    def narrow(self: Any, rows: Rows) -> Rows:
        return rows.where(draft.model.tenant == getattr(self.request.state, "tenant", "none"))

    return narrow


# --- Scopes that a write of the row may leave -----------------------------------------------------


def _of_rank(draft: Draft) -> Narrow:
    item = draft.model
    own = draft.pick(
        lambda: item.rank < 50,
        lambda: item.rank.between(1, 59),
        lambda: ~(item.rank == 60),
        lambda: or_(item.rank != 60, item.tenant == ASKING.get()),
        lambda: and_(item.rank.is_distinct_from(2), item.name.is_not(None)),
    )
    return lambda _, rows: rows.where(own())


def _of_text(draft: Draft) -> Narrow:
    item = draft.model
    own = draft.pick(
        lambda: item.name != "new 1",
        lambda: item.name < "new 2",
        lambda: func.lower(item.name) != "a",
        lambda: item.name.startswith("n"),
        lambda: item.name.collate("C" if draft.backend == "postgresql" else "NOCASE") != "A",
    )
    return lambda _, rows: rows.where(own())


def _of_deleted_rows(draft: Draft) -> Narrow:
    """Narrow deleted rows differently, against which written rows are checked."""
    item = draft.model

    def narrow(self: Any, rows: Rows) -> Rows:
        if self.deleted_filter == "exclude":
            return rows.where(item.tenant == ASKING.get())
        return rows.where(item.rank < 50)

    return narrow


def _of_generated_value(draft: Draft) -> Narrow:
    visits, least = getattr(draft.model, "visits", draft.model.rank), draft.pick(3, 7, 8)
    return lambda _, rows: rows.where(visits >= least)


def _of_rows_themselves(draft: Draft) -> Narrow:
    """Narrow by a SELECT of the same table, which has to find the written row."""
    other = aliased(draft.model)
    own = select(other.id).where(or_(other.rank < 50, other.tenant == "ada"))
    return lambda _, rows: rows.where(draft.model.id.in_(own))


_OF_ROWS: Final = (_of_rank, _of_text, _of_deleted_rows, _of_generated_value, _of_rows_themselves)


# --- Scopes of other kinds ------------------------------------------------------------------------


def _exists(draft: Draft) -> Narrow:
    item, group = draft.model, draft.group
    return lambda _, rows: rows.where(
        exists().where(group.id == item.group_id, group.tenant == ASKING.get())
    )


def _has(draft: Draft) -> Narrow:
    if "group" not in draft.model.__mapper__.relationships:
        return _exists(draft)
    return lambda _, rows: rows.where(draft.model.group.has(tenant=ASKING.get()))


def _join(draft: Draft) -> Narrow:
    item, group = draft.model, draft.group
    return lambda _, rows: rows.join(group, group.id == item.group_id).where(
        group.tenant == ASKING.get()
    )


def _outer_join(draft: Draft) -> Narrow:
    item, group = draft.model, draft.group
    return lambda _, rows: rows.outerjoin(group, group.id == item.group_id).where(
        or_(group.id.is_(None), group.tenant == ASKING.get())
    )


def _second_table(draft: Draft) -> Narrow:
    item, group = draft.model, draft.group
    return lambda _, rows: rows.where(group.id == item.group_id, group.tenant == ASKING.get())


def _alias(draft: Draft) -> Narrow:
    other = aliased(draft.model)
    return lambda _, __: select(other).where(other.tenant == ASKING.get())


def _list_of_values(draft: Draft) -> Narrow:
    return lambda _, rows: rows.where(draft.model.tenant.in_([ASKING.get(), "none"]))


def _either(draft: Draft) -> Narrow:
    item = draft.model
    return lambda _, rows: rows.where(or_(item.tenant == ASKING.get(), item.rank > 50))


def _keys_of_a_select(draft: Draft) -> Narrow:
    item, group = draft.model, draft.group
    return lambda _, rows: rows.where(
        item.group_id.in_(select(group.id).where(group.tenant == ASKING.get()))
    )


def _option(draft: Draft) -> Narrow:
    item = draft.model

    def criteria(_: Any, rows: Rows) -> Rows:
        tenant = ASKING.get()
        return rows.options(with_loader_criteria(item, lambda kind: kind.tenant == tenant))

    def deferred(_: Any, rows: Rows) -> Rows:
        return rows.options(defer(item.note))

    def loading(_: Any, rows: Rows) -> Rows:
        return rows.options(joinedload(item.group))

    choices = [criteria, *([deferred] if hasattr(item, "note") else [])]
    choices += [loading] if "group" in item.__mapper__.relationships else []
    return draft.pick(*choices)  # type: ignore[no-any-return]


def _execution_option(draft: Draft) -> Narrow:
    option: dict[str, Any] = draft.pick(
        {"schema_translate_map": {None: "other"}}, {"populate_existing": True}, {"own": 1}
    )
    return lambda _, rows: rows.execution_options(**option)


def _ordered(draft: Draft) -> Narrow:
    item = draft.model
    ways: list[Callable[[Rows], Rows]] = [
        lambda rows: rows.limit(3),
        lambda rows: rows.order_by(item.name.desc()),
        lambda rows: rows.distinct(),
        lambda rows: rows.group_by(item.id).having(func.max(item.rank) < 50),
        lambda rows: rows.with_for_update(read=True),
        lambda rows: rows.prefix_with("/* prefix */"),
        lambda rows: rows.filter_by(tenant="ada"),
        lambda rows: rows.select_from(item),
        lambda rows: rows.add_columns(item.name),
        lambda rows: rows.with_only_columns(item),
    ]
    way = draft.pick(*ways)
    return lambda _, rows: way(rows)


def _text(draft: Draft) -> Narrow:
    table = draft.model.__tablename__
    own = draft.pick(
        lambda: text(f"{table}.rank < 50"),
        lambda: text(f"{table}.tenant = :own").bindparams(own=ASKING.get()),
        lambda: literal_column(f"{table}.rank") < 50,
    )
    return lambda _, rows: rows.where(own())


def _parameter(draft: Draft) -> Narrow:
    tenant, bound = draft.model.tenant, cast("Any", bindparam)
    own = draft.pick(
        lambda: bound("own", callable_=ASKING.get),
        lambda: bound(None, callable_=ASKING.get, unique=True),
        lambda: bound("name", ASKING.get()),
        lambda: bound("tenant", ASKING.get(), unique=True),
        lambda: func.coalesce(ASKING.get(), "none"),
    )
    return lambda _, rows: rows.where(tenant == own())


def _given_parameter(draft: Draft) -> Narrow:
    condition = draft.model.tenant == bindparam("own")
    return lambda _, rows: rows.where(condition).params(own=ASKING.get())


def _of_session(draft: Draft) -> Narrow:
    def narrow(self: Any, rows: Rows) -> Rows:
        tenant = self.session.info.setdefault("tenant", ASKING.get())
        return rows.where(draft.model.tenant == tenant)

    return narrow


def _of_attribute(draft: Draft) -> Narrow:
    """Narrow by an attribute that a method sets."""
    return lambda self, rows: rows.where(draft.model.tenant == getattr(self, "own", ASKING.get()))


def _refusing(draft: Draft) -> Narrow:
    error = draft.pick(HTTPException(403, "Not you."), NotFound("Nothing."), ValueError("Broken."))

    def narrow(_: Any, rows: Rows) -> Rows:
        if ASKING.get() == "bob":
            raise error
        return rows

    return narrow


_NARROWS: Final = (
    *(_of_field, _of_context, _of_scope, _of_state, _exists, _has, _join, _outer_join),
    *(_second_table, _alias, _list_of_values, _either, _keys_of_a_select, _option),
    *(_execution_option, _ordered, _text, _parameter, _given_parameter, _of_session),
    *(_of_attribute, _refusing, *_OF_ROWS),
)


@part("scope")
def query(draft: Draft) -> str:
    narrow = draft.pick(*_NARROWS)
    _narrow(draft, narrow)
    return str(narrow.__name__).strip("_")


@part("scope", backend="postgresql")
def setting_of_the_session(draft: Draft) -> None:
    """Narrow by a setting of a dependency or a listener."""
    # It is empty instead of null if an earlier transaction had the setting.
    setting = func.nullif(func.current_setting("app.tenant", True), "")  # noqa: FBT003 — of SQL
    own = func.coalesce(setting, "none")

    def narrow(_: Any, rows: Rows) -> Rows:
        return rows.where(or_(draft.model.tenant == own, draft.model.rank > 50))

    _narrow(draft, lambda _: narrow)


# --- Overridden methods ---------------------------------------------------------------------------


@part("method")
def get(draft: Draft) -> str:
    base, item = draft.resource, draft.model

    async def mask(self: Any, key: object) -> Any:
        row = await base.get(self, key)
        set_committed_value(row, "name", masked(row.name))
        return row

    async def refuse(self: Any, key: object) -> Any:
        row = await base.get(self, key)
        if row.rank > 50:
            raise NotFound(f"{item.__name__} not found")
        return row

    own = draft.pick(mask, refuse)
    draft.resource = subclass(base, get=own)
    return str(own.__name__)


@part("method")
def page(draft: Draft) -> str:
    base = draft.resource

    async def cut(self: Any, at: Any) -> Page[Any]:
        found: Page[Any] = await base.page(self, at)
        return Page(found.items[:2], found.next, found.prev, found.last, found.total)

    async def refuse(self: Any, at: Any) -> Page[Any]:
        if ASKING.get() == "bob":
            raise HTTPException(403, "Not you.")
        found: Page[Any] = await base.page(self, at)
        return found

    own = draft.pick(cut, refuse)
    draft.resource = subclass(base, page=own)
    return str(own.__name__)


@part("method")
def create(draft: Draft) -> str:
    base = draft.resource

    async def complete(self: Any, row: Any) -> None:
        row.tenant = ASKING.get()
        row.name = row.name.title()
        await base.create(self, row)

    async def refuse(self: Any, row: Any) -> None:
        if row.name.startswith("new 1"):
            raise Conflict("There is one.")
        await base.create(self, row)

    async def add(self: Any, row: Any) -> None:
        await base.create(self, row)
        self.session.add(draft.group(name=f"of {row.name}", tenant=ASKING.get()))

    own = draft.pick(complete, refuse, add)
    draft.resource = subclass(base, create=own)
    return str(own.__name__)


@part("method")
def update(draft: Draft) -> str:
    base = draft.resource

    async def complete(self: Any, row: Any, changes: Mapping[str, Any]) -> None:
        await base.update(self, row, {**changes, "rank": row.rank + 1})

    async def refuse(self: Any, row: Any, changes: Mapping[str, Any]) -> None:
        if row.rank > 50:
            raise HTTPException(403, "Not you.")
        await base.update(self, row, changes)

    own = draft.pick(complete, refuse)
    draft.resource = subclass(base, update=own)
    return str(own.__name__)


@part("method")
def removal(draft: Draft) -> str:
    base = draft.resource
    name = draft.pick("delete", "restore", "purge")

    async def refuse(self: Any, row: Any) -> None:
        if row.rank > 1:
            raise HTTPException(403, "Not you.")
        await getattr(base, name)(self, row)

    draft.resource = subclass(base, **dict[str, Any]({name: refuse}))
    return str(name)


@part("method")
def include_deleted(draft: Draft) -> None:
    base = draft.resource

    async def refuse(self: Any, shown: Any) -> None:
        if ASKING.get() != "ada":
            raise HTTPException(403, "Not you.")
        await base.include_deleted(self, shown)

    draft.resource = subclass(base, include_deleted=refuse)


@part("method")
def history(draft: Draft) -> None:
    base = draft.resource

    async def refuse(self: Any, key: object, at: Any) -> Any:
        if ASKING.get() != "ada":
            raise HTTPException(403, "Not you.")
        return await base.history(self, key, at)

    draft.resource = subclass(base, history=refuse)


@part("method")
def many(draft: Draft) -> None:
    base = draft.resource

    async def some(self: Any, keys: Any) -> Any:
        rows = await base.get_many(self, keys)
        return [None if row and row.rank > 50 else row for row in rows]

    draft.resource = subclass(base, get_many=some)


@part("method")
def references(draft: Draft) -> None:
    def scopes(_: Any) -> Mapping[str, Rows]:
        return {"group_id": select(draft.group).where(draft.group.tenant == ASKING.get())}

    draft.resource = subclass(draft.resource, reference_scopes=scopes)


@part("method")
def actor(draft: Draft) -> None:
    def name(_: Any) -> str:
        return ASKING.get()

    draft.resource = subclass(draft.resource, actor=name)


@part("method")
def made_in_its_own_way(draft: Draft) -> str:
    base = draft.resource

    def finish(self: Any) -> None:
        base.__post_init__(self)
        if ASKING.get() == EVE:
            raise HTTPException(403, "Not you.")
        self.own = "bob"

    def get_attribute(self: Any, name: str) -> Any:
        if name == "tenant":
            return "bob"
        return object.__getattribute__(self, name)

    name, method = draft.pick(("__post_init__", finish), ("__getattribute__", get_attribute))
    draft.resource = subclass(base, **{name: method})
    return str(name)


@part("method")
def setting_of_the_resource(draft: Draft) -> str:
    setting: dict[str, Any] = draft.pick(
        {"require_if_match": True},
        {"allow_upsert": True},
        {"isolation_level": "serializable"},
        {"isolation_level": "repeatable read"},
        {"shown": "include"},
    )
    draft.resource = subclass(draft.resource, **setting)
    return str(setting)
