"""The schemas of mapped models that exist."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, new_class
from typing import Any

import pytest
from sqlalchemy import (
    CheckConstraint,
    Computed,
    Identity,
    Index,
    MetaData,
    String,
    Text,
    func,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.articles.models import Article
from brickwork import (
    JSONDocument,
    Resource,
    Schema,
    crud_router,
)
from brickwork.models.model import is_mapped
from brickwork.query.index_check import missing_indexes
from brickwork.scaffold.schemas import schemas_of_model, unformatted_schemas
from examples.clinic.models import Occupancy

MODULES = (
    *("app.articles.models", "app.authors.models", "app.comments.models"),
    *("examples.clinic.models", "examples.tenancy.models", "examples.existing_app.models"),
    *(
        f"tests.support.{name}"
        for name in (
            *("atlas", "blog", "heavy", "mappings", "memberships", "notes", "orders"),
            *("purchases", "shop", "tenants", "things", "values"),
        )
    ),
)
UNKNOWN_TYPE = "Stray"  # a reference to a table that nobody maps


def models() -> Iterator[type[object]]:
    for name in MODULES:
        for value in vars(importlib.import_module(name)).values():
            is_own = isinstance(value, type) and value.__module__ == name
            if is_own and is_mapped(value) and value.__name__ != UNKNOWN_TYPE:
                yield value


def run(model: type[object], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run the printed schemas, and return their module's names."""
    module = ModuleType(f"printed_{model.__name__}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = unformatted_schemas(model)
    exec(compile(source, "schemas.py", "exec"), vars(module))  # noqa: S102 — what the test is about
    return vars(module)


def router(model: type[Any], names: dict[str, Any]) -> Any:
    def fill(body: dict[str, Any]) -> None:
        body["__module__"] = names["__name__"]

    base: Any = Resource
    resource: Any = new_class(f"{model.__name__}s", (base[model],), {}, fill)
    schemas: dict[str, Any] = {kind.lower(): names.get(f"{model.__name__}{kind}") for kind in PARTS}
    return crud_router("/rows", resource, **schemas)


PARTS = ("Read", "Create", "Update", "Query")


MODELS = [pytest.param(model, id=f"{model.__module__}.{model.__name__}") for model in models()]


@pytest.mark.parametrize("model", MODELS)
def test_the_printed_schemas_declare_a_resource(
    model: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = run(model, monkeypatch)
    assert router(model, names).routes
    assert [*missing_indexes(names[f"{model.__name__}Query"])] == []


def test_the_schemas_of_an_article_are_those_of_the_service() -> None:
    lines = schemas_of_model(Article, Path("schemas.py")).splitlines()
    assert 'Status = Literal["draft", "published"]' in lines
    for line in (
        "title: Annotated[str, MaxLen(200)]",
        'body: str = ""',
        'status: Status = "draft"',
        "views: int = 0",
        "rating: float | None = None",
        "meta: dict[str, Any] | None = None",
        "author_id: UUID | None = None",
        "version: int",
        "status: Filter[Status] = None",
        "created_at: Filter[datetime] = None",
        'search_fields = ("title", "slug", "body")',
    ):
        assert f"    {line}" in lines, line
    assert not [line for line in lines if "deleted" in line]


class Base(DeclarativeBase):
    """A base of an application."""

    metadata = MetaData()


class Account(Base):
    """Columns with values that the server or the database makes."""

    __tablename__ = "accounts"
    __table_args__ = (
        CheckConstraint("plan IN ('free', 'don''t')"),
        Index("ix_accounts_rank", "rank"),
    )

    number: Mapped[int] = mapped_column(Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(String(100))
    password_hash: Mapped[str] = mapped_column(String(100))
    plan: Mapped[str] = mapped_column(String(5), server_default="free")
    rank: Mapped[int] = mapped_column(server_default=text("0"))
    is_open: Mapped[bool] = mapped_column(server_default=text("true"))
    tags: Mapped[list[str]] = mapped_column(JSONDocument, default=list)
    slug: Mapped[str] = mapped_column(String(10), default=lambda: "made")
    day: Mapped[str] = mapped_column(String(20), server_default=func.current_date())
    loud: Mapped[str] = mapped_column(String(100), Computed("upper(email)"))
    note: Mapped[str | None] = mapped_column(Text)
    _hidden: Mapped[int | None]


def test_values_of_the_server_are_not_in_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    names = run(Account, monkeypatch)
    create: type[Schema] = names["AccountCreate"]
    assert [*create.model_fields] == [
        *("email", "password_hash", "plan", "rank", "is_open", "tags", "note"),
    ]
    row: Any = create.model_validate({"email": "a@b.c", "password_hash": "x"})
    assert (row.plan, row.rank, row.is_open, row.tags, row.note) == ("free", 0, True, [], None)
    assert names["Plan"].__args__ == ("free", "don't")


def test_a_secret_is_written_and_never_shown() -> None:
    source = schemas_of_model(Account, Path("schemas.py"))
    read = source[source.index("class AccountRead") :]
    assert "# Not shown, because of their names: password_hash." in read
    assert "password_hash:" not in read


def test_lists_are_sorted_by_columns_with_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    query = run(Account, monkeypatch)["AccountQuery"]
    assert [column.key for column in query.__sorts__] == ["rank"]


def test_a_natural_key_is_in_the_create_schema_alone() -> None:
    class Country(Base):
        __tablename__ = "countries"
        code: Mapped[str] = mapped_column(String(2), primary_key=True)
        name: Mapped[str] = mapped_column(String(50))

    source = schemas_of_model(Country, Path("schemas.py"))
    assert "class CountryCreate(CountryFields):" in source
    assert "class CountryUpdate(CountryFields, partial=True):" in source
    fields = source[source.index("class CountryFields") : source.index("class CountryCreate")]
    assert "code" not in fields


def test_a_view_has_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(Occupancy, monkeypatch)["OccupancyQuery"].__sorts__ == []
