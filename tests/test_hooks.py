"""All listeners of Brickwork to sessions and mappers, and their order."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

import brickwork
from brickwork.database.transactions import transaction_session

SESSION_HOOKS: Mapping[str, Sequence[str]] = {
    "after_begin": ["transactions.prepare_transaction"],
    "before_flush": [
        "model.touch_updated_at",
        "transactions.record_flushed_rows",
        "changes.reset_changes",
        "checks.start_flush_checks",
        "removals.keep_references",
    ],
    "after_flush": ["checks.track_flushed_references"],
    "after_flush_postexec": [
        "checks.check_flushed_references",
        "audit.write_audit_entries",
        "outbox.collect_events",
    ],
    "before_commit": ["checks.check_scopes_before_commit", "outbox.write_events_before_commit"],
    "after_soft_rollback": ["outbox.discard_rolled_back_events"],
    "after_transaction_end": ["checks.forget_written_rows", "outbox.discard_pending_events"],
}
MAPPER_HOOKS: Mapping[str, Sequence[str]] = {
    "before_insert": ["checks.track_inserted_row"],
    "before_update": ["checks.track_updated_row"],
    "after_insert": ["defaults.keep_decimal_places"],
    "after_update": ["defaults.keep_decimal_places"],
}


def unwrap(listener: Any) -> Any:
    """Return the function that SQLAlchemy wraps as *listener*."""
    for cell in getattr(listener, "__closure__", None) or ():
        if callable(cell.cell_contents):
            return unwrap(cell.cell_contents)
    return listener


def own_listeners(dispatch: Any, name: str) -> Iterator[str]:
    """Yield the listeners of Brickwork to an event, in the order of their calls."""
    for listener in getattr(dispatch, name):
        function = unwrap(listener)
        if function.__module__.startswith("brickwork."):
            yield f"{function.__module__.rpartition('.')[2]}.{function.__name__}"


def all_hooks(dispatch: Any) -> Mapping[str, Sequence[str]]:
    listeners = {name: [*own_listeners(dispatch, name)] for name in dispatch._event_names}  # noqa: SLF001 — shown nowhere else
    return {name: found for name, found in listeners.items() if found}


@pytest.fixture(scope="module", autouse=True)
def every_module() -> None:
    """Import every module of Brickwork, because any could register a listener."""
    for module in pkgutil.walk_packages(brickwork.__path__, "brickwork."):
        importlib.import_module(module.name)


@pytest.mark.parametrize("make", [Session, transaction_session], ids=["application", "Database"])
def test_hooks_of_sessions_are_these_in_this_order(make: Any) -> None:
    assert all_hooks(make().dispatch) == SESSION_HOOKS


def test_hooks_of_mappers_are_these_in_this_order() -> None:
    class Base(DeclarativeBase): ...

    class Plain(Base):
        __tablename__ = "plain"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert all_hooks(inspect(Plain).dispatch) == MAPPER_HOOKS


OLDER_LISTENER = """
from sqlalchemy import event
from sqlalchemy.orm import Session

@event.listens_for(Session, "before_commit")
def older(session): ...

import brickwork
print(*(listener.__name__ for listener in Session().dispatch.before_commit))
"""


def test_scopes_are_checked_before_an_older_listener_of_the_application() -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", OLDER_LISTENER], capture_output=True, check=True, text=True
    )
    assert done.stdout.split() == [
        "check_scopes_before_commit",
        "older",
        "write_events_before_commit",
    ]
