"""References: which rows of others a row may refer to, where a scope keeps some from it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import Select, event, inspect
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Session

from brickwork.faults import missing
from brickwork.keys import primary_key
from brickwork.queries import entity

Scopes: TypeAlias = Mapping[str, Select[Any]]
"""By the attribute that refers, the rows that it may refer to."""

_KEPT: Final = "brickwork.references"


def keep_references(
    session: AsyncSession, model: type[DeclarativeBase], scopes: Callable[[], Scopes]
) -> None:
    """Have *session* refuse to write rows of *model* that refer to others than *scopes* says."""
    session.info.setdefault(_KEPT, {})[model] = scopes


@event.listens_for(Session, "before_flush")
def _check(session: Session, *_: object) -> None:
    kept: Mapping[type[DeclarativeBase], Callable[[], Scopes]] = session.info.get(_KEPT, {})
    for model, scopes in kept.items():
        rows = [each for each in (*session.new, *session.dirty) if isinstance(each, model)]
        if rows and (names := [*_unknown(session, rows, scopes())]):
            raise missing(names)


def _unknown(session: Session, rows: Sequence[DeclarativeBase], scopes: Scopes) -> Iterator[str]:
    """Yield the names in *scopes* by which *rows* newly refer to what is not there."""
    for name, scope in scopes.items():
        added = (inspect(row).attrs[name].history.added for row in rows)
        wanted = {value for values in added for value in values or () if value is not None}
        if wanted:
            model: type[DeclarativeBase] = entity(scope)
            key = primary_key(model)
            keys = scope.with_only_columns(key, maintain_column_froms=True).order_by(None)
            if not wanted.issubset(session.scalars(keys.where(key.in_(wanted)))):
                yield name
