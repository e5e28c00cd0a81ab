"""Types of fields whose JSON differs from the value of a column."""

from base64 import b64encode, urlsafe_b64decode
from binascii import Error
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from types import UnionType
from typing import Annotated, Any, Final, TypeAlias, Union, get_args, get_origin
from uuid import UUID

from pydantic import (
    AfterValidator,
    AnyUrl,
    BeforeValidator,
    GetCoreSchemaHandler,
    IPvAnyAddress,
    IPvAnyInterface,
    IPvAnyNetwork,
    PlainSerializer,
    SecretStr,
)
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, MultiHostUrl, PydanticCustomError, Url, core_schema

NAIVE_UTC_MARK: Final = "brickwork_naive_utc"
"""The key in the metadata of a core schema that marks `NaiveUTC`."""


@dataclass(frozen=True)
class _NaiveUTC:
    """Metadata of a datetime that a column holds without its zone."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        """Remove the zone from the value, and add it in JSON."""
        node: Any = {**handler(source), "metadata": {NAIVE_UTC_MARK: True}}
        to_json = core_schema.plain_serializer_function_ser_schema(
            _to_aware, return_schema=core_schema.datetime_schema(), when_used="json-unless-none"
        )
        return core_schema.no_info_after_validator_function(_to_naive, node, serialization=to_json)


def _to_naive(value: datetime) -> datetime:
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _to_aware(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


NaiveUTC: TypeAlias = Annotated[datetime, _NaiveUTC()]
"""The type of a field over a plain `DateTime` column, which holds UTC without a zone.

In JSON it is an instant like other datetimes: clients send a zone, and receive `Z`.
"""


def full_annotation(field: FieldInfo) -> Any:
    """Return the annotation of *field* with its metadata."""
    return Annotated[(field.annotation, None, *field.metadata)]


def is_naive_utc(annotation: Any) -> bool:
    """Return whether *annotation* is `NaiveUTC`, or a union or a list with it."""
    parts = get_args(annotation)
    if get_origin(annotation) is Annotated and any(isinstance(part, _NaiveUTC) for part in parts):
        return True
    return any(is_naive_utc(part) for part in parts)


def to_base64(value: bytes) -> str:
    """Return *value* in base64 (RFC 4648, section 4)."""
    return b64encode(value).decode()


def from_base64(value: object) -> object:
    """Return the bytes of *value*, base64 of either alphabet (RFC 4648, sections 4 and 5).

    Raises `PydanticCustomError` for another text, and for another JSON value.
    """
    if isinstance(value, bytes):
        return value
    try:
        if isinstance(value, str):
            text = value.replace("+", "-").replace("/", "_")
            content = urlsafe_b64decode(text.encode("ascii"))
            if to_base64(content).replace("+", "-").replace("/", "_") == text:
                return content
    except (Error, ValueError):
        pass
    raise PydanticCustomError("bytes_invalid_encoding", "Input should be base64, with its padding")


# --- Values of text columns -----------------------------------------------------------------------

_TEXT_TYPES: Final = (
    *(AnyUrl, Url, MultiHostUrl, SecretStr, IPvAnyAddress, IPvAnyInterface, IPvAnyNetwork),
    *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
)
"""The types whose values a text column holds as their text."""


def has_text_form(annotation: Any) -> bool:
    """Return whether *annotation*, or a member of its union, has values with a text form."""
    if get_origin(annotation) in {Annotated, Union, UnionType}:
        return any(map(has_text_form, get_args(annotation)))
    if not isinstance(annotation, type) or issubclass(annotation, str):
        return False
    if issubclass(annotation, Enum):
        return all(isinstance(member.value, str) for member in annotation)
    return issubclass(annotation, _TEXT_TYPES) or any(
        base.__module__ == "pydantic.networks" for base in annotation.__mro__
    )


def to_text(value: Any) -> str | None:
    """Return the text that a column holds for *value*. None for None."""
    match value:
        case None | str():
            return value
        case SecretStr():
            return value.get_secret_value()
        case Enum():
            return str(value.value)
        case _:
            return str(value)


def as_text(annotation: Any, max_length: int | None) -> Any:
    """Return *annotation* with values that are dumped as text of at most *max_length*."""

    def check_length(value: object) -> object:
        if max_length is not None and len(to_text(value) or "") > max_length:
            text = "String should have at most {max_length} characters"
            raise PydanticCustomError("string_too_long", text, {"max_length": max_length})
        return value

    return Annotated[
        annotation,
        BeforeValidator(_reject_other_json),
        AfterValidator(check_length),
        PlainSerializer(to_text, return_type=str | None),
    ]


def as_uuid_text(annotation: Any) -> Any:
    """Return *annotation*, `str` or `UUID`, with values that are dumped as the text of a UUID."""
    return Annotated[
        annotation,
        AfterValidator(_check_uuid_text),
        PlainSerializer(to_text, return_type=str | None),
    ]


def _check_uuid_text(value: object) -> object:
    """Return the one text of the UUID in a text, and other values unchanged."""
    if not isinstance(value, str):
        return value
    with suppress(ValueError):
        if (text := str(UUID(value))) == value.lower():
            return text
    text = "Input should be a UUID, with its dashes"
    raise PydanticCustomError("uuid_parsing", text)


def _reject_other_json(value: object) -> object:
    """Reject numbers, from which an address could be built."""
    if isinstance(value, int | float | list | dict):
        raise PydanticCustomError("string_type", "Input should be a valid string")
    return value
