"""Parsing and validation of request bodies.

FastAPI parses a body before it calls the first dependency. The pipeline parses it after all
dependencies, and validates it once.
"""

import asyncio
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from copy import copy, deepcopy
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, TypeAlias

from fastapi.dependencies.models import Dependant
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import PydanticUndefined

from brickwork.http.parameters import parameter_aliases
from brickwork.problems import Problem
from brickwork.schemas.strict_json import is_object, max_values, parse_json
from brickwork.schemas.strictness import ErrorLimit

_Location: TypeAlias = tuple[int | str, ...]

_Result: TypeAlias = tuple[Any, list[dict[str, Any]]]
"""A validated value, and FastAPI's list of errors."""


class RequestBody:
    """The body of a request. It is parsed once, on first use."""

    def __init__(self, raw: bytes = b"", problem: Problem | None = None) -> None:
        """Store the bytes of the body, or the *problem* that kept it from being read."""
        self.raw = raw
        self._problem: Problem | None = None
        self._document: object = PydanticUndefined
        if problem:
            self._reject(problem)

    def document(self) -> object:
        """Parse and return the document. `PydanticUndefined` if there is none, or a problem."""
        if self._document is PydanticUndefined and self.raw and not self._problem:
            try:
                self._document = parse_json(self.raw)
            except Problem as problem:
                self._reject(problem)
        return self._document

    @property
    def problem(self) -> Problem | None:
        """Return a copy of the problem with the body. None if there is none."""
        return self._problem and replace(self._problem)

    def _reject(self, problem: Problem) -> None:
        # Its traceback refers to this request, and its context to the whole body. With the
        # request, they would form a reference cycle.
        problem.__traceback__ = problem.__context__ = None
        self._problem = problem

    def parsed_document(self) -> object:
        """Return the parsed document. None before parsing."""
        return None if self._document is PydanticUndefined else self._document

    async def validate(self, field: "BodyField", loc: _Location) -> _Result:
        """Return the value of *field* at *loc*, and its errors.

        A large body is validated in a thread, so that it does not block other requests.
        """
        work = partial(field.result, self, loc)
        is_large = max_values(self.raw) > _LARGE_VALUE_COUNT
        return await _run_in_thread(work) if is_large else work()


async def _run_in_thread(work: Callable[[], _Result]) -> _Result:
    context, loop = copy_context(), asyncio.get_running_loop()
    return await loop.run_in_executor(_THREAD, lambda: context.run(work))


_LARGE_VALUE_COUNT: Final = 5_000
"""The number of values that may be validated on the event loop."""

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="brickwork-body")

received_body: Final = ContextVar[RequestBody]("brickwork.body")
"""The body of the current request, for dependencies that take a part of it."""


class BodyField:
    """A validator of one body field."""

    def __init__(self, field: Any) -> None:
        """Build the validator of *field*, a field of FastAPI."""
        info = field.field_info
        self.name: str = field.name
        self.aliases: Sequence[str] = (*parameter_aliases(field.name, info),)
        self._info = info
        parts = info.asdict()
        own = Field(**parts["attributes"])
        kind: Any = Annotated[(parts["annotation"], *parts["metadata"], own, ErrorLimit())]  # noqa: F821
        with warnings.catch_warnings(action="ignore"):  # about metadata that Pydantic ignores
            self._adapter = TypeAdapter[Any](kind, config=field.config)

    def validate(self, _: object, __: Mapping[str, Any], *, loc: _Location) -> _Result:
        """Return the value of the field at *loc*. FastAPI passes no value for it."""
        return self.result(received_body.get(), loc)

    def result(self, body: RequestBody, loc: _Location = ("body",)) -> _Result:
        """Return the value of the field at *loc* in *body*."""
        document = value = body.document()
        if body.problem:
            return None, [_error("unreadable", loc, "The body cannot be read.")]
        if len(loc) > 1:  # it is one of several fields, which are members of an object
            members = document if is_object(document) else {}
            values = [members[name] for name in self.aliases if name in members]
            value = values[0] if values else PydanticUndefined
        if value is PydanticUndefined:
            if self._info.is_required() or not (is_object(document) or value is document):
                return None, [_error("missing", loc, "Field required")]
            value = deepcopy(self._info.get_default(call_default_factory=True))
            if not self._info.validate_default:
                return value, []
        try:
            return self._adapter.validate_python(value), []
        except ValidationError as error:
            errors = error.errors(include_url=False)
            return None, [{**detail, "loc": (*loc, *detail["loc"])} for detail in errors]


def _error(kind: str, loc: _Location, text: str) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": text, "input": None}


class BodyFields:
    """The body fields of an endpoint, and of its dependencies."""

    def __init__(self, dependant: Dependant, *, embedded: bool) -> None:
        """Build the validators of *dependant*; *embedded* fields are members of an object."""
        self._fields = [BodyField(field) for field in dependant.body_params]
        self._locations: list[_Location] = [
            ("body", field.aliases[0]) if embedded else ("body",) for field in self._fields
        ]
        self.dependencies = [*map(_defer_body, dependant.dependencies)]
        """The dependencies, with body fields that read `received_body`."""

    async def validate_all(self, body: RequestBody) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the values of the endpoint's fields in *body*, and the errors."""
        values: dict[str, Any] = {}
        errors: list[dict[str, Any]] = []
        for field, location in zip(self._fields, self._locations, strict=True):
            value, found = await body.validate(field, location)
            errors += found
            values[field.name] = value
        return values, errors


def _defer_body(dependant: Dependant) -> Dependant:
    """Return *dependant* with body fields that FastAPI validates without a body."""
    return replace(
        dependant,
        body_params=[_deferred_field(field) for field in dependant.body_params],
        dependencies=[*map(_defer_body, dependant.dependencies)],
    )


def _deferred_field(field: Any) -> Any:
    deferred = copy(field)
    deferred.field_info = copy(field.field_info)
    deferred.field_info.default, deferred.field_info.default_factory = None, None
    deferred.field_info.validate_default = True
    deferred.validate = BodyField(field).validate
    return deferred


def takes_body(dependants: Sequence[Dependant]) -> bool:
    """Return whether one of *dependants*, or of their dependencies, takes a part of the body."""
    return any(item.body_params or takes_body(item.dependencies) for item in dependants)
