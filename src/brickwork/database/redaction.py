"""Redaction of values in logged errors."""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias, cast

from fastapi.exceptions import ValidationException
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from sqlalchemy.exc import StatementError

from brickwork.database.drivers import DataError, PostgresError
from brickwork.request_internals import replace_errors

_SeenErrors: TypeAlias = dict[int, BaseException]
"""The redacted error for each error visited, by `id`."""

_SAFE_CLASSES: Final = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58")
"""SQLSTATE classes whose messages contain names of tables and columns, but no values."""

_LIBRARIES: Final = {"sqlalchemy", "asyncpg", "aiosqlite", "pydantic", "pydantic_core"}
"""Packages whose conversion errors repeat the value."""

_ADAPTERS: Final = ("sqlalchemy.dialects.", "sqlalchemy.connectors.")
"""Modules whose exceptions repeat the message of a driver's exception."""

_LOCATION_ROOTS: Final = {"response", "body", "query", "path", "header", "cookie"}
_STRING: Final = re.compile(r"'(?:[^']|'')*'")


def redact_error(error: BaseException) -> BaseException:
    """Remove values from *error*, its causes and its contexts.

    Return *error* itself, or a new error for one of Pydantic's. Errors that the application raises
    keep their text.
    """
    return _redact(error, {})


def _redact(error: BaseException, known: _SeenErrors) -> BaseException:
    if id(error) in known:
        return known[id(error)]
    known[id(error)] = error  # ends cycles of causes
    causes = {
        name: _redact(cause, known)
        for name in ("__cause__", "__context__")
        if (cause := getattr(error, name)) is not None
    }
    known[id(error)] = other = _strip_values(error, known)
    other.__traceback__, hidden = error.__traceback__, error.__suppress_context__
    for name, cause in causes.items():
        setattr(other, name, cause)
    other.__suppress_context__ = hidden
    if notes := getattr(error, "__notes__", None):
        other.__notes__ = notes
    return other


def _strip_values(error: BaseException, known: _SeenErrors) -> BaseException:
    match error:
        case ValidationError():
            return _redact_validation_error(error)
        case BaseExceptionGroup():
            return error.derive([_redact(member, known) for member in error.exceptions])
        case ValidationException():
            errors = [
                {"type": detail["type"], "loc": _redact_location(detail["loc"])}
                for detail in error.errors()
            ]
            replace_errors(error, errors)
            vars(error).update(body=None)
            error.args = (errors,)
        case StatementError(orig=BaseException() as origin):
            origin = _redact(origin, known)
            kind = type(origin)
            error.args = (f"({kind.__module__}.{kind.__qualname__}) {origin}",)
            error.statement = error.statement and _STRING.sub("'…'", error.statement)
            error.params, error.orig = None, origin
        case PostgresError() | DataError() | sqlite3.Error():
            error.args = (_driver_message(error),)
            vars(error).update(detail=None, hint=None)
        case _ if type(error).__module__.startswith(_ADAPTERS) and error.__cause__:
            error.args = (str(error.__cause__),)
        case ValueError() | LookupError() if _raising_package(error) in _LIBRARIES:
            error.args = ("A value does not fit.",)
        case _:
            pass
    return error


def _redact_validation_error(error: ValidationError) -> ValidationError:
    """Return a new error with the same types and locations. Pydantic's errors are immutable."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(cast("Any", detail["type"]), "A value does not fit."),
            loc=_redact_location(detail["loc"]),
            input=None,
        )
        for detail in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ValidationError.from_exception_data(error.title, details, hide_input=True)


def _redact_location(path: Iterable[str | int]) -> tuple[str | int, ...]:
    """Redact the names in *path* after the first one: they may be keys of stored JSON."""
    return tuple(_redact_keys(path))


def _redact_keys(path: Iterable[str | int]) -> Iterator[str | int]:
    has_name = False
    for part in path:
        is_name = isinstance(part, str) and part not in _LOCATION_ROOTS
        yield "…" if is_name and has_name else part
        has_name = has_name or is_name


def _driver_message(error: BaseException) -> str:
    """Return the loggable message of a driver's error."""
    match error:
        case PostgresError():
            state = str(error.sqlstate)
            return f"{error.args[0]} ({state})" if state.startswith(_SAFE_CLASSES) else state
        case sqlite3.Error() if error.sqlite_errorname != "SQLITE_CONSTRAINT_TRIGGER":
            return str(error)
        case _:
            return "A value does not fit."


def _raising_package(error: BaseException) -> str:
    """Return the package of the last Python frame of *error*."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    name = str(frame.tb_frame.f_globals.get("__name__", "")) if frame else ""
    return name.partition(".")[0]
