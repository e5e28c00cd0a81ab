"""Statuses of the errors that a dependency names in its code."""

import inspect
import re
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from types import CodeType
from typing import Any, Final

from starlette.exceptions import HTTPException

from brickwork.problems import Problem

_CONSTANT: Final = re.compile(r"HTTP_(\d{3})(_|$)")
_ERRORS: Final = {int(each) for each in HTTPStatus if each >= HTTPStatus.BAD_REQUEST}


def raised_statuses(call: object) -> set[int]:
    """Return the statuses of the errors that the code of *call*, a dependency, names.

    They are those of each `Problem`, and next to `HTTPException` each number that is one. Errors
    of the functions that *call* calls are unknown: routers declare these, as `responses`.
    """
    found: set[int] = set()
    for function in _functions(call):
        names, constants = {*_names(function.__code__)}, {*_constants(function.__code__)}
        raised = [function.__globals__.get(name) for name in names]
        found |= {int(each.status) for each in raised if _is_problem(each)}
        if "HTTPException" in names or any(_is_http_exception(each) for each in raised):
            found |= {int(match[1]) for name in names if (match := _CONSTANT.match(name))}
            found |= constants & _ERRORS
    return found


def _is_problem(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Problem) and hasattr(value, "status")


def _is_http_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, HTTPException)


def _functions(call: object) -> Iterator[Any]:
    """Yield the functions of Python that run when FastAPI calls *call*."""
    while isinstance(call, partial):
        call = call.func
    own = [inspect.unwrap(call)] if callable(call) else []
    if isinstance(call, type):
        own = [vars(call).get(name) for name in ("__init__", "__post_init__")]
    elif not inspect.isroutine(call):
        own = [inspect.getattr_static(type(call), "__call__", None)]
    yield from (each for each in map(_function, own) if inspect.isfunction(each))


def _function(value: object) -> object:
    return getattr(value, "__func__", value)


def _code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _code_objects(each)


def _names(code: CodeType) -> Iterator[str]:
    return (name for each in _code_objects(code) for name in each.co_names)


def _constants(code: CodeType) -> Iterator[int]:
    return (
        value for each in _code_objects(code) for value in each.co_consts if isinstance(value, int)
    )
