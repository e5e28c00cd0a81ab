"""Checks of written rows against their resources."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import Connection, Select, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import (
    InstanceState,
    Mapper,
    Session,
    SessionTransaction,
    object_session,
)

from brickwork.database.errors import reference_not_found
from brickwork.database.flush_log import nested_place
from brickwork.database.unit_of_work import unit_of_work
from brickwork.models.soft_delete import DeletedFilter
from brickwork.problems import Forbidden
from brickwork.query.keys import primary_key
from brickwork.query.lookup import base_statement, select_keys, selected_model
from brickwork.resource.references import (
    ReferenceScopes,
    broken_references,
    nested_scopes,
    new_references,
    own_scopes,
)
from brickwork.schemas.names import RequestPlace

M = TypeVar("M")

_Key = tuple[Any, ...]
_State = InstanceState[Any]


class CheckedResource(Protocol):
    """The interface of a resource for checks."""

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

    rows: list[tuple[object, bool]] = field(default_factory=list[tuple[object, bool]])
    """Each row, and whether it is new."""
    scopes: dict[CheckedResource, ReferenceScopes] = field(
        default_factory=dict[CheckedResource, ReferenceScopes]
    )
    referring: dict[tuple[CheckedResource, str], set[_State]] = field(
        default_factory=dict[tuple[CheckedResource, str], set[_State]]
    )
    """The rows with new references, by resource and attribute."""

    def track(self, row: object, resources: Sequence[CheckedResource], *, is_new: bool) -> None:
        """Record the new references of *row*."""
        for resource in resources:
            for name in own_scopes(self._scopes_of(resource), inspect(row).mapper):
                states = new_references(row, name, is_new=is_new)
                self.referring.setdefault((resource, name), set()).update(states)

    def track_nested(
        self,
        row: object,
        relationship: str,
        resources: Sequence[CheckedResource],
        *,
        is_new: bool,
    ) -> None:
        """Record the new references of *row*, which a request writes within a row."""
        for resource in resources:
            for name, attribute in nested_scopes(self._scopes_of(resource), relationship):
                states = new_references(row, attribute, is_new=is_new)
                self.referring.setdefault((resource, name), set()).update(states)

    def _scopes_of(self, resource: CheckedResource) -> ReferenceScopes:
        if resource not in self.scopes:
            self.scopes[resource] = resource.reference_scopes()
        return self.scopes[resource]

    def check_scopes(self, session: Session) -> None:
        """Raise `UnprocessableContent` for a reference that leaves its scope."""
        written = unit_of_work(session).flush_log
        is_broken = False
        places: set[RequestPlace] = set()
        for (resource, name), states in self.referring.items():
            model, scope = _model_of(resource), self.scopes[resource][name]
            outer, _, inner = name.partition(".")
            if inner:
                model = inspect(model).relationships[outer].mapper.class_
            attributes, broken = broken_references(session, model, inner or name, states, scope)
            is_broken = is_broken or bool(broken)
            for attribute in attributes if broken else ():
                if not inner:
                    places |= written.places(inspect(model), attribute)
                located = (nested_place(state) for state in broken) if inner else ()
                found = (place.locate(attribute) for place in located if place)
                places |= {place for place in found if place}
        if is_broken:
            raise reference_not_found(places)


@dataclass(eq=False)
class _WriteChecks:
    """The resources of a session, and the rows that it wrote."""

    resources: dict[int, CheckedResource] = field(default_factory=dict[int, CheckedResource])
    """The resources by their `id`."""
    parts: dict[CheckedResource, set[CheckedResource]] = field(
        default_factory=dict[CheckedResource, set[CheckedResource]]
    )
    """The resources that a resource has as fields, and the fields of these."""
    owners: WeakKeyDictionary[_State, list[CheckedResource]] = field(
        default_factory=WeakKeyDictionary[_State, list[CheckedResource]]
    )
    """The resources against which a row is checked, because they read or wrote it."""
    leaving: WeakSet[_State] = field(default_factory=WeakSet[_State])
    """The rows that a resource deletes."""
    written: dict[CheckedResource, set[_State]] = field(
        default_factory=dict[CheckedResource, set[_State]]
    )
    """The rows that were written since the last check of scopes, by resource."""
    flush: _Flush = field(default_factory=_Flush)
    is_committing: bool = False

    def register(self, resource: CheckedResource) -> None:
        """Add *resource*. Its fields must be registered before."""
        if id(resource) in self.resources:
            return
        values = (self.resources.get(id(value)) for value in vars(resource).values())
        parts = {part for part in values if part is not None}
        self.parts[resource] = parts.union(*(self.parts[part] for part in parts))
        self.resources[id(resource)] = resource

    def assign(self, row: object, resource: CheckedResource, *, wrote: bool) -> None:
        """Record that *row* must be checked against *resource*, which read it or *wrote* it.

        The last resource that writes it replaces the others. A row that a part of a resource reads
        or writes is checked against that resource, too.
        """
        self.register(resource)
        owners = [] if wrote else self.owners.get(inspect(row), [])
        if any(resource is owner or resource in self.parts[owner] for owner in owners):
            return
        others = [owner for owner in owners if owner not in self.parts[resource]]
        wholes = [whole for whole, parts in self.parts.items() if resource in parts]
        own = [resource, *(whole for whole in wholes if isinstance(row, _model_of(whole)))]
        self.owners[inspect(row)] = [*dict.fromkeys((*others, *own))]

    def owners_of(self, row: object) -> Sequence[CheckedResource]:
        """Return the resources against which *row* is checked, by default all of its model."""
        if owners := self.owners.get(inspect(row)):
            return owners
        resources = [r for r in self.resources.values() if isinstance(row, _model_of(r))]
        parts = {part for resource in resources for part in self.parts[resource]}
        return [resource for resource in resources if resource not in parts]

    def track(self, session: Session, row: object, *, is_new: bool) -> None:
        """Record *row*, which the flush is about to send."""
        resources = self.owners_of(row)
        self.flush.rows.append((row, is_new))
        self._track_references(row, resources, is_new=is_new)
        if is_new or session.is_modified(row, include_collections=False):
            for resource in resources:
                self.written.setdefault(resource, set()).add(inspect(row))

    def track_flushed(self) -> None:
        """Record the references that the flush itself has set."""
        for row, is_new in self.flush.rows:
            self._track_references(row, self.owners_of(row), is_new=is_new)

    def _track_references(
        self, row: object, resources: Sequence[CheckedResource], *, is_new: bool
    ) -> None:
        self.flush.track(row, resources, is_new=is_new)
        if place := nested_place(inspect(row)):
            owners = self.owners_of(place.owner)
            self.flush.track_nested(row, place.attribute, owners, is_new=is_new)

    def check_scopes(self, session: Session) -> None:
        """Raise `Forbidden` if a written row is outside the scope of its resource."""
        written, self.written = self.written, {}
        for resource, states in written.items():
            keys = {state.identity for state in states - {*self.leaving} if state.identity}
            if keys and _is_outside(session, resource, keys):
                raise Forbidden("A row would be out of your scope.")


def register_resource(session: AsyncSession, resource: CheckedResource) -> None:
    """Check rows that *session* writes against *resource*, unless the session is read-only."""
    unit = unit_of_work(session)
    if unit.writable is not False:  # None: a session of the application
        unit.part(_WriteChecks).register(resource)


def assign_rows(
    session: AsyncSession, row: M, resource: CheckedResource, *, wrote: bool = True
) -> M:
    """Return *row*, to be checked against *resource*, which *wrote* it or read it."""
    unit = unit_of_work(session)
    if unit.writable is not False:
        unit.part(_WriteChecks).assign(row, resource, wrote=wrote)
    return row


def release_row(session: AsyncSession, row: object) -> None:
    """Exempt *row* from the check of scopes, because it is deleted."""
    unit_of_work(session).part(_WriteChecks).leaving.add(inspect(row))


async def check_scopes(session: AsyncSession) -> None:
    """Raise `Forbidden` if *session* wrote a row out of the scope of its resource.

    A commit does so as well. Call this in a savepoint, to attribute the error to one row.
    """
    checks = unit_of_work(session).part(_WriteChecks)
    await session.run_sync(checks.check_scopes)


def _existing_checks(session: Session) -> _WriteChecks | None:
    return unit_of_work(session).existing_part(_WriteChecks)


def _is_outside(session: Session, resource: CheckedResource, keys: set[_Key]) -> bool:
    """Return whether a row with one of *keys* exists outside the scope of *resource*."""
    # A soft-deleted row is still in the scope.
    before, resource.deleted_filter = resource.deleted_filter, "include"
    try:
        scope = resource.query()
    finally:
        resource.deleted_filter = before
    model = _model_of(resource)
    if scope is base_statement(model, "include"):
        return False
    if not (absent := keys - _find_keys(session, scope, keys)):
        return False
    return bool(_find_keys(session, select(model), absent))  # the others were deleted


def _model_of(resource: CheckedResource) -> type[object]:
    kind: Any = type(resource)
    model: type[object] = kind.model
    return model


def _find_keys(session: Session, statement: Select[Any], keys: Iterable[_Key]) -> set[_Key]:
    """Return the *keys* of the rows that *statement* selects."""
    model: type[object] = selected_model(statement)
    own = primary_key(model)
    only = select_keys(statement).order_by(None).where(own.is_in([own.value(key) for key in keys]))
    return {tuple(row) for row in session.execute(only)}


def start_flush_checks(session: Session, *_: object) -> None:
    """Forget the rows of the last flush. A hook of `before_flush`."""
    if checks := _existing_checks(session):
        checks.flush = _Flush()


def track_inserted_row(_: Mapper[Any], __: Connection, row: object) -> None:
    """Record *row*, which the flush is about to insert. A hook of `before_insert`."""
    _track(row, is_new=True)


def track_updated_row(_: Mapper[Any], __: Connection, row: object) -> None:
    """Record *row*, which the flush is about to update. A hook of `before_update`."""
    _track(row, is_new=False)


def _track(row: object, *, is_new: bool) -> None:
    session = object_session(row)
    if session and (checks := _existing_checks(session)):
        checks.track(session, row, is_new=is_new)


def track_flushed_references(session: Session, _: object) -> None:
    """Record the references that a flush has set. A hook of `after_flush`."""
    if checks := _existing_checks(session):
        checks.track_flushed()


def check_flushed_references(session: Session, _: object) -> None:
    """Check the references of flushed rows. A hook of `after_flush_postexec`.

    It checks the scopes of rows as well, if a listener of the application writes in a commit.
    """
    if checks := _existing_checks(session):
        checks.flush.check_scopes(session)
        if checks.is_committing:  # a hook of the application wrote after Brickwork's
            checks.check_scopes(session)


def check_scopes_before_commit(session: Session) -> None:
    """Flush, and check the scopes of written rows. A hook of `before_commit`."""
    if (checks := _existing_checks(session)) and not session.in_nested_transaction():
        session.flush()
        checks.check_scopes(session)
        checks.is_committing = True


def forget_written_rows(session: Session, ended: SessionTransaction) -> None:
    """Forget the rows that a transaction wrote. A hook of `after_transaction_end`."""
    if (checks := _existing_checks(session)) and ended.parent is None:
        checks.written, checks.is_committing = {}, False
