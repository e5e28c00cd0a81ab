"""Checks of the fields and methods of a resource class."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from inspect import Parameter, Signature, getattr_static
from typing import Annotated, Any, Final, get_args, get_origin

from fastapi import BackgroundTasks, Request, Response, WebSocket, params
from fastapi.requests import HTTPConnection
from fastapi.security import SecurityScopes
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

_PROVIDED_TYPES: Final = (
    Request,
    WebSocket,
    HTTPConnection,
    Response,
    BackgroundTasks,
    StarletteBackgroundTasks,
    SecurityScopes,
)
"""The classes that FastAPI itself provides instances of."""

_PARAMETER_TYPES: Final = (params.Depends, params.Param, params.Body)


def methods_of(base: type[Any]) -> Iterator[str]:
    """Yield the methods of *base* that its subclasses may override."""
    for name, method in vars(base).items():
        if inspect.isfunction(method) and (not name.startswith("_") or name == "__post_init__"):
            yield name


def check_methods(owner: type[Any], base: type[Any], names: Iterable[str]) -> None:
    """Raise `TypeError` for a method of *owner* that has another signature than in *base*."""
    for name in names:
        _check_method(owner, name, vars(base)[name])


def _check_method(owner: type[Any], name: str, method: Callable[..., Any]) -> None:
    own = getattr_static(owner, name)
    if own is method:
        return
    label = f"{owner.__name__}.{name}"
    expected = f"{_def_keyword(method)} {name}{_untyped_signature(method)}"
    bound: Any = getattr(owner, name)
    if not callable(bound):
        raise TypeError(f"{label} must be a method: declare `{expected}`, or rename it.")
    function = inspect.unwrap(bound)
    if inspect.isasyncgenfunction(method):
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{label} must yield rows: declare `{expected}` with a yield.")
    elif inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{label} must return a value, not yield: declare `{expected}`.")
    elif inspect.iscoroutinefunction(function) != inspect.iscoroutinefunction(method):
        is_async = "async" if inspect.iscoroutinefunction(function) else "not async"
        raise TypeError(f"{label} is {is_async}: declare `{expected}`.")
    if not _is_callable(bound, method, bare=not isinstance(own, staticmethod | classmethod)):
        raise TypeError(f"{label} takes other arguments: declare `{expected}`.")


def _def_keyword(method: Callable[..., Any]) -> str:
    is_async = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    return "async def" if is_async else "def"


def _untyped_signature(method: Callable[..., Any]) -> str:
    """Return the parameters of *method* without their types."""
    signature = inspect.signature(method)
    parameters = signature.parameters.values()
    untyped = [parameter.replace(annotation=Parameter.empty) for parameter in parameters]
    return str(Signature(untyped))


def _is_callable(own: Callable[..., Any], method: Callable[..., Any], *, bare: bool) -> bool:
    """Return whether *own* accepts the arguments of *method*, with *bare* including `self`."""
    count = len(inspect.signature(method).parameters) - (0 if bare else 1)
    try:
        inspect.signature(own).bind(*[None] * count)
    except TypeError:
        return False
    return True


def check_fields(owner: type[Any], base: type[Any]) -> None:
    """Raise `TypeError` for a field of *owner* that is not a dependency.

    *base* is the class whose attributes no field may hide.
    """
    for field in inspect.signature(owner, eval_str=True).parameters.values():
        label = f"{owner.__name__}.{field.name}"
        if field.name != "session" and hasattr(base, field.name):
            raise TypeError(
                f"{label} hides an attribute of {base.__name__}. Rename the field; a "
                "setting of the class has no annotation, or ClassVar[…]."
            )
        if not _is_dependency(field):
            raise TypeError(
                f"{label} is not a dependency: FastAPI would read it from the query. Annotate it "
                "Annotated[…, Depends(…)], or ClassVar[…] for a constant."
            )


def _is_dependency(parameter: Parameter) -> bool:
    """Return whether the annotation or default of *parameter* makes it a dependency."""
    kind: Any = getattr(parameter.annotation, "__value__", parameter.annotation)
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    if any(isinstance(mark, _PARAMETER_TYPES) for mark in (*marks, parameter.default)):
        return True
    return isinstance(kind, type) and issubclass(kind, _PROVIDED_TYPES)
