"""Validation that ends at the hundredth fault.

Pydantic looks for every fault there is, and a document of a megabyte can have a million. Here the
items of a collection count the faults that were found, and those behind the hundredth are not
looked at.
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
"""How many faults are named where the hundredth did not end the validation."""

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
    """How many faults a validation has found, and whether something was not looked at for it."""

    def __init__(self, found: float = 0) -> None:
        self.found = found
        self.is_cut = False

    @property
    def is_full(self) -> bool:
        """Whether nothing more is looked at; asking takes note of it."""
        if self.found < MAX_ERRORS:
            return False
        self.is_cut = True
        return True


_count: Final[ContextVar[_ErrorCount | None]] = ContextVar("brickwork.validation", default=None)


def with_error_limit(node: Any) -> Node:
    """Return *node* such that faults are counted while a value is validated by it."""
    return _wrap(_validate_whole, node)


def limit_collection(node: Any, *members: str) -> Node:
    """Return *node* such that the values of its *members* count their faults."""
    counting = {name: _wrap(_validate_item, node[name]) for name in members if name in node}
    return _wrap(_validate_collection, node | counting)


def limit_fields(node: Any, names: Collection[str]) -> Node:
    """Return *node*, which refuses fields that *names* lacks, such that it is told of few."""
    known, most = frozenset(names), len(names) + MAX_ERRORS

    def few(value: Any) -> Any:
        if is_object(value) and len(value) > most:
            return dict(_limit_unknown(value, known))
        return value

    fields: Iterable[Mapping[str, Any]] = node["fields"].values()
    if all(_is_leaf(each["schema"]) for each in fields):  # and nothing in them would be counted
        return {**core_schema.no_info_before_validator_function(few, node)}
    return _wrap(lambda value, handler: _validate_whole(few(value), handler), node)


def limit_choice(choice: Any) -> Any:
    """Return *choice*, of a union: its faults count only where all choices have some."""
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
    """Yield the fields of *value* that are *known*, and the first hundred of the others."""
    others = 0
    for name, each in value.items():
        if name in known:
            yield name, each
        elif others < MAX_ERRORS:
            others += 1
            yield name, each


def _validate_whole(value: Any, handler: _Handler) -> Any:
    return _validate_alone(value, handler) if _count.get() is None else handler(value)


def _validate_alone(value: Any, handler: _Handler, found: float = 0) -> Any:
    """Validate *value* with a count of its own, of which so many are *found* already."""
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
    # A validator of the application has taken faults back: all there is has to be looked at.
    return _validate_alone(value, handler, float("-inf"))


def _too_many_errors() -> PydanticCustomError:
    return PydanticCustomError("too_many_faults", "Input has too many faults to name them.")


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
        count.found = before + error.error_count()  # which include those that its items counted
        raise
