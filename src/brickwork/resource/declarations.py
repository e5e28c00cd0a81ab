"""The declaration of a resource: whether its parts fit each other."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from inspect import getclosurevars, signature
from typing import Any, Final, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import Column, Table, inspect
from sqlalchemy.dialects import sqlite
from sqlalchemy.orm import DeclarativeBase, Mapper

from brickwork.models.model import Versioned, is_mapped
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import key_type, primary_key
from brickwork.query.list_query import ListQuery, listed_model, require_sortable
from brickwork.query.ordering import make_order
from brickwork.resource import assignments, outputs
from brickwork.resource.resource import Resource
from brickwork.schemas.derived import fit_to_model
from brickwork.schemas.field_values import FieldValues
from brickwork.schemas.schema import Schema
from brickwork.signatures import check_fields

M = TypeVar("M", bound=DeclarativeBase)

_CREATING: Final = {"create", "create_batch"}
_UPDATING: Final = {"update", "update_batch"}
_WRITING: Final = _CREATING | _UPDATING | {"delete", "delete_batch", "replace"}


@dataclass(frozen=True)
class Declaration(Generic[M]):
    """The class and the schemas of a resource, and the operations that its router has."""

    resource: type[Resource[M]]
    read: type[BaseModel]
    create: type[Schema]
    update: type[Schema]
    query: type[ListQuery[M]]
    operations: Collection[str]

    def check(self) -> None:
        """Raise `TypeError`, with the remedy, where requests could not be answered."""
        _require_class(self.resource, Resource, "The second argument")
        _require_class(self.read, BaseModel, "read")
        _require_class(self.query, ListQuery, "query")
        check_fields(self.resource, Resource)
        key_type(self.model)
        for each in (self.create, self.update):
            assignments.check_assignments(each, self.model)
        self._check_partial()
        self._check_table()
        self._check_versions()
        if self._creates:
            self._check_new_rows()
        written = outputs.WrittenFields([*self._inputs()], self._nulls)
        outputs.check_outputs(self.read, self.model, written)
        self._check_query()

    @property
    def model(self) -> type[M]:
        """The model of the rows; raises `TypeError` for a class that is not mapped."""
        model = self.resource.model
        if not is_mapped(model):
            raise TypeError(
                f"{model.__name__} is no mapped class. Name the model in the bases of "
                f"{self.resource.__name__}: Resource[YourModel]."
            )
        return model

    @cached_property
    def created(self) -> type[Schema]:
        """The schema of a new row, no wider than the columns."""
        return fit_to_model(self.create, self.model)

    @cached_property
    def updated(self) -> type[Schema]:
        """The schema of a change, no wider than the columns."""
        return fit_to_model(self.update, self.model, patches=True)

    @property
    def _mapper(self) -> Mapper[M]:
        return inspect(self.model)

    @property
    def _creates(self) -> bool:
        upserts = self.resource.allow_upsert and "replace" in self.operations
        return upserts or bool(_CREATING & {*self.operations})

    def _inputs(self) -> Iterator[FieldValues]:
        if self._creates or "replace" in self.operations:
            yield FieldValues(self.created)
        if _UPDATING & {*self.operations}:
            yield FieldValues(self.updated)

    def _check_partial(self) -> None:
        fields = self.update.model_fields.values()
        is_partial = self.update.__patches__ and not any(each.is_required() for each in fields)
        if fields and not is_partial and _UPDATING & {*self.operations}:
            base = self.create.__name__
            name = base.removesuffix("Create") + "Update"
            raise TypeError(
                f"{self.update.__name__} is not partial, and a PATCH sends some of its fields. "
                f"Declare it: class {name}({base}, partial=True)."
            )
        if self.create.__patches__:
            raise TypeError(
                f"{self.create.__name__} is partial, and a new row needs its values. Give create "
                "the schema that it inherits from."
            )

    def _check_table(self) -> None:
        """Raise `TypeError` for rows that come from a query, where they would be written."""
        if not isinstance(self._mapper.local_table, Table) and not self._is_read_only:
            raise TypeError(
                f"{self.model.__name__} is mapped to a query, whose rows cannot be written. Omit "
                "every operation but list and get."
            )

    @property
    def _is_read_only(self) -> bool:
        return not _WRITING & {*self.operations}

    def _check_versions(self) -> None:
        resource = self.resource
        if resource.require_if_match and not (
            self._is_read_only or issubclass(self.model, Versioned)
        ):
            raise TypeError(
                f"{resource.__name__}.require_if_match is true, and no version of a row can be "
                f"named. Let {self.model.__name__} inherit from Versioned."
            )

    def _check_new_rows(self) -> None:
        """Raise `TypeError` where no body of a POST, or of a PUT, could be stored."""
        key = primary_key(self.model).key
        if self.resource.allow_upsert and key not in self.create.model_fields:
            raise TypeError(
                f"{self.resource.__name__}.allow_upsert is true, and a PUT cannot give a new row "
                f"its key: {self.create.__name__} has no field {key}. Add it."
            )
        try:
            signature(self.model).bind(**dict.fromkeys(self.create.model_fields))
        except TypeError as error:
            raise TypeError(
                f"{self.model.__name__} cannot be made of the fields of {self.create.__name__}: "
                f"{error}. Give the other arguments defaults, or init=False."
            ) from None
        if not self._is_filled_by_code:
            self._check_key()
            self._check_complete()

    @property
    def _is_filled_by_code(self) -> bool:
        """Whether code of the author can give a new row more values than its schema has."""
        mapper, manager = self._mapper, self._mapper.class_manager
        listeners: Any = (*mapper.dispatch.before_insert, *manager.dispatch.init)
        return bool(
            self.resource.create is not Resource[M].create
            or mapper.validators
            or _has_constructor(self.model)
            or any(assignments.has_setter(self.model, name) for name in self.create.model_fields)
            or any(not _is_ours(each) for each in listeners)
        )

    def _check_key(self) -> None:
        name = primary_key(self.model).key
        column: Any = self._mapper.primary_key[0]
        if column not in self._unset() or column is not column.table.autoincrement_column:
            return
        if (made := column.type.compile(sqlite.dialect())) != "INTEGER":
            kind = repr(column.type)
            raise TypeError(
                f"{self.model.__name__}.{name} is {made} on SQLite, which numbers the rows of an "
                f'INTEGER key alone. Declare it {kind}.with_variant(Integer, "sqlite").'
            )

    def _check_complete(self) -> None:
        for column in self._unset():
            if not (column.nullable or column is column.table.autoincrement_column):
                raise TypeError(
                    f"{self.model.__name__}.{self._name(column)} cannot be NULL, and "
                    f"{self.create.__name__} has no field for it. Add the field, give the column "
                    f"a default, or set it in {self.resource.__name__}.create."
                )

    def _unset(self) -> list[Column[Any]]:
        """Return the columns that nobody gives a value in a new row."""
        mapper = self._mapper
        names = self.create.model_fields
        given: set[Any] = {assignments.assigned(self.create, name, self.model) for name in names}
        given |= {mapper.version_id_col, mapper.polymorphic_on}
        tables: list[Any] = [each for each in mapper.tables if isinstance(each, Table)]
        own: list[Column[Any]] = [column for each in tables for column in each.columns]
        return [
            each
            for each in own
            if not (each in given or assignments.has_default(each) or self._is_inherited(each))
        ]

    def _is_inherited(self, column: Column[Any]) -> bool:
        """Tell whether *column* refers to the key of the table that its own extends."""
        return column.primary_key and column.table is not self._mapper.base_mapper.local_table

    @property
    def _nulls(self) -> Collection[str]:
        """The attributes that are NULL in a new row."""
        if not self._creates or self._is_filled_by_code:
            return ()
        return [self._name(each) for each in self._unset() if each.nullable]

    def _name(self, column: Column[Any]) -> str:
        names = (name for name, each in self._mapper.columns.items() if each is column)
        return next(names, column.name)

    def _check_query(self) -> None:
        query = self.query
        listed = listed_model(query)
        if listed is None and query.model_fields.keys() > ListQuery.model_fields.keys():
            raise TypeError(
                f"{query.__name__} has filters, and names no model. Let it inherit from "
                f"ListQuery[{self.model.__name__}]."
            )
        if listed is not None and not issubclass(self.model, listed):
            raise TypeError(
                f"{query.__name__} lists {listed.__name__}, and {self.resource.__name__} has "
                f"{self.model.__name__}. Let it inherit from ListQuery[{self.model.__name__}]."
            )
        if is_soft_deletable(self.model) and "deleted" in query.model_fields:
            raise TypeError(
                f"{query.__name__}.deleted is the parameter that shows deleted rows of a "
                "SoftDelete. Call the filter deleted__eq."
            )
        if "list" in self.operations and self.resource.page is Resource[M].page:
            self._check_usual_order()

    def _check_usual_order(self) -> None:
        try:
            keys = self.query().sort_keys()
        except ValidationError:  # a parameter is required
            return
        for each in make_order(self.model, keys).keys[:-1]:
            require_sortable(f"{self.query.__name__}.sort_keys", each.attribute)


def _require_class(kind: object, base: type[object], place: str) -> None:
    if not assignments.is_class(kind, base):
        name = assignments.type_name(kind)
        raise TypeError(f"{place} is {name}. Give crud_router a class that is a {base.__name__}.")


def _has_constructor(model: type[DeclarativeBase]) -> bool:
    """Tell whether *model* has a constructor of the author."""
    kind: type[object] = model
    if is_dataclass(kind):
        return hasattr(kind, "__post_init__")
    mapper: Mapper[Any] = inspect(model)
    return mapper.class_manager.original_init is not mapper.registry.constructor


def _is_ours(listener: Callable[..., Any]) -> bool:
    """Tell whether *listener*, which SQLAlchemy may have wrapped, sets no values."""
    function = getclosurevars(listener).nonlocals.get("fn", listener)
    return str(function.__module__).startswith(("brickwork.", "sqlalchemy."))
