"""Representations of rows: what a response contains."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fastapi import Response
from fastapi.datastructures import DefaultPlaceholder
from fastapi.exceptions import ResponseValidationError
from fastapi.routing import APIRoute, RouteContext
from fastapi.utils import create_model_field

from brickwork.http.conditional import format_etag
from brickwork.http.negotiation import JSON


@dataclass(slots=True)
class Representation:
    """The JSON of a row or of several rows, as the read schema serialises it."""

    body: bytes
    version: int | None = None
    """The version of a single row. None if it has no versions."""
    key: object = None
    """The primary key of a single row."""

    @property
    def etag(self) -> str | None:
        """Return the entity tag. None for a row without versions."""
        return None if self.version is None else format_etag(self.version, self.body)


def enclose(items: Representation, members: Mapping[str, object]) -> Representation:
    """Return the envelope of *items*, an object that has *members* too."""
    others = json.dumps(members, separators=(",", ":")).encode()
    return Representation(b'{"items":' + items.body + b"," + others[1:])


class Serializer:
    """Serialises rows as the response model of a route, and builds responses."""

    def __init__(self, route: APIRoute | RouteContext, content: Any = None) -> None:
        """Take the response class of *route*, and its response model.

        *content* is the type that executors serialise, if the response model is another.
        """
        field: Any = route.response_field
        if content is not None:
            field = create_model_field(field.name, content, mode="serialization")
        self._field = field
        kind = route.response_class
        self.response_class = None if isinstance(kind, DefaultPlaceholder) else kind
        """The response class of the routers. None for FastAPI's default, which sends JSON."""

    def try_dump(self, content: object) -> bytes | None:
        """Return the JSON of *content*. None if it does not fit the response model."""
        value, errors = self._field.validate(content, {}, loc=("response",))
        return None if errors else self._field.serialize_json(value, by_alias=True)

    def dump_stored(self, content: object) -> bytes:
        """Return the JSON of *content*, a row that is stored by now. Raises `TypeError`."""
        if (body := self.try_dump(content)) is None:
            raise TypeError(
                f"{self._field.field_info.annotation.__name__} rejects a value that the database "
                "generated. The row is stored: accept the value in the schema."
            )
        return body

    def represent(
        self, content: object, *, version: int | None = None, key: object = None
    ) -> Representation:
        """Validate and serialise *content*. Raises `ResponseValidationError`."""
        value, errors = self._field.validate(content, {}, loc=("response",))
        if errors:
            raise ResponseValidationError(errors=errors, body=content)
        body = self._field.serialize_json(value, by_alias=True)
        return Representation(body, version, key)

    def respond(
        self, shown: Representation, status: int, headers: Mapping[str, str | None]
    ) -> Response:
        """Return the response with *shown* as its body, and *headers* that are not None."""
        response: Response
        if self.response_class is None:
            response = _JSONResponse(shown.body, status)
        else:
            response = self.response_class(json.loads(shown.body), status_code=status)
        response.raw_headers += [
            (name.lower().encode(), text.encode("latin-1"))
            for name, text in headers.items()
            if text is not None
        ]
        return response


class _JSONResponse(Response):
    """A response with JSON that is already serialised."""

    media_type = JSON

    def __init__(self, body: bytes, status: int) -> None:
        """Set the headers of *body*, as Starlette does."""
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-length", str(len(body)).encode()), _JSON_HEADER]


_JSON_HEADER: Final = (b"content-type", JSON.encode())
