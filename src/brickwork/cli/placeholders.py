"""Scopes of resources without a request."""

import dis
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import fields
from types import CodeType, FrameType
from typing import Any, Final, NoReturn, TypeVar

from fastapi.dependencies.models import Dependant
from sqlalchemy import BindParameter, Select, bindparam
from sqlalchemy.sql import visitors
from sqlalchemy.types import NullType
from typing_extensions import override

from brickwork.models.soft_delete import DeletedFilter
from brickwork.operations.resources import RESOURCE, SessionUsed, UnopenedResource, is_resource
from brickwork.resource.resource import Resource

M = TypeVar("M")

_IGNORED_PACKAGES: Final = {*sys.stdlib_module_names, "brickwork", "sqlalchemy"}
"""Packages whose code has no rules of the application."""

_TYPE_TESTS: Final = {"callable", "hasattr", "isinstance", "issubclass"}
"""Functions that would answer for a placeholder, and not for its value."""

_UNARY: Final = (
    *("bool", "call", "complex", "contains", "float", "format", "hash", "index", "int", "iter"),
    *("len", "str", "abs", "neg", "pos", "invert", "round", "enter", "aenter", "await", "aiter"),
)
_COMPARISONS: Final = ("eq", "ne", "lt", "le", "gt", "ge")
_ARITHMETIC: Final = (
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow"),
    *("lshift", "rshift", "and", "or", "xor"),
)


class UnknownScope(Exception):
    """A `query()` whose conditions only a request shows. The text is the reason."""

    def __init__(self, reason: str, *, is_declined: bool = False) -> None:
        """Store whether the statement executor certainly declines the scope."""
        super().__init__(reason)
        self.is_declined = is_declined


class _ValueNeeded(Exception):
    """A use of a placeholder as a value of Python."""


class Placeholder:
    """A value that a dependency would return, or an attribute of it.

    A comparison with a column makes it a bind parameter. Any other use raises `_ValueNeeded`.
    """

    is_clause_element = False
    """SQLAlchemy then calls `__clause_element__`."""

    def __init__(self, path: str, needed: list[str]) -> None:
        """Store the *path*, as in `user.tenant_id`. A use adds it to *needed*."""
        self._path = path
        self._needed = needed

    @override
    def __repr__(self) -> str:
        return self._path

    def __getattr__(self, name: str) -> "Placeholder":
        """Return the placeholder of an attribute."""
        if name.startswith("_"):
            raise AttributeError(name)
        return Placeholder(f"{self._path}.{name}", self._needed)

    def __getitem__(self, key: object) -> "Placeholder":
        """Return the placeholder of an item, as in `claims["tenant"]`."""
        if type(key) is not str:
            self._refuse()
        return Placeholder(f"{self._path}.{key}", self._needed)

    def __clause_element__(self) -> BindParameter[Any]:
        """Return the bind parameter. It takes its type from a column."""
        return bindparam("placeholder", self, unique=True)

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        # An application may catch the exception: the list remains.
        self._needed.append(self._path)
        raise _ValueNeeded(self._path)

    def _operate(self, other: object) -> Any:
        """Leave the operator to *other*, a column. Raises `_ValueNeeded` for another operand."""
        if isinstance(other, Placeholder) or not hasattr(other, "__clause_element__"):
            self._refuse()
        return NotImplemented

    @classmethod
    def forbid_operators(cls) -> None:
        """Let every operator of Python raise, unless a column implements it."""
        for name in _UNARY:
            setattr(cls, f"__{name}__", cls._refuse)
        for name in (*_COMPARISONS, *_ARITHMETIC, *(f"r{name}" for name in _ARITHMETIC)):
            setattr(cls, f"__{name}__", cls._operate)


Placeholder.forbid_operators()


