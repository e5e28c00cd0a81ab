"""The fields and methods of a resource class, checked where the class is written."""

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
"""The classes of which FastAPI itself gives an instance."""

_PARAMETER_TYPES: Final = (params.Depends, params.Param, params.Body)


def methods_of(base: type[Any]) -> Iterator[str]:
    """Yield the methods of *base* that its subclasses may override."""
    for name, method in vars(base).items():
        if inspect.isfunction(method) and (not name.startswith("_") or name == "__post_init__"):
            yield name


def check_methods(owner: type[Any], base: type[Any], names: Iterable[str]) -> None:
    """Raise `TypeError` for a method of *owner* that cannot be called as that of *base* is."""
    for name in names:
        _check_method(owner, name, vars(base)[name])


def _check_method(owner: type[Any], name: str, method: Callable[..., Any]) -> None:
    own = getattr_static(owner, name)
    if own is method:
        return
    place = f"{owner.__name__}.{name}"
    wanted = f"{_def_keyword(method)} {name}{_untyped_signature(method)}"
    bound: Any = getattr(owner, name)
    if not callable(bound):
        raise TypeError(f"{place} is no method: declare `{wanted}`, or call it otherwise.")
    function = inspect.unwrap(bound)
    if inspect.isasyncgenfunction(method):
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise TypeError(f"{place} yields nothing: declare `{wanted}`, and yield rows.")
    elif inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(f"{place} yields, and a value is wanted: declare `{wanted}`.")
    elif inspect.iscoroutinefunction(function) != inspect.iscoroutinefunction(method):
        is_async = "async" if inspect.iscoroutinefunction(function) else "not async"
        raise TypeError(f"{place} is {is_async}: declare `{wanted}`.")
    if not _is_callable(bound, method, bare=not isinstance(own, staticmethod | classmethod)):
        raise TypeError(f"{place} takes other arguments: declare `{wanted}`.")


def _def_keyword(method: Callable[..., Any]) -> str:
    is_async = inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method)
    return "async def" if is_async else "def"


def _untyped_signature(method: Callable[..., Any]) -> str:
    """Return the parameters of *method* without their types."""
    signature = inspect.signature(method)
    plain = [each.replace(annotation=Parameter.empty) for each in signature.parameters.values()]
    return str(Signature(plain))


def _is_callable(own: Callable[..., Any], method: Callable[..., Any], *, bare: bool) -> bool:
    """Tell whether *own* takes the arguments that *method* is called with; *bare* needs `self`."""
    count = len(inspect.signature(method).parameters) - (0 if bare else 1)
    try:
        inspect.signature(own).bind(*[None] * count)
    except TypeError:
        return False
    return True


def check_fields(owner: type[Any], base: type[Any]) -> None:
    """Raise `TypeError` for a field of *owner* that is no dependency, but would be read as one.

    *base* is the class whose attributes no field may hide.
    """
    for each in inspect.signature(owner, eval_str=True).parameters.values():
        place = f"{owner.__name__}.{each.name}"
        if each.name != "session" and hasattr(base, each.name):
            raise TypeError(
                f"{place} hides an attribute of {base.__name__}. Call the field otherwise; a "
                "setting of the class has no annotation, or ClassVar[…]."
            )
        if not _is_dependency(each):
            raise TypeError(
                f"{place} is no dependency: FastAPI would read it from the query. Annotate it "
                "Annotated[…, Depends(…)], or ClassVar[…] for a constant."
            )


def _is_dependency(parameter: Parameter) -> bool:
    """Tell whether *parameter* says where FastAPI gets its value from."""
    kind: Any = getattr(parameter.annotation, "__value__", parameter.annotation)
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    if any(isinstance(each, _PARAMETER_TYPES) for each in (*marks, parameter.default)):
        return True
    return isinstance(kind, type) and issubclass(kind, _PROVIDED_TYPES)
