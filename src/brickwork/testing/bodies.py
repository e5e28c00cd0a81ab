"""Valid bodies of requests, from their schemas."""

from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from typing import Any, Final, cast
from uuid import UUID

from faker import Faker
from polyfactory.exceptions import ParameterException
from polyfactory.factories import BaseFactory
from polyfactory.factories.pydantic_factory import ModelFactory
from polyfactory.field_meta import FieldMeta
from polyfactory.utils.predicates import is_optional
from pydantic import AliasChoices, BaseModel, EmailStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python
from typing_extensions import override

_ATTEMPTS: Final = 50
"""How many random bodies are tried until the schema accepts one."""

_random: Final = Random(0)  # noqa: S311 — the same values in each run

_faker: Final[Any] = Faker()
_faker.random = _random

_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"

_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)


def seed_bodies(seed: int) -> None:
    """Let `build` start again with *seed*."""
    _random.seed(seed)


def build(schema: type[BaseModel], /, **fields: object) -> dict[str, Any]:
    """Return a valid body of *schema*, with *fields* and random values of the other ones.

    It has the required fields only: fields with a default are left out, and required fields that
    may be null are null. The values are JSON. They are the same each time that a test runs, and
    different each time that a test calls `build`.

    ```python
    from brickwork.testing import build

    article = (await client.post("/articles", json=build(ArticleCreate))).json()
    body = build(CommentCreate, article_id=article["id"])
    response = await client.post("/comments", json=body)
    ```

    Args:
        schema: The schema, usually the one of a POST.
        **fields: Values by field or by alias, such as the key of a row that has to exist. They are
            not checked alone, so a test may pass invalid ones.

    Raises:
        TypeError: No random value is valid, because the schema has a validator of its own, for
            example. The text names the fields to pass.

    """
    names = {name: input_name(name, field) for name, field in schema.model_fields.items()}
    given = {names.get(name, name): _to_json(value) for name, value in fields.items()}
    error: Exception | None = None
    for _ in range(_ATTEMPTS):
        try:
            body = {**_required_values(schema, given), **given}
        except (ParameterException, ValidationError) as failure:
            error = failure
            continue
        try:
            schema.model_validate(body)
        except ValidationError as failure:
            wrong = {str(detail["loc"][0]) for detail in failure.errors() if detail["loc"]}
            if wrong and wrong <= given.keys():
                return body  # a test of an invalid value
            error = failure
        else:
            return body
    raise TypeError(_explain(schema, error)) from error


def _explain(schema: type[BaseModel], error: Exception | None) -> str:
    name = schema.__name__
    if isinstance(error, ValidationError):
        fields = dict.fromkeys(
            str(detail["loc"][0]) if detail["loc"] else "…" for detail in error.errors()
        )
        example = ", ".join(f"{field}=…" for field in fields)
        return f"No random values are valid for {name}: pass build({name}, {example}). {error}"
    return f"{name} has a field without random values: pass it to build({name}, …). {error}"


def _required_values(schema: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return random JSON for the required fields of *schema* that are not *given*."""
    names = {name: input_name(name, field) for name, field in schema.model_fields.items()}
    skipped = {name: None for name, alias in names.items() if alias in given}
    values = _factory(schema).process_kwargs(**skipped)
    return {
        names[name]: _to_json(value)
        for name, value in values.items()
        if name in names and name not in skipped
    }


def input_name(name: str, field: FieldInfo) -> str:
    """Return the name of *field* in a body."""
    match field.validation_alias or field.alias:
        case None:
            return name
        case AliasChoices(choices=choices):
            return next((choice for choice in choices if isinstance(choice, str)), name)
        case alias:
            return str(alias)


def _to_json(value: Any) -> Any:
    """Return *value* as JSON. A nested schema has the fields that were set."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        return {
            input_name(name, fields[name]): _to_json(getattr(value, name))
            for name in fields
            if name in value.model_fields_set
        }
    if isinstance(value, Mapping):
        return {key: _to_json(item) for key, item in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, AbstractSet):  # in an order that each run repeats
        return sorted(map(_to_json, cast("Iterable[Any]", value)), key=repr)
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_to_json(item) for item in cast("Iterable[Any]", value)]
    return to_jsonable_python(value, bytes_mode="base64")


class _NoFields(BaseModel): ...


class _SchemaFactory(ModelFactory[BaseModel]):
    """A factory of random values that usual columns hold."""

    __is_base_factory__ = False
    __check_model__ = False
    __by_name__ = True
    __random__ = _random
    __faker__ = _faker
    __model__ = _NoFields

    @classmethod
    @override
    def should_set_field_value(cls, field_meta: FieldMeta, **kwargs: Any) -> bool:
        field = cls.__model__.model_fields.get(field_meta.name)
        is_required = field is not None and field.is_required()
        return is_required and super().should_set_field_value(field_meta, **kwargs)

    @classmethod
    @override
    def should_set_none_value(cls, field_meta: FieldMeta) -> bool:
        return is_optional(field_meta.annotation)

    @classmethod
    @override
    def get_provider_map(cls) -> dict[Any, Any]:
        return super().get_provider_map() | {
            str: _text,
            int: lambda: _random.randint(1, 1_000),
            float: lambda: _random.randint(1, 100_000) / 100,
            Decimal: lambda: Decimal(_random.randint(1, 10_000)) / 100,
            bytes: lambda: _random.randbytes(8),
            datetime: _moment,
            date: lambda: _moment().date(),
            time: lambda: _moment().time(),
            timedelta: lambda: timedelta(minutes=_random.randint(1, 600)),
            UUID: lambda: UUID(int=_random.getrandbits(128), version=4),
            EmailStr: lambda: f"{_text()}@example.org",
        }


_SchemaFactory.__base_factory_overrides__ = {BaseModel: _SchemaFactory}  # of nested schemas


@cache
def _factory(schema: type[BaseModel]) -> type[BaseFactory[BaseModel]]:
    return _SchemaFactory.create_factory(schema)


def _text() -> str:
    return "".join(_random.choices(_LETTERS, k=8))


def _moment() -> datetime:
    return _EPOCH + timedelta(seconds=_random.randrange(5 * 365 * 24 * 3600))