def scope_without_request(
    dependant: Dependant, kind: type[Resource[M]], deleted_filter: DeletedFilter = "exclude"
) -> Select[M]:
    """Return the `query()` of *kind* with a placeholder for each field that a request sets.

    *dependant* has the dependencies of an endpoint of *kind*. Raises `UnknownScope` if the SQL
    depends on more than comparisons of columns with placeholders.
    """
    name, needed = f"{kind.__name__}.query", list[str]()
    (own,) = (item for item in dependant.dependencies if item.name == RESOURCE)
    resource = _placeholder_resource(own, _without_actor(kind, deleted_filter), kind, needed)
    called: list[CodeType] = []
    try:
        with _record_calls(called):
            statement = _query(resource, needed)
    except SessionUsed:
        raise UnknownScope(f"{name} uses the session", is_declined=True) from None
    except Exception as error:
        failure = f"raises {type(error).__name__} without a request"
        reason = f"needs the value of {needed[0]}" if needed else failure
        raise UnknownScope(f"{name} {reason}") from error
    if _request_fields(kind) and any(map(_tests_objects, called)):
        raise UnknownScope(f"{name} tests for None or for a type")
    for placeholder in _untyped_placeholders(statement):
        raise UnknownScope(f"{name} does not compare {placeholder!r} with a column")
    return statement


def deleted_filter_without_request(
    dependant: Dependant, kind: type[Resource[Any]]
) -> DeletedFilter:
    """Return the filter that `include_deleted("include")` of *kind* sets without a request.

    Raises `UnknownScope` if it depends on a request, waits or fails.
    """
    unknown = UnknownScope(f"{kind.__name__}.include_deleted is overridden")
    if _request_fields(kind):
        raise unknown
    (own,) = (item for item in dependant.dependencies if item.name == RESOURCE)
    build = _without_actor(kind, "exclude")
    resource = _placeholder_resource(own, build, kind, []).preview()
    call = resource.include_deleted("include")
    try:
        call.send(None)
    except StopIteration:
        return resource.deleted_filter
    except Exception as error:
        raise unknown from error
    finally:
        call.close()
    raise unknown


def _query(resource: UnopenedResource[M], needed: list[str]) -> Select[M]:
    statement = resource.preview().query()
    if needed:  # the application has caught the exception
        raise _ValueNeeded
    return statement


def _placeholder_resource(
    dependant: Dependant,
    build: Callable[..., Resource[M]],
    kind: type[Resource[M]],
    needed: list[str],
    prefix: str = "",
) -> UnopenedResource[M]:
    """Return a resource with placeholders, and with resources of placeholders."""
    nested = {item.name: item for item in dependant.dependencies if is_resource(item.call)}
    values: dict[str, Any] = {}
    for name in _request_fields(kind):
        path = prefix + name
        if item := nested.get(name):
            inner: Any = item.call
            values[name] = _placeholder_resource(
                item, _without_actor(inner), inner, needed, f"{path}."
            )
        else:
            values[name] = Placeholder(path, needed)
    return UnopenedResource(build, values)


def _request_fields(kind: type[Resource[Any]]) -> list[str]:
    return [field.name for field in fields(kind) if field.init and field.name != "session"]


def _without_actor(
    kind: type[Resource[M]], deleted_filter: DeletedFilter = "exclude"
) -> Callable[..., Resource[M]]:
    """Return a function that builds a *kind*. It does not call `actor`, which no row depends on."""

    def build(**values: Any) -> Resource[M]:
        resource = kind.__new__(kind)
        vars(resource)["actor"] = lambda: None
        kind.__init__(resource, **values)
        resource.deleted_filter = deleted_filter
        return resource

    return build


@contextmanager
def _record_calls(called: list[CodeType]) -> Generator[None]:
    """Add to *called* the functions of the application that the block calls."""

    def record(frame: FrameType, event: str, _: object) -> None:
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if event == "call" and package not in _IGNORED_PACKAGES:
            called.append(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(record)
    try:
        yield
    finally:
        sys.setprofile(before)


def _tests_objects(code: CodeType) -> bool:
    """Return whether *code* may test the identity or the type of an object."""
    return any(
        instruction.opname == "IS_OP"
        or instruction.opname.endswith(("_IF_NONE", "_IF_NOT_NONE"))
        or instruction.opname.startswith("MATCH_")
        or (instruction.opname == "LOAD_GLOBAL" and instruction.argval in _TYPE_TESTS)
        for instruction in dis.get_instructions(code)
    )


def _untyped_placeholders(statement: Select[Any]) -> Iterator[Placeholder]:
    """Yield the placeholders whose type no column decides."""
    for element in visitors.iterate(statement):
        parameter: Any = element
        value: object = getattr(parameter, "value", None)
        if isinstance(value, Placeholder) and isinstance(parameter.type, NullType):
            yield value
