"""Invalid resource classes, each a TypeError with the remedy."""

from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from functools import partial, wraps
from types import new_class
from typing import Annotated, Any, ClassVar, Final, TypeVar

import pytest
from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    Header,
    Path,
    Query,
    Request,
    Response,
    Security,
)
from fastapi.security import SecurityScopes
from sqlalchemy import func
from sqlalchemy.ext.asyncio import AsyncSession
from typing_extensions import override

from brickwork import Resource, SessionDep, get_db
from brickwork.signatures import check_fields
from tests.support.declaring import Refused, resource_of
from tests.support.shop import City

T = TypeVar("T")

refused = Refused()


@pytest.mark.parametrize(("declaration", "remedy"), refused.cases)
def test_an_invalid_resource_class_is_rejected(
    declaration: Callable[[], object], remedy: str
) -> None:
    with pytest.raises(TypeError) as error:
        declaration()
    assert str(error.value) == remedy


# --- Methods --------------------------------------------------------------------------------------

ASYNC: Final = {
    "create": "(self, row, /)",
    "delete": "(self, row, /)",
    "get": "(self, key, /)",
    "history": "(self, key, params, /)",
    "get_many": "(self, keys, /)",
    "page": "(self, params, /)",
    "purge": "(self, row, /)",
    "restore": "(self, row, /)",
    "include_deleted": "(self, deleted_filter, /)",
    "update": "(self, row, /, changes)",
}
SYNC: Final = {
    "__post_init__": "(self)",
    "actor": "(self)",
    "query": "(self)",
    "read_schema": "(self)",
    "reference_scopes": "(self)",
    "validated_data": "(self, row, schema, /)",
}


@pytest.mark.parametrize(("name", "parameters"), ASYNC.items())
def test_a_synchronous_override_of_an_async_method_is_rejected(name: str, parameters: str) -> None:
    def method(*_: object) -> None: ...

    with pytest.raises(TypeError) as error:
        resource_of(City, **{name: method})
    assert str(error.value) == f"Rows.{name} is not async: declare `async def {name}{parameters}`."


@pytest.mark.parametrize(("name", "parameters"), SYNC.items())
def test_an_async_override_of_a_synchronous_method_is_rejected(name: str, parameters: str) -> None:
    async def method(*_: object) -> None: ...

    with pytest.raises(TypeError) as error:
        resource_of(City, **{name: method})
    assert str(error.value) == f"Rows.{name} is async: declare `def {name}{parameters}`."


@pytest.mark.parametrize(("name", "parameters"), ASYNC.items())
def test_an_override_with_other_arguments_is_rejected(name: str, parameters: str) -> None:
    async def method(_: object) -> None: ...

    with pytest.raises(TypeError) as error:
        resource_of(City, **{name: method})
    assert str(error.value) == (
        f"Rows.{name} takes other arguments: declare `async def {name}{parameters}`."
    )


@refused("Rows.export must yield rows: declare `async def export(self, params, /)` with a yield.")
def an_export_without_a_yield() -> object:
    async def export(_: object, at: object, /) -> object:
        return at

    return resource_of(City, export=export)


@refused("Rows.export takes other arguments: declare `async def export(self, params, /)`.")
def an_export_with_another_parameter() -> object:
    async def export(_: object, at: object, more: object, /) -> AsyncIterator[object]:
        yield (at, more)

    return resource_of(City, export=export)


@pytest.mark.parametrize("is_async", [True, False])
def test_a_valid_export_is_accepted(is_async: bool) -> None:  # noqa: FBT001
    async def export(_: object, at: object, /) -> AsyncIterator[object]:
        yield at

    def call(_: object, at: object, /) -> AsyncIterator[object]:
        return export(_, at)

    resource_of(City, export=export if is_async else call)


def test_every_overridable_method_is_checked() -> None:
    methods = {
        name
        for name, value in vars(Resource).items()
        if callable(value) and not name.startswith("_")
    }
    assert methods == (ASYNC.keys() | SYNC.keys() | {"export"}) - {"__post_init__"}


async def nothing(*_: object) -> None: ...


@refused("Rows.create is not async: declare `async def create(self, row, /)`.")
def an_override_of_a_mixin() -> object:
    class Mixin:
        def create(self, _: object, /) -> None: ...

    base: Any = Resource
    return new_class("Rows", (Mixin, base[City]))


@refused("Rows.page must return a value, not yield: declare `async def page(self, params, /)`.")
def an_override_with_a_yield() -> object:
    async def page(_: object, at: object, /) -> AsyncIterator[object]:
        yield at

    return resource_of(City, page=page)


@refused("Rows.actor must be a method: declare `def actor(self)`, or rename it.")
def a_property_as_an_override() -> object:
    return resource_of(City, actor=property(lambda _: "ada"))


@refused("Rows.query must be a method: declare `def query(self)`, or rename it.")
def a_value_as_an_override() -> object:
    return resource_of(City, query=None)


