"""Redaction of errors: a log tells what went wrong, and no value that was sent or stored."""

import re
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias, cast

from asyncpg import PostgresError
from asyncpg.exceptions import DataError
from fastapi.exceptions import ValidationException
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError
from sqlalchemy.exc import StatementError

_Known: TypeAlias = dict[int, BaseException]
"""The errors that were seen, and what was made of each, by their identity."""

_HARMLESS: Final = ("08", "0A", "25", "28", "3D", "3F", "40", "42", "53", "55", "57", "58")
"""The classes of SQLSTATE whose messages have names of tables and columns, and no values."""

_LIBRARIES: Final = {"sqlalchemy", "asyncpg", "aiosqlite", "pydantic", "pydantic_core"}
"""The packages that convert values, and repeat one that they cannot convert."""

_ADAPTERS: Final = ("sqlalchemy.dialects.", "sqlalchemy.connectors.")
"""The modules with the errors in which SQLAlchemy repeats those of a driver."""

_STARTS: Final = {"response", "body", "query", "path", "header", "cookie"}
_STRING: Final = re.compile(r"'(?:[^']|'')*'")


def redact_error(error: BaseException) -> BaseException:
    """Return *error* without values, and so all that led to it.

    That is *error* itself, or another in the place of one of Pydantic's. An error that the
    application raises itself keeps its text.
    """
    return _redacted(error, {})


def _redacted(error: BaseException, known: _Known) -> BaseException:
    if id(error) in known:
        return known[id(error)]
    known[id(error)] = error  # which may lead to itself
    causes = {
        name: _redacted(cause, known)
        for name in ("__cause__", "__context__")
        if (cause := getattr(error, name)) is not None
    }
    known[id(error)] = other = _without_values(error, known)
    other.__traceback__, hidden = error.__traceback__, error.__suppress_context__
    for name, cause in causes.items():
        setattr(other, name, cause)
    other.__suppress_context__ = hidden
    if notes := getattr(error, "__notes__", None):
        other.__notes__ = notes
    return other


def _without_values(error: BaseException, known: _Known) -> BaseException:
    match error:
        case ValidationError():
            return _of_pydantic(error)
        case BaseExceptionGroup():
            return error.derive([_redacted(each, known) for each in error.exceptions])
        case ValidationException():
            errors = [{"type": each["type"], "loc": _place(each["loc"])} for each in error.errors()]
            vars(error).update(_errors=errors, body=None)  # what errors() returns
        case StatementError(orig=BaseException() as origin):
            origin = _redacted(origin, known)
            kind = type(origin)
            error.args = (f"({kind.__module__}.{kind.__qualname__}) {origin}",)
            error.statement = error.statement and _STRING.sub("'…'", error.statement)
            error.params, error.orig = None, origin
        case PostgresError() | DataError() | sqlite3.Error():
            error.args = (_of_driver(error),)
            vars(error).update(detail=None, hint=None)
        case _ if type(error).__module__.startswith(_ADAPTERS) and error.__cause__:
            error.args = (str(error.__cause__),)
        case ValueError() | LookupError() if _package(error) in _LIBRARIES:
            error.args = ("A value does not fit.",)
        case _:
            pass
    return error


def _of_pydantic(error: ValidationError) -> ValidationError:
    """Return an error of the same types and places; Pydantic's own cannot be changed."""
    faults = [
        InitErrorDetails(
            type=PydanticCustomError(cast("Any", each["type"]), "A value does not fit."),
            loc=_place(each["loc"]),
            input=None,
        )
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return ValidationError.from_exception_data(error.title, faults, hide_input=True)


def _place(path: Iterable[str | int]) -> tuple[str | int, ...]:
    """Return *path* as far as the first name in it: those within may be keys of stored JSON."""
    return tuple(_shown(path))


def _shown(path: Iterable[str | int]) -> Iterator[str | int]:
    is_named = False
    for each in path:
        is_name = isinstance(each, str) and each not in _STARTS
        yield "…" if is_name and is_named else each
        is_named = is_named or is_name


def _of_driver(error: BaseException) -> str:
    """Return what is logged of an error of a driver."""
    match error:
        case PostgresError():
            state = str(error.sqlstate)
            return f"{error.args[0]} ({state})" if state.startswith(_HARMLESS) else state
        case sqlite3.Error() if error.sqlite_errorname != "SQLITE_CONSTRAINT_TRIGGER":
            return str(error)
        case _:
            return "A value does not fit."


def _package(error: BaseException) -> str:
    """Return the package that raised *error*; its last frame may be in a library of C."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    name = str(frame.tb_frame.f_globals.get("__name__", "")) if frame else ""
    return name.partition(".")[0]
