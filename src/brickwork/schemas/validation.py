"""Validation that ends at the hundredth error.

Pydantic finds every error, and a document of a megabyte can have a million. Here the items of a
collection count their errors. Items after the hundredth error are not validated.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Final, TypeAlias, cast

from pydantic import ValidationError
from pydantic_core import PydanticCustomError, PydanticOmit, core_schema

from brickwork.limits import MAX_ERRORS
from brickwork.schemas.strict_json import is_object

Node: TypeAlias = dict[str, Any]
"""One node of a core schema (https://docs.pydantic.dev/latest/internals/architecture/)."""

_Handler: TypeAlias = Callable[[Any], Any]

_MAX_NAMED: Final = 10 * MAX_ERRORS
"""How many errors are reported if the hundredth did not end the validation."""

_LEAVES: Final = {
    "any",
    "bool",
    "date",
    "datetime",
    "decimal",
    "enum",
    "float",
    "int",
    "literal",
    "none",
    "str",
    "time",
    "timedelta",
    "url",
    "uuid",
}
_WRAPPERS: Final = {"default", "function-after", "function-before", "nullable"}


class _ErrorCount:
    """Number of errors of a validation, and whether it skipped values."""

    def __init__(self, found: float = 0) -> None:
        self.found = found
        self.is_cut = False

    @property
    def is_full(self) -> bool:
        """Return whether the next value must be skipped, and record that it is."""
        if self.found < MAX_ERRORS:
            return False
        self.is_cut = True
        return True


_count: Final[ContextVar[_ErrorCount | None]] = ContextVar("brickwork.validation", default=None)


def with_error_limit(node: Any) -> Node:
    """Return *node* with a count of the errors of its values."""
    return _wrap(_validate_whole, node)


def limit_collection(node: Any, *members: str) -> Node:
    """Return *node* with a count of the errors in its *members*."""
    counting = {name: _wrap(_validate_item, node[name]) for name in members if name in node}
    return _wrap(_validate_collection, node | counting)


def limit_fields(node: Any, names: Collection[str]) -> Node:
    """Return *node*, which forbids fields outside *names*, with a limit on unknown fields."""
    known, most = frozenset(names), len(names) + MAX_ERRORS

    def few(value: Any) -> Any:
        if is_object(value) and len(value) > most:
            return dict(_limit_unknown(value, known))
        return value

    fields: Iterable[Mapping[str, Any]] = node["fields"].values()
    if all(_is_leaf(field["schema"]) for field in fields):  # no field counts errors
        return {**core_schema.no_info_before_validator_function(few, node)}
    return _wrap(lambda value, handler: _validate_whole(few(value), handler), node)


def limit_choice(choice: Any) -> Any:
    """Return *choice* of a union with its own count, because another choice may be valid."""
    if isinstance(choice, tuple):
        inner, label = cast("tuple[Any, str]", choice)
        return limit_choice(inner), label
    return choice if _is_leaf(choice) else _wrap(_validate_alone, choice)


def _is_leaf(node: Mapping[str, Any]) -> bool:
    while node["type"] in _WRAPPERS:
        node = node["schema"]
    return node["type"] in _LEAVES


def _wrap(validate: Callable[[Any, _Handler], Any], node: Any) -> Node:
    return {**core_schema.no_info_wrap_validator_function(validate, node)}


def _limit_unknown(value: Mapping[Any, Any], known: Collection[str]) -> Iterator[tuple[Any, Any]]:
    """Yield the *known* fields of *value*, and the first hundred unknown ones."""
    others = 0
    for name, member in value.items():
        if name in known:
            yield name, member
        elif others < MAX_ERRORS:
            others += 1
            yield name, member


def _validate_whole(value: Any, handler: _Handler) -> Any:
    return _validate_alone(value, handler) if _count.get() is None else handler(value)


def _validate_alone(value: Any, handler: _Handler, found: float = 0) -> Any:
    """Validate *value* with its own count, which starts at *found*."""
    token = _count.set(count := _ErrorCount(found))
    try:
        result = handler(value)
    except ValidationError as error:
        if error.error_count() > _MAX_NAMED:
            raise _too_many_errors() from None
        if error.error_count() >= MAX_ERRORS or not count.is_cut:
            raise
    except Exception:
        if not count.is_cut:
            raise
    else:
        if not count.is_cut:
            return result
    finally:
        _count.reset(token)
    # A validator of the application has dropped errors, so every value must be validated.
    return _validate_alone(value, handler, float("-inf"))


def _too_many_errors() -> PydanticCustomError:
    return PydanticCustomError("too_many_faults", "Input has too many errors to list them.")


def _validate_collection(value: Any, handler: _Handler) -> Any:
    count = _count.get()
    if count and count.is_full:
        raise _too_many_errors()
    return handler(value)


def _validate_item(value: Any, handler: _Handler) -> Any:
    count = _count.get()
    if count is None:
        return handler(value)
    if count.is_full:
        raise PydanticOmit
    before = count.found
    try:
        return handler(value)
    except ValidationError as error:
        count.found = before + error.error_count()  # includes the errors of its items
        raise