@refused("Rows.query takes other arguments: declare `def query(self)`.")
def an_override_with_another_parameter() -> object:
    def query(_: object, tenant: str) -> object:
        return tenant

    return resource_of(City, query=query)


@refused("Rows.get takes other arguments: declare `async def get(self, key, /)`.")
def an_override_with_a_keyword_parameter() -> object:
    async def get(_: object, key: object, /, *, tenant: str) -> object:
        return (key, tenant)

    return resource_of(City, get=get)


def logged(method: Callable[..., Coroutine[Any, Any, T]]) -> Callable[..., Coroutine[Any, Any, T]]:
    """Decorate an async method with a function that is not async."""

    @wraps(method)
    def wrapper(*arguments: Any) -> Coroutine[Any, Any, T]:
        return method(*arguments)

    return wrapper


async def found(key: object) -> object:
    return key


def named(_: object = None) -> str:
    return "ada"


class Named:
    @classmethod
    def actor(cls) -> str:
        return cls.__name__


@pytest.mark.parametrize(
    "methods",
    [
        pytest.param({"actor": named}, id="a method"),
        pytest.param({"actor": staticmethod(named)}, id="a static method"),
        pytest.param({"actor": vars(Named)["actor"]}, id="a class method"),
        pytest.param({"get": staticmethod(found)}, id="an async static method"),
        pytest.param({"get": logged(nothing)}, id="a decorated method"),
        pytest.param({"create": nothing}, id="a method of any arguments"),
    ],
)
def test_a_valid_override_is_accepted(methods: Mapping[str, Any]) -> None:
    resource_of(City, **methods)


def test_an_override_may_add_optional_arguments() -> None:
    class Cities(Resource[City]):
        @override
        async def create(self, row: City, /, *, tenant: str = "") -> None:
            row.tenant = tenant

    assert Cities.model is City


# --- Fields ---------------------------------------------------------------------------------------


def current_user() -> str:
    """Return the name of the caller."""
    return "ada"


@refused(
    "Cities.secret_flag is not a dependency: FastAPI would read it from the query. Annotate it "
    "Annotated[…, Depends(…)], or ClassVar[…] for a constant."
)
def a_field_with_a_plain_annotation() -> object:
    class Cities(Resource[City]):
        secret_flag: bool = False

    return Cities


@refused(
    "Cities.user is not a dependency: FastAPI would read it from the query. Annotate it "
    "Annotated[…, Depends(…)], or ClassVar[…] for a constant."
)
def a_field_with_an_annotation_of_another_kind() -> object:
    class Cities(Resource[City]):
        user: Annotated[str, "who is asking"]

    return Cities


@refused(
    "Cities.user is not a dependency: FastAPI would read it from the query. Annotate it "
    "Annotated[…, Depends(…)], or ClassVar[…] for a constant."
)
def a_parameter_of_a_constructor() -> object:
    class Cities(Resource[City]):
        def __init__(self, session: SessionDep, user: str) -> None:
            super().__init__(session=session)
            self.user = user

    return Cities


def with_field(**fields: Any) -> object:
    """Return a resource with fields of these annotations."""
    return resource_of(City, __annotations__=fields)


@refused(
    "Rows.actor hides an attribute of Resource. Rename the field; a setting of the class "
    "has no annotation, or ClassVar[…]."
)
def a_field_with_the_name_of_a_method() -> object:
    return with_field(actor=Annotated[str, Depends(current_user)])


@refused(
    "Rows.allow_upsert hides an attribute of Resource. Rename the field; a setting of the "
    "class has no annotation, or ClassVar[…]."
)
def a_setting_with_the_annotation_of_a_field() -> object:
    return with_field(allow_upsert=bool)


@refused(
    "Cities.isolation_level is 'SERIALIZABLE': use one of 'read committed', 'repeatable read', "
    "'serializable'."
)
def an_unknown_isolation_level() -> object:
    class Cities(Resource[City]):
        isolation_level: ClassVar[Any] = "SERIALIZABLE"

    return Cities


def test_dependencies_and_class_variables_are_valid_fields() -> None:
    class Cities(Resource[City]):
        session: Annotated[AsyncSession, Depends(get_db, scope="function")]
        user: Annotated[str, Depends(current_user)]
        name: str = Depends(current_user)
        scope: Annotated[str, Security(current_user, scopes=["cities"])]
        tenant: Annotated[str, Header()] = ""
        token: Annotated[str, Cookie()] = ""
        page_name: Annotated[str, Query(alias="name")] = ""
        place: Annotated[str, Path()]
        sent: Annotated[str, Body()]
        request: Request
        response: Response
        tasks: BackgroundTasks
        scopes: SecurityScopes
        constant: ClassVar[bool] = False
        shouted = partial(func.upper)
        allow_upsert: ClassVar[bool] = True

    assert Cities.allow_upsert


def test_an_unresolved_annotation_is_left_to_the_router() -> None:
    with pytest.raises(NameError, match="Later"):
        check_fields(resource_of(City, __annotations__={"user": "Later"}), Resource)
