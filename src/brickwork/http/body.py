"""Parsing and validation of request bodies.

FastAPI parses a body before it calls the first dependency. Here the fields of the body parse it,
and FastAPI validates them after all dependencies.
"""

import asyncio
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, TypeAlias

from fastapi.dependencies.models import Dependant
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined
from starlette.types import Scope

from brickwork.http.parameters import parameter_aliases
from brickwork.problems import Problem
from brickwork.schemas.strict_json import is_object, max_values, parse_json
from brickwork.schemas.strictness import ErrorLimit

UNREADABLE_SCOPE_KEY: Final = "brickwork.unreadable"
"""The scope key of the problem with the body, if there is one."""

_Location: TypeAlias = tuple[int | str, ...]

_Result: TypeAlias = tuple[Any, list[dict[str, Any]]]
"""A validated value, and FastAPI's list of errors."""


class RequestBody:
    """The body of a request. It is parsed once, on first use."""

    def __init__(self, scope: Scope) -> None:
        """Create the empty body of the request of *scope*."""
        self.raw = b""
        self.results: dict[BodyField, _Result] = {}
        """The results of validated fields. Each is used once."""
        self._scope = scope
        self._document: object = PydanticUndefined

    def document(self) -> object:
        """Parse and return the document, and record a problem with it in the scope.

        `PydanticUndefined` if there is none.
        """
        if self._document is PydanticUndefined and self.raw and not self.has_problem:
            try:
                self._document = parse_json(self.raw)
            except Problem as problem:
                self.reject(problem)
        return self._document

    @property
    def has_problem(self) -> bool:
        """Return whether the scope has a problem with the body."""
        return UNREADABLE_SCOPE_KEY in self._scope

    @property
    def problem(self) -> Problem | None:
        """Return a copy of the problem with the body. None if there is none."""
        problem: Problem | None = self._scope.get(UNREADABLE_SCOPE_KEY)
        return problem and replace(problem)

    def reject(self, problem: Problem) -> None:
        """Record *problem* in the scope as the problem with the body."""
        # Its traceback refers to this request, and its context to the whole body. With the
        # scope, they would form a reference cycle.
        problem.__traceback__ = problem.__context__ = None
        self._scope[UNREADABLE_SCOPE_KEY] = problem

    def parsed_document(self) -> object:
        """Return the parsed document. None before parsing."""
        return None if self._document is PydanticUndefined else self._document

    async def prepare(self, field: "BodyField") -> _Result:
        """Return the value of *field*, the whole body, and its errors.

        A large body is validated in a thread, so that it does not block other requests.
        """
        if field not in self.results:
            is_large = max_values(self.raw) > _LARGE_VALUE_COUNT
            work = partial(field.result, self)
            self.results[field] = await _run_in_thread(work) if is_large else work()
        return self.results[field]


async def _run_in_thread(work: Callable[[], _Result]) -> _Result:
    context, loop = copy_context(), asyncio.get_running_loop()
    return await loop.run_in_executor(_THREAD, lambda: context.run(work))


_LARGE_VALUE_COUNT: Final = 5_000
"""The number of values that may be validated on the event loop."""

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="brickwork-body")

received_body: Final = ContextVar[RequestBody]("brickwork.body")
"""The body of the current request."""


class BodyField:
    """A validator of one body field."""

    def __init__(self, field: Any) -> None:
        """Build the validator of *field*, a field of FastAPI."""
        info = field.field_info
        self.is_member = bool(info.embed)
        self._info = info
        self._names = (*parameter_aliases(field.name, info),)
        parts = info.asdict()
        own = Field(**parts["attributes"])
        kind: Any = Annotated[(parts["annotation"], *parts["metadata"], own, ErrorLimit())]  # noqa: F821
        with warnings.catch_warnings(action="ignore"):  # about metadata that Pydantic ignores
            self._adapter = TypeAdapter[Any](kind, config=field.config)

    def validate(self, _: object, __: Mapping[str, Any], *, loc: _Location) -> _Result:
        """Return the value of the field at *loc*. FastAPI passes no value for it."""
        body = received_body.get()
        return body.results.pop(self, None) or self.result(body, loc)

    def result(self, body: RequestBody, loc: _Location = ("body",)) -> _Result:
        """Return the value of the field at *loc* in *body*."""
        document = value = body.document()
        if body.has_problem:
            return None, [_error("unreadable", loc, "The body cannot be read.")]
        if len(loc) > 1:  # it is one of several fields, which are members of an object
            members = document if is_object(document) else {}
            values = [members[name] for name in self._names if name in members]
            value = values[0] if values else PydanticUndefined
        if value is PydanticUndefined:
            if self._info.is_required() or not (is_object(document) or value is document):
                return None, [_error("missing", loc, "Field required")]
            value = deepcopy(self._info.get_default(call_default_factory=True))
            if not self._info.validate_default:
                return value, []
        try:
            return self._adapter.validate_python(value, from_attributes=True), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
            return None, [{**detail, "loc": (*loc, *detail["loc"])} for detail in errors]


def _error(kind: str, loc: _Location, text: str) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": text, "input": None}


def validate_after_dependencies(dependant: Dependant) -> Dependant:
    """Return *dependant* with body fields that a `RequestBody` parses and validates.

    FastAPI must not get a body for it. It validates the default of each field instead.
    """
    return replace(
        dependant,
        body_params=[_deferred_field(field) for field in dependant.body_params],
        dependencies=[
            validate_after_dependencies(dependency) for dependency in dependant.dependencies
        ],
    )


def whole_body_field(dependant: Dependant) -> BodyField | None:
    """Return the only body field of *dependant*, if it is the whole body.

    None if there are several fields, or if the field is a member of the body.
    """
    fields = [vars(param)["reader"] for param in _body_params(dependant)]
    alone = len(fields) == 1 and dependant.body_params and not fields[0].is_member
    return fields[0] if alone else None


def _body_params(dependant: Dependant) -> Iterator[object]:
    yield from dependant.body_params
    for dependency in dependant.dependencies:
        yield from _body_params(dependency)


def with_prepared_body(dependant: Dependant, field: BodyField) -> Dependant:
    """Return *dependant* with a last dependency that prepares *field*."""

    async def prepare() -> None:
        await received_body.get().prepare(field)

    last = Dependant(call=prepare, path=dependant.path)
    return replace(dependant, dependencies=[*dependant.dependencies, last])


def _deferred_field(field: Any) -> Any:
    deferred = copy(field)
    deferred.field_info = copy(field.field_info)
    deferred.field_info.default, deferred.field_info.default_factory = None, None
    deferred.field_info.validate_default = True
    deferred.reader = BodyField(field)
    deferred.validate = deferred.reader.validate
    return deferred
