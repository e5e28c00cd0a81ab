"""Short declarations of models, schemas and resources."""

from collections.abc import Callable, Collection
from itertools import count
from types import new_class
from typing import Any, Final

import pytest
from fastapi import APIRouter
from pydantic import BaseModel, create_model
from sqlalchemy import Integer, MetaData
from sqlalchemy.orm import DeclarativeBase, mapped_column
from sqlalchemy.types import TypeEngine

from brickwork import Model, ReadSchema, Resource, Schema, crud_router


class Base(Model):
    """The base of the declared models, with its own metadata."""

    __abstract__ = True
    metadata = MetaData(naming_convention=Model.metadata.naming_convention)


_numbers: Final = count(1)


def next_table() -> str:
    """Return an unused name of a table."""
    return f"rows_{next(_numbers)}"


def model_of(**columns: Any) -> Any:
    """Return a model `Row` with an integer key and these *columns*, or types of columns."""
    own = {
        name: mapped_column(kind, nullable=True) if _is_type(kind) else kind
        for name, kind in columns.items()
    }
    table = next_table()
    names = {"__module__": table, "__tablename__": table}
    return type("Row", (Base,), {**names, "id": mapped_column(Integer, primary_key=True), **own})


def _is_type(value: object) -> bool:
    return isinstance(value, TypeEngine) or (
        isinstance(value, type) and issubclass(value, TypeEngine)
    )


def schema(name: str, base: type[BaseModel] = Schema, /, **fields: Any) -> Any:
    """Return a schema with *fields*: an annotation each, or an annotation and a default."""
    known: dict[str, Any] = {
        key: kind if type(kind) is tuple else (kind, ...) for key, kind in fields.items()
    }
    return create_model(name, __base__=base, __module__=__name__, **known)


def partial(create: Any, name: str = "RowUpdate") -> Any:
    """Return the schema of a PATCH, made from the schema of a POST."""
    return create_model(
        name, __base__=create, __module__=__name__, __cls_kwargs__={"partial": True}
    )


def resource_of(model: type[DeclarativeBase], **attributes: Any) -> Any:
    """Return a resource `Rows` with these *attributes*."""
    base: Any = Resource
    return new_class("Rows", (base[model],), {}, lambda namespace: namespace.update(attributes))


def declare(  # noqa: PLR0913 — what crud_router takes, and a model
    model: type[DeclarativeBase],
    *,
    create: Any = None,
    read: Any = None,
    update: Any = None,
    query: Any = None,
    resource: Any = None,
    omit: Collection[Any] = (),
    path: str = "/rows",
) -> APIRouter:
    """Return the router of a resource of *model*; an omitted schema has no fields but the key."""
    create = create or schema("RowCreate")
    return crud_router(
        path,
        resource or resource_of(model),
        read=read or schema("RowRead", ReadSchema, id=int),
        create=create,
        update=update or partial(create),
        query=query,
        omit=omit,
    )


class Refused:
    """Declarations that raise a `TypeError`, as the cases of a test."""

    def __init__(self) -> None:
        """Collect none yet."""
        self.cases: list[Any] = []

    def __call__(self, remedy: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
        """Add a declaration that raises an error with the text *remedy*."""

        def register(declaration: Callable[[], object]) -> Callable[[], object]:
            self.cases.append(pytest.param(declaration, remedy, id=declaration.__name__))
            return declaration

        return register
