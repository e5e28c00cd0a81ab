"""The body of a request, which is parsed and validated when its dependencies have passed.

FastAPI parses a body before it calls the first dependency. Here the fields of the body do that,
which FastAPI validates after all dependencies.
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
"""Where in a request's scope stands the problem with its body, if there is one."""

_Location: TypeAlias = tuple[int | str, ...]

_Result: TypeAlias = tuple[Any, list[dict[str, Any]]]
"""A value that is valid, and errors, as FastAPI has them."""


class RequestBody:
    """The body of a request, which is parsed once, when somebody asks for it."""

    def __init__(self, scope: Scope) -> None:
        """Belong to the request of *scope*."""
        self.raw = b""
        self.results: dict[BodyField, _Result] = {}
        """What its fields are, for the first who asks."""
        self._scope = scope
        self._document: object = PydanticUndefined

    def document(self) -> object:
        """Return the document, `PydanticUndefined` if there is none.

        A problem with it is noted in the scope.
        """
        if self._document is PydanticUndefined and self.raw and not self.is_refused:
            try:
                self._document = parse_json(self.raw)
            except Problem as problem:
                self.refuse(problem)
        return self._document

    @property
    def is_refused(self) -> bool:
        """Whether a problem with the body is noted in the scope."""
        return UNREADABLE_SCOPE_KEY in self._scope

    @property
    def problem(self) -> Problem | None:
        """The problem with the body, to be raised; None if there is none."""
        problem: Problem | None = self._scope.get(UNREADABLE_SCOPE_KEY)
        return problem and replace(problem)

    def refuse(self, problem: Problem) -> None:
        """Note in the scope what is wrong with the body."""
        # Its traceback leads to this request, and its context to the whole body: together
        # with the scope they would keep each other in memory.
        problem.__traceback__ = problem.__context__ = None
        self._scope[UNREADABLE_SCOPE_KEY] = problem

    def known(self) -> object:
        """Return the document if it was parsed, else None."""
        return None if self._document is PydanticUndefined else self._document

    async def prepare(self, field: "BodyField") -> _Result:
        """Return the value of *field*, the whole body, and its errors.

        A large body is validated in a thread, so that other requests are answered meanwhile.
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
"""How many values may be validated while other requests wait."""

_THREAD: Final = ThreadPoolExecutor(1, thread_name_prefix="brickwork-body")

received_body: Final = ContextVar[RequestBody]("brickwork.body")
"""The body of the request that is being answered."""


class BodyField:
    """What a field of a body is validated by."""

    def __init__(self, field: Any) -> None:
        """Take *field*, of FastAPI's, and its type."""
        info = field.field_info
        self.is_member = bool(info.embed)
        self._info = info
        self._names = (*parameter_aliases(field.name, info),)
        parts = info.asdict()
        own = Field(**parts["attributes"])
        kind: Any = Annotated[(parts["annotation"], *parts["metadata"], own, ErrorLimit())]  # noqa: F821
        with warnings.catch_warnings(action="ignore"):  # of what has no meaning to Pydantic
            self._adapter = TypeAdapter[Any](kind, config=field.config)

    def validate(self, _: object, __: Mapping[str, Any], *, loc: _Location) -> _Result:
        """Return the value of the field at *loc*; FastAPI knows of no value for it."""
        body = received_body.get()
        return body.results.pop(self, None) or self.result(body, loc)

    def result(self, body: RequestBody, loc: _Location = ("body",)) -> _Result:
        """Return the value of the field at *loc* in *body*."""
        document = value = body.document()
        if body.is_refused:
            return None, [_error("unreadable", loc, "The body cannot be read.")]
        if len(loc) > 1:  # it is one of several fields, which are members of an object
            members = document if is_object(document) else {}
            found = [members[each] for each in self._names if each in members]
            value = found[0] if found else PydanticUndefined
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
            return None, [{**each, "loc": (*loc, *each["loc"])} for each in errors]


def _error(kind: str, loc: _Location, text: str) -> dict[str, Any]:
    return {"type": kind, "loc": loc, "msg": text, "input": None}


def validate_after_dependencies(dependant: Dependant) -> Dependant:
    """Return *dependant* with its body fields parsed and validated by a `RequestBody`.

    FastAPI is to be given no body for it. It validates a default, which each field has.
    """
    return replace(
        dependant,
        body_params=[_deferred_field(each) for each in dependant.body_params],
        dependencies=[validate_after_dependencies(each) for each in dependant.dependencies],
    )


def whole_body_field(dependant: Dependant) -> BodyField | None:
    """Return the one field that a *dependant* which reads the body last takes of it.

    None if there are more, or if it is a member of the body.
    """
    fields = [vars(each)["reader"] for each in _body_params(dependant)]
    alone = len(fields) == 1 and dependant.body_params and not fields[0].is_member
    return fields[0] if alone else None


def _body_params(dependant: Dependant) -> Iterator[object]:
    yield from dependant.body_params
    for each in dependant.dependencies:
        yield from _body_params(each)


def with_prepared_body(dependant: Dependant, field: BodyField) -> Dependant:
    """Return *dependant*, which prepares *field* when all other dependencies have passed."""

    async def prepare() -> None:
        await received_body.get().prepare(field)

    last = Dependant(call=prepare, path=dependant.path)
    return replace(dependant, dependencies=[*dependant.dependencies, last])


def _deferred_field(field: Any) -> Any:
    own = copy(field)
    own.field_info = copy(field.field_info)
    own.field_info.default, own.field_info.default_factory = None, None
    own.field_info.validate_default = True
    own.reader = BodyField(field)
    own.validate = own.reader.validate
    return own
