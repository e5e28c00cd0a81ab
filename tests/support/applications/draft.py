"""The draft of an application, and its parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from types import new_class
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from fastapi import FastAPI

from brickwork import Database

Kind: TypeAlias = Literal[
    "model", "read", "write", "list", "scope", "method", "dependency", "listener", "router"
]
"""The place in the application that a part changes."""


@dataclass
class ColumnDraft:
    """A column of the model."""

    type: Any
    args: Sequence[Any] = ()
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Run:
    """An application that runs over one database; there is a second one."""

    app: FastAPI
    database: Database
    other: Database


@dataclass(frozen=True)
class Change:
    """A change of a running application that is undone later."""

    name: str
    make: Callable[[Run], Callable[[], object]]
    """Makes the change, and returns a function that undoes it."""
    start: int = 0
    """The number of the request after the change."""
    end: int | None = None
    """The number of the request after the undoing. None: it is undone at the end."""


@dataclass
class Draft:
    """An unfinished application, which parts change."""

    backend: str
    random: Random
    """The random numbers of the part that is being added."""
    key: str
    length: int
    """The number of requests."""
    mixins: list[type] = field(default_factory=list[type])
    base: Any = None
    columns: dict[str, ColumnDraft] = field(default_factory=dict[str, ColumnDraft])
    attributes: dict[str, "Attribute"] = field(default_factory=dict[str, "Attribute"])
    """The attributes of the model without a column."""
    model_options: dict[str, Any] = field(default_factory=dict[str, Any])
    identities: list[str] = field(default_factory=list[str])
    """The tenants whose rows have their own class."""
    group: Any = None
    model: Any = None
    resource: Any = None
    brief: Any = None
    read: Any = None
    create: Any = None
    update: Any = None
    query: Any = None
    dependencies: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """The dependencies of the application and of the router, by the place."""
    installs: list[Callable[[FastAPI], object]] = field(
        default_factory=list[Callable[[FastAPI], object]]
    )
    """Functions that change the application when it has all its routes."""
    own_routes: list[Callable[[Any], object]] = field(default_factory=list[Callable[[Any], object]])
    """Functions that add routes to the router of the resource."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The options of the application, of `include_router` and of `Database`, by the place."""
    changes: list[Change] = field(default_factory=list[Change])
    paths: list[str] = field(default_factory=list[str])
    """The paths of the resource in requests."""
    root_path: str = ""
    headers: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """The headers of some requests, with their possible values."""
    parameters: list[str] = field(default_factory=list[str])
    """The query parameters of some requests."""

    def chance(self, share: float) -> bool:
        """Return True with the probability *share*."""
        return self.random.random() < share

    def pick(self, *choices: Any) -> Any:
        """Return one of *choices*."""
        return self.random.choice(choices)

    def time(self) -> tuple[int, int | None]:
        """Return the numbers of the requests between which a change lasts, often all of them."""
        start = 0 if self.chance(0.6) else self.random.randrange(1, self.length)
        end = self.random.randrange(start + 1, self.length + 1) if self.chance(0.3) else None
        return start, end


Attribute: TypeAlias = Callable[[Draft, Mapping[str, Any]], Any]
"""A function that returns an attribute of a model with these columns."""

Apply: TypeAlias = Callable[[Draft], str | None]


class Part(NamedTuple):
    """A part of an application; `apply` adds it, and may return its choice."""

    name: str
    kind: Kind
    apply: Apply
    backend: str | None


PARTS: Final[list[Part]] = []


def part(kind: Kind, *, backend: str | None = None, weight: int = 1) -> Callable[[Apply], Apply]:
    """Register a part for one *backend* or all, with a *weight* for the random choice."""

    def register(apply: Apply) -> Apply:
        name = f"{kind} {apply.__name__.strip('_').replace('_', ' ')}"
        PARTS.extend([Part(name, kind, apply, backend)] * weight)
        return apply

    return register


def of(kind: Any, parameter: Any, *more: Any) -> Any:
    """Return the generic *kind* with parameters that are known only at run time."""
    return kind[(parameter, *more) if more else parameter]


_numbers: Final = count()


def subclass(
    *bases: Any,
    fields: Mapping[str, Any] | None = None,
    called: str | None = None,
    options: Mapping[str, Any] | None = None,
    **members: Any,
) -> Any:
    """Return a class of *bases* with annotated *fields* and *members*."""

    # SQLAlchemy warns of two classes with one name in one module.
    module = f"{__name__}.{next(_numbers)}"

    def fill(body: dict[str, Any]) -> None:
        body.update(members, __module__=module, __annotations__={**(fields or {})})

    return new_class(called or bases[0].__name__, bases, dict(options or {}), fill)
