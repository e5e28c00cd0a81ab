"""Requests of a stranger to endpoints of an application."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from brickwork.testing.bodies import build, input_name
from brickwork.testing.leak_attacks import Attack
from brickwork.testing.leak_collections import Collection, Endpoint, NotAttacked, Row
from brickwork.testing.leak_rows import Party

_PATH: Final = "the path"
_LAST: Final = "the last key of the path"


@dataclass(frozen=True)
class EndpointAttack:
    """An attack on an endpoint of the application."""

    attack: Attack
    control: Attack
    """The same request with rows of the stranger alone."""
    row: Row | None
    """The row of the owner in the path. None if it is elsewhere."""


class EndpointAttacks:
    """The attacks on one endpoint of the application.

    Each has a key of the owner in one place: the path, a parameter of the query, or a field of the
    body. All other places have keys of the stranger.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        owner: Party,
        stranger: Party,
        collections: Sequence[Collection],
        given: Mapping[str, object] | None,
    ) -> None:
        """Take the parties, and what is *given* for the body."""
        self._endpoint = endpoint
        self._owner, self._stranger = owner, stranger
        self._collections = collections
        self._given = given

    def __iter__(self) -> Iterator[EndpointAttack]:
        """Yield the attacks. Raises `NotAttacked`."""
        places = [*self._places()]
        control = self._request("")
        if not any(place in {_PATH, _LAST} for place in places):
            yield EndpointAttack(control, control, None)
        for place in places:
            row = self._owner.fill_rows(self._endpoint.path, self._collections)[1]
            in_path = place in {_PATH, _LAST}
            yield EndpointAttack(self._request(place), control, row[-1] if in_path else None)

    def _places(self) -> Iterator[str]:
        """Yield the places that may have a key of the owner."""
        path, collections = self._endpoint.path, self._collections
        rows = self._owner.fill_rows(path, collections)[1]
        if any(self._owner.has(row) for row in rows):
            yield _PATH
        if len(rows) > 1 and self._owner.has(rows[-1]):
            yield _LAST
        names = (*self._query_names(), *self._body_names())
        yield from (name for name in names if self._value(name, self._owner) is not None)

    def _request(self, place: str) -> Attack:
        """Return the request with a key of the owner in *place*, if there is one."""
        query: dict[str, object] = {}
        for name, is_required in self._query_names().items():
            if is_required or name == place:
                query[name] = self._value(name, self._owner if name == place else self._stranger)
        known = {name: value for name, value in query.items() if value is not None}
        url = self._url(place) + (f"?{urlencode(known, doseq=True)}" if known else "")
        return Attack(
            operation="",
            method=self._endpoint.method,
            url=url,
            json=self._body(place),
            refused=bool(place),
            why="" if place in {"", _PATH} else f"{place} refers to a row of the owner",
        )

    def _url(self, place: str) -> str:
        path, collections = self._endpoint.path, self._collections
        theirs, rows = self._owner.fill_rows(path, collections)
        if place == _PATH:
            return theirs
        try:
            own, _ = self._stranger.fill_rows(path, collections)
        except NotAttacked:
            return theirs
        if place == _LAST:
            before = path[: path.rindex("{")]
            after = path[path.rindex("}") + 1 :]
            return self._stranger.fill(before, collections) + rows[-1].key + after
        return own

    def _query_names(self) -> Mapping[str, bool]:
        """Return the parameters of the query that refer to rows, and whether each is required."""
        fields = _query_fields(self._endpoint.dependant)
        return {name: required for name, required in fields if self._refers(name)}

    def _body_names(self) -> Sequence[str]:
        """Return the fields of the body that refer to rows."""
        schema = self._schema()
        if schema is None:
            return []
        names = (input_name(name, field) for name, field in schema.model_fields.items())
        return [name for name in names if name not in (self._given or {}) and self._refers(name)]

    def _refers(self, name: str) -> bool:
        return self._value(name, self._owner) is not None

    def _value(self, name: str, party: Party) -> object:
        """Return the key of *party* to which *name* refers. None without one.

        The rows that everybody sees belong to no party.
        """
        many = name.rpartition("_")[2] == "ids"
        row = party.row_named(name[:-1] if many else name, self._collections)
        if row is None or not party.has(row):
            return None
        key = row.collection.key_of(row.content)
        value = key[0] if key and len(key) == 1 else row.key
        return [value] if many else value

    def _schema(self) -> type[BaseModel] | None:
        fields = self._endpoint.dependant.body_params if self._endpoint.dependant else []
        schema: object = fields[0].field_info.annotation if len(fields) == 1 else None
        return schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None

    def _body(self, place: str) -> object:
        """Return a body with a key of the owner in *place*. Raises `NotAttacked` without one."""
        given, name = self._given, str(self._endpoint)
        if not (self._endpoint.dependant and self._endpoint.dependant.body_params):
            return given
        if (schema := self._schema()) is not None:
            values: dict[str, Any] = {}
            for field in self._body_names():
                party = self._owner if field == place else self._stranger
                if (value := self._value(field, party)) is not None:
                    values[field] = value
            try:
                return build(schema, **{**values, **(given or {})})
            except TypeError as error:
                raise NotAttacked(f"pass bodies={{{name!r}: …}}: {error}") from error
        if given is None:
            raise NotAttacked(f"its body is no schema: pass bodies={{{name!r}: …}}")
        return dict(given)


def _query_fields(dependant: Dependant | None) -> Iterator[tuple[str, bool]]:
    """Yield the parameters of the query, those of dependencies included, and which are required."""
    if dependant is None:
        return
    for field in dependant.query_params:
        yield field.alias, field.field_info.is_required()
    for dependency in dependant.dependencies:
        yield from _query_fields(dependency)
