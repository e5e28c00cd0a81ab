"""Who listens: to what an application was told by SQLAlchemy, and a driver would not tell."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, TypeAlias

from sqlalchemy import inspect
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.orm import DeclarativeBase, Session

_Events: TypeAlias = Callable[[Any], tuple[Any, ...]]

_SENT: Final[_Events] = attrgetter(
    "before_execute",
    "after_execute",
    "before_cursor_execute",
    "after_cursor_execute",
    "commit",
    "rollback",
)
"""The events of an engine."""

_FLUSHED: Final[_Events] = attrgetter(
    "after_attach",
    "after_begin",
    "after_commit",
    "after_flush",
    "after_flush_postexec",
    "after_transaction_create",
    "after_transaction_end",
    "before_attach",
    "before_commit",
    "before_flush",
    "deleted_to_detached",
    "do_orm_execute",
    "loaded_as_persistent",
    "pending_to_persistent",
    "persistent_to_deleted",
    "transient_to_pending",
)
"""The events of a session that writes."""

_WRITTEN: Final[_Events] = attrgetter(
    "after_delete",
    "after_insert",
    "after_update",
    "before_delete",
    "before_insert",
    "before_update",
)
"""The events of a mapper."""

_MADE: Final[_Events] = attrgetter("init", "load", "refresh", "refresh_flush")
"""The events of an instance."""

_SET: Final[_Events] = attrgetter("modified", "set")
"""The events of an attribute."""

_EXPECTED: Final = ("brickwork.", "sqlalchemy.orm.mapper")
"""Whose listeners do nothing for a model that is plain."""

_ANY: Final = Session()
"""Stands for every session, in telling who listens to them."""


def is_read_watched(engine: AsyncEngine, model: type[DeclarativeBase]) -> bool:
    """Tell whether somebody listens to what *engine* sends, or to rows of *model* being read."""
    asked, read = _ANY.dispatch.do_orm_execute, inspect(model).class_manager.dispatch.load
    return bool(asked or read or _has(engine.sync_engine, _SENT))


def is_write_watched(engine: AsyncEngine, model: type[DeclarativeBase]) -> bool:
    """Tell whether somebody listens to what *engine* sends, or to rows of *model* being written."""
    mapper = inspect(model)
    return (
        _has(engine.sync_engine, _SENT)
        or _has(mapper, _WRITTEN)
        or _has_other(mapper.class_manager, _MADE)
        or _has_other(_ANY, _FLUSHED)
        or any(_has(getattr(model, each.key), _SET) for each in mapper.column_attrs)
    )


def _has(target: Any, events: _Events) -> bool:
    return any(events(target.dispatch))


def _has_other(target: Any, events: _Events) -> bool:
    """Tell whether anybody listens but those who always do."""
    return any(
        not str(each.__module__).startswith(_EXPECTED)
        for listeners in events(target.dispatch)
        for each in listeners
    )
