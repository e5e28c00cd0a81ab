"""All hooks of flushes and commits, in their order.

SQLAlchemy calls the listeners of an event in the order of their registration. The import of this
module, by `brickwork`, registers them all. The listeners of one class or one engine are elsewhere:

- `tracking/changes.py`: changes of `ChangeTracked` rows, by `before_insert`, `before_update` and
  `before_delete`
- `tracking/audit.py`, `tracking/outbox.py`: the tables of a class, by `instrument_class`
- `resource/defaults.py`: NULL in columns with defaults, by `before_insert` and `after_insert`
- `database/engines.py`, `database/row_counts.py`, `database/autocommit.py`: listeners of engines

The hooks are functions of the modules that they concern. They keep their state in the
`UnitOfWork` of the session.
"""

from sqlalchemy.event import listen
from sqlalchemy.orm import Mapper, Session

from brickwork.database.transactions import prepare_transaction, record_flushed_rows
from brickwork.models.model import touch_updated_at
from brickwork.resource.checks import (
    check_flushed_references,
    check_scopes_before_commit,
    forget_written_rows,
    start_flush_checks,
    track_flushed_references,
    track_inserted_row,
    track_updated_row,
)
from brickwork.resource.defaults import keep_decimal_places
from brickwork.resource.removals import keep_references
from brickwork.tracking.audit import write_audit_entries
from brickwork.tracking.changes import reset_changes
from brickwork.tracking.outbox import (
    collect_events,
    discard_pending_events,
    discard_rolled_back_events,
    write_events_before_commit,
)

# Before the first statement, which would fix the isolation level.
listen(Session, "after_begin", prepare_transaction)

# First, because it sets attributes, and the other hooks read rows.
listen(Session, "before_flush", touch_updated_at)
# The log explains the error of any statement of the flush.
listen(Session, "before_flush", record_flushed_rows)
# Both start anew: SQLAlchemy calls no hook at the end of a flush that fails.
listen(Session, "before_flush", reset_changes)
listen(Session, "before_flush", start_flush_checks)
# Last, because it prepares relationships of removed rows for the flush alone.
listen(Session, "before_flush", keep_references)

# For each row, before the listeners of its class.
listen(Mapper, "before_insert", track_inserted_row)
listen(Mapper, "before_update", track_updated_row)
listen(Mapper, "after_insert", keep_decimal_places)
listen(Mapper, "after_update", keep_decimal_places)

# Relationships have set the foreign keys, and the history of attributes still exists.
listen(Session, "after_flush", track_flushed_references)

# First, so that a broken reference is the error, and not the insert of an entry.
listen(Session, "after_flush_postexec", check_flushed_references)
# Both read the changes since `reset_changes`, with values that the flush has stored.
listen(Session, "after_flush_postexec", write_audit_entries)
listen(Session, "after_flush_postexec", collect_events)

# Before the listeners of the application, older ones too. If a listener writes after the check,
# `check_flushed_references` checks the scopes again.
listen(Session, "before_commit", check_scopes_before_commit, insert=True)
# After the check, because its lock lasts until the commit is done.
listen(Session, "before_commit", write_events_before_commit)

# A rollback to a savepoint discards only the events since that savepoint.
listen(Session, "after_soft_rollback", discard_rolled_back_events)

# The session may begin another transaction. These two are independent.
listen(Session, "after_transaction_end", forget_written_rows)
listen(Session, "after_transaction_end", discard_pending_events)
