"""Checks of written rows against their resources."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Select, event, inspect, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    DeclarativeBase,
    InstanceState,
    Mapper,
    Session,
    SessionTransaction,
    object_session,
)

from brickwork.database.errors import FlushLog, reference_not_found
from brickwork.models.soft_delete import DeletedFilter
from brickwork.problems import Forbidden
from brickwork.query.lookup import base_statement, selected_model
from brickwork.resource.references import ReferenceScopes, broken_reference, new_references

M = TypeVar("M", bound=DeclarativeBase)

_CHECKS: Final = "brickwork.checks"

_Key = tuple[Any, ...]
_State = InstanceState[Any]


class Checking(Protocol):
    """A resource, which says what rows of its model may be."""

    deleted_filter: DeletedFilter

    def query(self) -> Select[Any]:
        """Return the rows of the resource."""
        ...

    def reference_scopes(self) -> ReferenceScopes:
        """Return the rows that an attribute may refer to."""
        ...


@dataclass(eq=False)
class _Flush:
    """The rows that a flush writes, and their references."""

    rows: list[tuple[DeclarativeBase, bool]] = field(
        default_factory=list[tuple[DeclarativeBase, bool]]
    )
    """Each row, and whether it is new."""
    scopes: dict[Checking, ReferenceScopes] = field(default_factory=dict[Checking, ReferenceScopes])
    referring: dict[tuple[Checking, str], set[_State]] = field(
        default_factory=dict[tuple[Checking, str], set[_State]]
    )
    """The rows that tell what is newly referred to, by resource and attribute."""

    def note(self, row: DeclarativeBase, resources: Sequence[Checking], *, is_new: bool) -> None:
        """Take note of what *row* newly refers to."""
        for each in resources:
            if each not in self.scopes:
                self.scopes[each] = each.reference_scopes()
            for name in self.scopes[each]:
                found = new_references(row, name, is_new=is_new)
                self.referring.setdefault((each, name), set()).update(found)

    def check(self, session: Session) -> None:
        """Raise `Invalid` for a reference to what is out of its scope."""
        wrong = [
            (_model(each), local)
            for (each, name), found in self.referring.items()
            if (
                local := broken_reference(
                    session, _model(each), name, found, self.scopes[each][name]
                )
            )
        ]
        if wrong:
            written: FlushLog = session.info.get("written", FlushLog())
            places = (written.places(inspect(model), local) for model, local in wrong)
            raise reference_not_found({place for found in places for place in found})


@dataclass(eq=False)
class _Checks:
    """The resources of a session, and the rows that it wrote."""

    resources: dict[int, Checking] = field(default_factory=dict[int, Checking])
    """The resources by their `id`."""
    parts: dict[Checking, set[Checking]] = field(default_factory=dict[Checking, set[Checking]])
    """The resources that a resource has as fields, and the fields of these."""
    owners: WeakKeyDictionary[_State, list[Checking]] = field(
        default_factory=WeakKeyDictionary[_State, list[Checking]]
    )
    """The resources that a row is held against, of those that read or wrote it."""
    leaving: WeakSet[_State] = field(default_factory=WeakSet[_State])
    """The rows that a resource deletes."""
    written: dict[Checking, set[_State]] = field(default_factory=dict[Checking, set[_State]])
    """The rows that were written since the last check of scopes, by their resources."""
    flush: _Flush = field(default_factory=_Flush)
    is_committing: bool = False

    def register(self, resource: Checking) -> None:
        """Add *resource*, which was made after its fields."""
        if id(resource) in self.resources:
            return
        values = (self.resources.get(id(each)) for each in vars(resource).values())
        fields = {each for each in values if each is not None}
        self.parts[resource] = fields.union(*(self.parts[each] for each in fields))
        self.resources[id(resource)] = resource

    def assign(self, row: DeclarativeBase, resource: Checking, *, wrote: bool) -> None:
        """Have *row* held against *resource*, which read it or *wrote* it.

        The last to write it takes the place of the others. A row that a part of a resource reads or
        writes is held against that resource, too.
        """
        self.register(resource)
        owners = [] if wrote else self.owners.get(inspect(row), [])
        if any(resource is each or resource in self.parts[each] for each in owners):
            return
        others = [each for each in owners if each not in self.parts[resource]]
        wholes = [whole for whole, parts in self.parts.items() if resource in parts]
        own = [resource, *(each for each in wholes if isinstance(row, _model(each)))]
        self.owners[inspect(row)] = [*dict.fromkeys((*others, *own))]

    def of(self, row: DeclarativeBase) -> Sequence[Checking]:
        """Return the resources that *row* is held against: if none has it, all of its model."""
        if owners := self.owners.get(inspect(row)):
            return owners
        found = [e for e in self.resources.values() if isinstance(row, _model(e))]
        parts = {part for each in found for part in self.parts[each]}
        return [each for each in found if each not in parts]

    def note(self, session: Session, row: DeclarativeBase, *, is_new: bool) -> None:
        """Take note of *row*, which is about to be sent."""
        resources = self.of(row)
        self.flush.rows.append((row, is_new))
        self.flush.note(row, resources, is_new=is_new)
        if is_new or session.is_modified(row, include_collections=False):
            for each in resources:
                self.written.setdefault(each, set()).add(inspect(row))

    def complete(self) -> None:
        """Take note of the references that the flush itself has made."""
        for row, is_new in self.flush.rows:
            self.flush.note(row, self.of(row), is_new=is_new)

    def check_scopes(self, session: Session) -> None:
        """Raise `Forbidden` if a written row is not one of the rows of its resource."""
        written, self.written = self.written, {}
        for resource, states in written.items():
            keys = {each.identity for each in states - {*self.leaving} if each.identity}
            if keys and _is_outside(session, resource, keys):
                raise Forbidden("A row would be out of your scope.")


def register_resource(session: AsyncSession, resource: Checking) -> None:
    """Have *session* hold the rows that it writes against *resource*, if it may write."""
    if session.info.get("writes") is not False:  # nor None, of a session that is not ours
        _checks(session).register(resource)


def assign_rows(session: AsyncSession, row: M, resource: Checking, *, wrote: bool = True) -> M:
    """Have *row* held against *resource*, which *wrote* it or read it; return the row."""
    if session.info.get("writes") is not False:
        _checks(session).assign(row, resource, wrote=wrote)
    return row


def release_row(session: AsyncSession, row: DeclarativeBase) -> None:
    """Let *row* be out of scope when it is written, since it is deleted."""
    _checks(session).leaving.add(inspect(row))


async def check_scopes(session: AsyncSession) -> None:
    """Raise `Forbidden` if *session* wrote a row out of the scope of its resource.

    A commit does so as well. This is for savepoints, where one row of several is to blame.
    """
    await session.run_sync(_checks(session).check_scopes)


def _checks(session: AsyncSession) -> _Checks:
    if _CHECKS not in session.info:
        session.info[_CHECKS] = _Checks()
    known: _Checks = session.info[_CHECKS]
    return known


def _known(session: Session) -> _Checks | None:
    known: _Checks | None = session.info.get(_CHECKS)
    return known


def _is_outside(session: Session, resource: Checking, keys: set[_Key]) -> bool:
    """Tell whether a row with one of *keys* exists, and not among the rows of *resource*."""
    # Deletion takes no row out of the scope.
    before, resource.deleted_filter = resource.deleted_filter, "include"
    try:
        scope = resource.query()
    finally:
        resource.deleted_filter = before
    model = _model(resource)
    if scope is base_statement(model, "include"):
        return False
    if not (absent := keys - _found(session, scope, keys)):
        return False
    return bool(_found(session, select(model), absent))  # others are not stored any more


def _model(resource: Checking) -> type[DeclarativeBase]:
    kind: Any = type(resource)
    model: type[DeclarativeBase] = kind.model
    return model


def _found(session: Session, rows: Select[Any], keys: Iterable[_Key]) -> set[_Key]:
    """Return those of *keys* that *rows* have."""
    source: Any = selected_model(rows)
    mapper = inspect(source).mapper
    names = [mapper.get_property_by_column(each).key for each in mapper.primary_key]
    columns = [getattr(source, name) for name in names]
    only = rows.with_only_columns(*columns, maintain_column_froms=True).order_by(None)
    wanted = [key if len(columns) > 1 else key[0] for key in keys]
    has_key = (tuple_(*columns) if len(columns) > 1 else columns[0]).in_(wanted)
    return {tuple(each) for each in session.execute(only.where(has_key))}


@event.listens_for(Session, "before_flush")
def _begin(session: Session, *_: object) -> None:
    if known := _known(session):
        known.flush = _Flush()


@event.listens_for(Mapper, "before_insert")
def _note_insert(_: Mapper[Any], __: Connection, row: DeclarativeBase) -> None:
    _note(row, is_new=True)


@event.listens_for(Mapper, "before_update")
def _note_update(_: Mapper[Any], __: Connection, row: DeclarativeBase) -> None:
    _note(row, is_new=False)


def _note(row: DeclarativeBase, *, is_new: bool) -> None:
    session = object_session(row)
    if session and (known := _known(session)):
        known.note(session, row, is_new=is_new)


@event.listens_for(Session, "after_flush")
def _complete(session: Session, _: object) -> None:
    if known := _known(session):
        known.complete()


@event.listens_for(Session, "after_flush_postexec")
def _check_flush(session: Session, _: object) -> None:
    if known := _known(session):
        known.flush.check(session)
        if known.is_committing:  # a hook of the application wrote after ours
            known.check_scopes(session)


@event.listens_for(Session, "before_commit", insert=True)
def _check_commit(session: Session) -> None:
    if (known := _known(session)) and not session.in_nested_transaction():
        session.flush()
        known.check_scopes(session)
        known.is_committing = True


@event.listens_for(Session, "after_transaction_end")
def _end(session: Session, ended: SessionTransaction) -> None:
    if (known := _known(session)) and ended.parent is None:
        known.written, known.is_committing = {}, False
