"""An application that is being made, and the parts it is made of."""

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
"""What of an application a part changes."""


@dataclass
class ColumnDraft:
    """A column of the model."""

    type: Any
    args: Sequence[Any] = ()
    options: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Run:
    """An application that runs over one database, beside which there is another."""

    app: FastAPI
    database: Database
    other: Database


@dataclass(frozen=True)
class Change:
    """What is done to an application that runs, and undone later."""

    name: str
    make: Callable[[Run], Callable[[], object]]
    """Makes the change, and returns what undoes it."""
    start: int = 0
    """The number of the request before which it is made."""
    end: int | None = None
    """The number of the request before which it is undone; None for the end."""


@dataclass
class Draft:
    """An application that is being made: what parts may change."""

    backend: str
    random: Random
    """The numbers of the part that is being added."""
    key: str
    length: int
    """The number of requests."""
    mixins: list[type] = field(default_factory=list[type])
    base: Any = None
    columns: dict[str, ColumnDraft] = field(default_factory=dict[str, ColumnDraft])
    attributes: dict[str, "Attribute"] = field(default_factory=dict[str, "Attribute"])
    """What the model has besides columns."""
    model_options: dict[str, Any] = field(default_factory=dict[str, Any])
    identities: list[str] = field(default_factory=list[str])
    """The tenants whose rows have a class of their own."""
    group: Any = None
    model: Any = None
    resource: Any = None
    brief: Any = None
    read: Any = None
    create: Any = None
    update: Any = None
    query: Any = None
    dependencies: dict[str, list[Any]] = field(default_factory=dict[str, list[Any]])
    """Those of the application and those of the router, by the place."""
    installs: list[Callable[[FastAPI], object]] = field(
        default_factory=list[Callable[[FastAPI], object]]
    )
    """What is done to the application when it has all its routes."""
    own_routes: list[Callable[[Any], object]] = field(default_factory=list[Callable[[Any], object]])
    """What adds routes to the router of the resource."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """The options of the application, of `include_router` and of `Database`, by the place."""
    changes: list[Change] = field(default_factory=list[Change])
    paths: list[str] = field(default_factory=list[str])
    """The paths under which requests look for the resource."""
    root_path: str = ""
    headers: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    """The headers that some requests have, with the values to choose from."""
    parameters: list[str] = field(default_factory=list[str])
    """The query parameters that some requests have."""

    def chance(self, share: float) -> bool:
        """Return True in that *share* of all cases."""
        return self.random.random() < share

    def pick(self, *choices: Any) -> Any:
        """Return one of *choices*."""
        return self.random.choice(choices)

    def time(self) -> tuple[int, int | None]:
        """Return when a change is made and undone: often at the start and never."""
        start = 0 if self.chance(0.6) else self.random.randrange(1, self.length)
        end = self.random.randrange(start + 1, self.length + 1) if self.chance(0.3) else None
        return start, end


Attribute: TypeAlias = Callable[[Draft, Mapping[str, Any]], Any]
"""Returns an attribute of a model that has these columns."""

Apply: TypeAlias = Callable[[Draft], str | None]


class Part(NamedTuple):
    """Something that an application may have; `apply` adds it, and may return what it chose."""

    name: str
    kind: Kind
    apply: Apply
    backend: str | None


PARTS: Final[list[Part]] = []


def part(kind: Kind, *, backend: str | None = None, weight: int = 1) -> Callable[[Apply], Apply]:
    """Register a part, on one *backend* or on all; it is drawn as often as it has *weight*."""

    def register(apply: Apply) -> Apply:
        name = f"{kind} {apply.__name__.strip('_').replace('_', ' ')}"
        PARTS.extend([Part(name, kind, apply, backend)] * weight)
        return apply

    return register


def of(kind: Any, parameter: Any, *more: Any) -> Any:
    """Return *kind* of parameters that are known when the application is made."""
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

    # SQLAlchemy wants no two classes of one name in one module.
    module = f"{__name__}.{next(_numbers)}"

    def fill(body: dict[str, Any]) -> None:
        body.update(members, __module__=module, __annotations__={**(fields or {})})

    return new_class(called or bases[0].__name__, bases, dict(options or {}), fill)
