"""Error statuses in the code of dependencies."""

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
_ERRORS: Final = {int(status) for status in HTTPStatus if status >= HTTPStatus.BAD_REQUEST}


def raised_statuses(call: object) -> set[int]:
    """Return the error statuses that appear in the code of the dependency *call*.

    These are the statuses of each `Problem`. If the code uses `HTTPException`, its constants count
    too. Functions that *call* calls are not searched: declare their errors as `responses`.
    """
    statuses: set[int] = set()
    for function in _functions(call):
        names, constants = {*_names(function.__code__)}, {*_constants(function.__code__)}
        values = [function.__globals__.get(name) for name in names]
        statuses |= {int(value.status) for value in values if _is_problem(value)}
        if "HTTPException" in names or any(_is_http_exception(value) for value in values):
            statuses |= {int(match[1]) for name in names if (match := _CONSTANT.match(name))}
            statuses |= constants & _ERRORS
    return statuses


def _is_problem(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, Problem) and hasattr(value, "status")


def _is_http_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, HTTPException)


def _functions(call: object) -> Iterator[Any]:
    """Yield the Python functions that run when FastAPI calls *call*."""
    while isinstance(call, partial):
        call = call.func
    functions = [inspect.unwrap(call)] if callable(call) else []
    if isinstance(call, type):
        functions = [vars(call).get(name) for name in ("__init__", "__post_init__")]
    elif not inspect.isroutine(call):
        functions = [inspect.getattr_static(type(call), "__call__", None)]
    yield from (item for item in map(_unwrap_method, functions) if inspect.isfunction(item))


def _unwrap_method(value: object) -> object:
    return getattr(value, "__func__", value)


def _code_objects(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code_objects(constant)


def _names(code: CodeType) -> Iterator[str]:
    return (name for item in _code_objects(code) for name in item.co_names)


def _constants(code: CodeType) -> Iterator[int]:
    return (
        value for item in _code_objects(code) for value in item.co_consts if isinstance(value, int)
    )
