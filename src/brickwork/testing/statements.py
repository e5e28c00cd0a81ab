"""The statements that a database receives."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from typing_extensions import override

from brickwork.database.borrowing import statement_observers
from brickwork.database.triggers import UNCOUNTED

_UNCOUNTED: Final = (
    *("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "SET", "SHOW", "PRAGMA"),
)
"""The first words of statements that are not counted."""


@dataclass
class Statements:
    """The statements of a block, in their order."""

    sql: list[str] = field(default_factory=list[str])
    """Their SQL, with placeholders."""

    def add(self, sql: str) -> None:
        """Add *sql*, unless it begins or ends a transaction, or changes a setting."""
        if not sql.lstrip().upper().startswith(_UNCOUNTED):
            self.sql.append(sql)

    @override
    def __str__(self) -> str:
        """Return the numbered statements."""
        lines = (" ".join(sql.split()) for sql in self.sql)
        return "\n".join(f"  {number}. {line}" for number, line in enumerate(lines, 1)) or "  none"


@contextmanager
def assert_statements(expected: int) -> Generator[Statements]:
    """Fail if the block does not send *expected* statements to databases.

    It counts the statements of all databases of this process, on the fast path and through
    SQLAlchemy. It does not change the path of a request.

    - An `executemany`, and a batch of concurrent requests in one statement, count once.
    - The check of a written row against `query()` is a statement of its own.
    - BEGIN, COMMIT, ROLLBACK, SAVEPOINT, RELEASE, SET, SHOW and PRAGMA do not count.
    - Brickwork asks now and then whether a table has triggers: it does not count.
    - Statements of a driver that the application calls itself do not count.

    ```python
    from brickwork.testing import assert_statements

    async def test_a_page_needs_two_statements(client: AsyncClient) -> None:
        with assert_statements(2):
            await client.get("/articles?count=exact")
    ```

    Raises:
        AssertionError: There were more or fewer. The text lists them.

    """
    statements = Statements()

    def observe(
        _: Connection, __: object, sql: str, ___: object, context: Any, ____: object
    ) -> None:
        options: Mapping[str, Any] = context.execution_options if context else {}
        if not options.keys() & UNCOUNTED.keys():
            statements.add(sql)

    statement_observers.append(statements.add)
    event.listen(Engine, "before_cursor_execute", observe)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", observe)
        statement_observers.remove(statements.add)
    if (count := len(statements.sql)) != expected:
        raise AssertionError(f"{count} statements instead of {expected}:\n{statements}")
