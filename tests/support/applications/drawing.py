"""The generation of an application and its requests."""

from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from fastapi import FastAPI

from tests.support.applications import listeners
from tests.support.applications.dependencies import start_dependencies
from tests.support.applications.draft import PARTS, Change, Draft, Kind, Part
from tests.support.applications.models import map_models, start_model
from tests.support.applications.requests import PlannedRequest, requests
from tests.support.applications.resources import start_resource
from tests.support.applications.routers import application
from tests.support.applications.schemas import finish_schemas, start_schemas
from tests.support.applications.tables import KEYS

_MODULES: Final = (listeners,)
"""The modules that are imported only for their parts."""

_KINDS: Final[Sequence[Kind]] = (
    *("model", "model", "read", "read", "read", "write", "list", "scope", "scope", "method"),
    *("method", "dependency", "dependency", "dependency", "listener", "listener", "listener"),
    "router",
)
"""The kinds of parts, repeated by their weight."""


@dataclass(frozen=True)
class Application:
    """An application, and its requests in their order."""

    number: int
    backend: str
    app: FastAPI
    steps: Sequence[Sequence[PlannedRequest]]
    changes: Sequence[Change]
    root_path: str
    path: str
    """The path of its list."""
    row: str
    """The path of its first row."""
    database: Mapping[str, Any]
    """The options of its databases."""
    description: Sequence[str]
    pieces: Sequence[str]
    """Its parts and requests, which can be omitted."""


def generate(number: int, backend: str, without: AbstractSet[str] = frozenset()) -> Application:
    """Return the application with this *number*, omitting the pieces in *without*.

    Raises `TypeError` if Brickwork rejects a part.
    """
    draft = _draft(number, backend)
    parts = [*_parts(draft, backend)]
    names = [f"part {index}" for index in range(len(parts))]
    used = {name: part for name, part in zip(names, parts, strict=True) if name not in without}
    notes = dict(_built(draft, number, used))
    draft.random = _random(number, "routers")
    app = application(draft)
    steps = [f"request {index}" for index in range(draft.length)]
    asked = {name: _asked(draft, number, name) for name in steps if name not in without}
    return Application(
        number,
        backend,
        app,
        [*asked.values()],
        draft.changes,
        draft.root_path,
        draft.paths[0],
        f"{draft.paths[0]}/{KEYS[draft.key][0]}",
        draft.options.get("database", {}),
        [*_described(draft), *notes.values()],
        [*used, *asked],
    )


def _random(number: int, name: str) -> Random:
    return Random(f"{number} {name}")  # noqa: S311 — no secret


def _draft(number: int, backend: str) -> Draft:
    random = _random(number, "draft")
    draft = Draft(backend, random, random.choice([*KEYS]), random.randrange(10, 20))
    start_model(draft)
    return draft


def _parts(draft: Draft, backend: str) -> Iterator[Part]:
    """Yield the parts to add: often a single one, since parts may hide each other."""
    known = [part for part in PARTS if part.backend in {None, backend}]
    for _ in range(draft.pick(0, 0, 1, 1, 1, 1, 2, 2, 3, 5)):
        kind = draft.pick(*_KINDS)
        yield draft.pick(*(part for part in known if part.kind == kind))


def _built(draft: Draft, number: int, parts: Mapping[str, Part]) -> Iterator[tuple[str, str]]:
    """Add *parts*, those of the model first, and yield their names and descriptions."""
    first = {name: part for name, part in parts.items() if part.kind == "model"}
    for name, part in first.items():
        yield name, _added(draft, number, name, part)
    draft.random = _random(number, "schemas")
    map_models(draft)
    start_schemas(draft)
    start_resource(draft)
    start_dependencies(draft)
    for name, part in parts.items():
        if name not in first:
            yield name, _added(draft, number, name, part)
    finish_schemas(draft)


def _added(draft: Draft, number: int, name: str, own: Part) -> str:
    draft.random = _random(number, name)
    detail = own.apply(draft)
    return f"{name}: {own.name}{f': {detail}' if detail else ''}"


def _asked(draft: Draft, number: int, name: str) -> Sequence[PlannedRequest]:
    draft.random = _random(number, name)
    return requests(draft)


def _described(draft: Draft) -> Iterator[str]:
    mixins = ", ".join(mixin.__name__ for mixin in draft.mixins)
    group = ", with its group" if "group" in draft.attributes else ""
    yield f"rows with a key of {draft.key}, {mixins or 'plain'}{group}"
    for name, schema in (("read", draft.read), ("create", draft.create), ("query", draft.query)):
        own = schema.model_fields if schema else ()
        yield f"{name}: {', '.join(own)}"
    narrows = draft.resource.query.__qualname__
    places = {place: len(dependencies) for place, dependencies in draft.dependencies.items()}
    fields = [*draft.resource.__dataclass_fields__]
    yield f"resource with {', '.join(fields)}; query is {narrows}; dependencies: {places}"
    yield f"under {', '.join(draft.paths)} at root {draft.root_path or '/'}"
