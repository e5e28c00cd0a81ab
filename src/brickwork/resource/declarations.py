"""Checks of the declaration of a resource."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, is_dataclass, replace
from functools import cached_property
from inspect import getclosurevars, signature
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError
from sqlalchemy import Column, Table, inspect
from sqlalchemy.orm import Mapper

from brickwork.models.generated_keys import is_generated_key, sqlite_type
from brickwork.models.model import Versioned, is_mapped
from brickwork.models.proxies import find_proxy
from brickwork.models.soft_delete import is_soft_deletable
from brickwork.query.keys import primary_key
from brickwork.query.list_query import ListQuery, model_of_query
from brickwork.query.ordering import make_order
from brickwork.query.query_checks import require_sortable
from brickwork.resource import assignments, outputs
from brickwork.resource.read_schemas import declared_read_schemas
from brickwork.resource.related_declarations import check_related, check_unstored, written_related
from brickwork.resource.resource import Resource
from brickwork.resource.row_schemas import RowSchemas, row_schemas
from brickwork.schemas.derived import fit_to_model
from brickwork.schemas.field_values import FieldValues
from brickwork.schemas.related import stored_fields
from brickwork.schemas.schema import NoFields, Schema
from brickwork.signatures import check_fields
from brickwork.sqlalchemy_internals import has_own_constructor, listeners_to

M = TypeVar("M")

_CREATE_OPERATIONS: Final = {"create", "create_batch"}
_UPDATE_OPERATIONS: Final = {"update", "update_batch"}
_WRITE_OPERATIONS: Final = (
    _CREATE_OPERATIONS | _UPDATE_OPERATIONS | {"delete", "delete_batch", "replace"}
)


@dataclass(frozen=True)
class Declaration(Generic[M]):
    """The class and the schemas of a resource, and the operations of its router."""

    resource: type[Resource[M]]
    read: Any
    create: type[Schema]
    update: type[Schema]
    query: type[ListQuery[M]]
    operations: Collection[str]

    def check(self) -> None:
        """Raise `TypeError`, with the remedy, if some request could not be answered."""
        _require_class(self.resource, Resource, "The second argument")
        _require_class(self.query, ListQuery, "query")
        shown = self.shown
        check_fields(self.resource, Resource)
        _ = primary_key(self.model).kinds
        for schema in (self.create, self.update):
            assignments.check_assignments(schema, self.model)
        self._check_related()
        self._check_partial()
        self._check_proxies()
        self._check_table()
        self._check_versions()
        if self._can_create:
            self._check_new_rows()
        related = written_related(self.model, *self._input_schemas())
        written = outputs.WrittenFields([*self._input_values()], self._null_attributes, related)
        for kind, read in shown.by_class.items():
            own = written if kind is self.model else replace(written, nulls=())
            outputs.check_outputs(read, kind, own)
        for read in declared_read_schemas(self.resource):
            outputs.check_outputs(read, self.model, written)
        self._check_query()

    @property
    def model(self) -> type[M]:
        """Return the model. Raises `TypeError` for a class that is not mapped."""
        model = self.resource.model
        if not is_mapped(model):
            raise TypeError(
                f"{model.__name__} is not a mapped class. Name the model in the bases of "
                f"{self.resource.__name__}: Resource[YourModel]."
            )
        return model

    @cached_property
    def shown(self) -> RowSchemas:
        """Return the read schemas by class. Raises `TypeError` if a class of rows has none."""
        return row_schemas(self.model, self.read)

    @cached_property
    def create_schema(self) -> type[Schema]:
        """Return the schema of a new row, within the bounds of the columns."""
        return fit_to_model(self.create, self.model)

    @cached_property
    def update_schema(self) -> type[Schema]:
        """Return the schema of a change, within the bounds of the columns."""
        return fit_to_model(self.update, self.model, patches=True)

    @property
    def _mapper(self) -> Mapper[M]:
        mapper: Mapper[M] = inspect(self.model)
        return mapper

    @property
    def _can_create(self) -> bool:
        upserts = self.resource.allow_upsert and "replace" in self.operations
        return upserts or bool(_CREATE_OPERATIONS & {*self.operations})

    def _input_values(self) -> Iterator[FieldValues]:
        yield from map(FieldValues, self._input_schemas())

    def _input_schemas(self) -> Iterator[type[Schema]]:
        if self._can_create or "replace" in self.operations:
            yield self.create_schema
        if _UPDATE_OPERATIONS & {*self.operations}:
            yield self.update_schema

    def _check_related(self) -> None:
        """Raise `TypeError` for related rows, or fields without a column, that cannot work."""
        resource, operations = self.resource, {*self.operations}
        creates = resource.create is not Resource[M].create
        updates = resource.update is not Resource[M].update
        replaces = "replace" in operations
        check_related(self.create, self.model, replaces=replaces, is_filled=creates)
        check_unstored(self.create, self.model, is_read=creates, method="create")
        if replaces:
            check_unstored(self.create, self.model, is_read=updates, method="update")
        if _UPDATE_OPERATIONS & operations:
            check_related(self.update, self.model, replaces=True, is_filled=updates)
            check_unstored(self.update, self.model, is_read=updates, method="update")

    def _check_partial(self) -> None:
        fields = self.update.model_fields.values()
        is_partial = self.update.__patches__ and not any(field.is_required() for field in fields)
        if fields and not is_partial and _UPDATE_OPERATIONS & {*self.operations}:
            base = self.create.__name__
            name = base.removesuffix("Create") + "Update"
            if self.create is NoFields:
                name, base = self.update.__name__, self.update.__bases__[0].__name__
            raise TypeError(
                f"{self.update.__name__} is not partial, but a PATCH sends only some fields. "
                f"Declare it: class {name}({base}, partial=True)."
            )
        if self.create.__patches__:
            raise TypeError(
                f"{self.create.__name__} is partial, but a new row needs all its values. Give "
                "create the schema that it inherits from."
            )

    def _check_proxies(self) -> None:
        """Raise `TypeError` if a change would have to replace the rows behind a proxy."""
        changes = {"PATCH": (self.update, _UPDATE_OPERATIONS), "PUT": (self.create, {"replace"})}
        for method, (schema, operations) in changes.items():
            for name in schema.model_fields if operations & {*self.operations} else ():
                if find_proxy(self.model, name):
                    remedy = (
                        f"Remove {name} from {schema.__name__}"
                        if method == "PATCH"
                        else 'Declare omit={"replace"}'
                    )
                    raise TypeError(
                        f"{self.model.__name__}.{name} is an association proxy, which makes new "
                        f"rows, so that only a POST can set it, and no {method}. {remedy}, or "
                        "write an endpoint."
                    )

    def _check_table(self) -> None:
        """Raise `TypeError` for a model of a query, unless all operations only read."""
        if not isinstance(self._mapper.local_table, Table) and not self._is_read_only:
            raise TypeError(
                f"{self.model.__name__} is mapped to a query, whose rows cannot be written. Omit "
                "every operation but list and get."
            )

    @property
    def _is_read_only(self) -> bool:
        return not _WRITE_OPERATIONS & {*self.operations}

    def _check_versions(self) -> None:
        resource = self.resource
        if resource.require_if_match and not (
            self._is_read_only or issubclass(self.model, Versioned)
        ):
            raise TypeError(
                f"{resource.__name__}.require_if_match is true, but its rows have no version. "
                f"Let {self.model.__name__} inherit from Versioned."
            )

    def _check_new_rows(self) -> None:
        """Raise `TypeError` if no body of a POST or a PUT could be stored."""
        mapper = self._mapper
        names_class = mapper.polymorphic_on is None or mapper.polymorphic_identity is not None
        if not names_class and (mapper.polymorphic_abstract or not self._is_filled_by_code):
            raise TypeError(
                f"{self.model.__name__} has no polymorphic_identity, so that a new row has no "
                "class. Leave create out, and create rows by the resource of a subclass."
            )
        names = primary_key(self.model).names
        absent = [name for name in names if name not in self.create.model_fields]
        if self.resource.allow_upsert and absent:
            raise TypeError(
                f"{self.resource.__name__}.allow_upsert is true, but a PUT cannot set the key of a "
                f"new row: {self.create.__name__} has no field {', '.join(absent)}. Add it."
            )
        try:
            fields = stored_fields(self.create, self.model)
            signature(self.model).bind(**dict.fromkeys(fields))
        except TypeError as error:
            raise TypeError(
                f"{self.model.__name__} cannot be built from the fields of {self.create.__name__}: "
                f"{error}. Give the other arguments defaults, or init=False."
            ) from None
        if not self._is_filled_by_code:
            self._check_key()
            self._check_required_columns()

    @property
    def _is_filled_by_code(self) -> bool:
        """Return whether code of the author can set values that the schema lacks."""
        mapper = self._mapper
        listeners = (
            *listeners_to(mapper, "before_insert"),
            *listeners_to(mapper.class_manager, "init"),
        )
        return bool(
            self.resource.create is not Resource[M].create
            or mapper.validators
            or _has_constructor(self.model)
            or any(assignments.has_setter(self.model, name) for name in self.create.model_fields)
            or any(not _is_framework_code(listener) for listener in listeners)
        )

    def _check_key(self) -> None:
        key, unset = primary_key(self.model), self._unset_columns()
        for name, column in zip(key.names, key.columns, strict=True):
            place = f"{self.model.__name__}.{name}"
            if column not in unset or not is_generated_key(column):
                continue
            if key.is_composite:
                raise TypeError(
                    f"{place} is a part of the key, which SQLite does not generate. Add the field "
                    f"to {self.create.__name__}, or give the column a default."
                )
            if (kind := sqlite_type(column)) != "INTEGER":
                raise TypeError(
                    f"{place} is {kind} on SQLite, which generates only INTEGER keys. Declare it "
                    f'{column.type!r}.with_variant(Integer, "sqlite").'
                )

    def _check_required_columns(self) -> None:
        for column in self._unset_columns():
            if not (column.nullable or column is column.table.autoincrement_column):
                raise TypeError(
                    f"{self.model.__name__}.{self._attribute_name(column)} cannot be NULL, and "
                    f"{self.create.__name__} has no field for it. Add the field, give the column "
                    f"a default, or set it in {self.resource.__name__}.create."
                )

    def _unset_columns(self) -> list[Column[Any]]:
        """Return the columns of a new row that have neither a field nor a default."""
        mapper = self._mapper
        names = self.create.model_fields
        given: set[Any] = {
            assignments.assigned_column(self.create, name, self.model) for name in names
        }
        given |= {mapper.version_id_col, mapper.polymorphic_on}
        proxies = [proxy for name in names if (proxy := find_proxy(self.model, name))]
        given |= {key for proxy in proxies for key in proxy.relationship.local_columns}
        tables: list[Any] = [table for table in mapper.tables if isinstance(table, Table)]
        columns: list[Column[Any]] = [column for table in tables for column in table.columns]
        return [
            column
            for column in columns
            if not (
                column in given or assignments.has_default(column) or self._is_inherited(column)
            )
        ]

    def _is_inherited(self, column: Column[Any]) -> bool:
        """Return whether *column* is the key of a joined table, copied from its base table."""
        return column.primary_key and column.table is not self._mapper.base_mapper.local_table

    @property
    def _null_attributes(self) -> Collection[str]:
        """Return the attributes that are NULL in a new row."""
        if not self._can_create or self._is_filled_by_code:
            return ()
        return [self._attribute_name(column) for column in self._unset_columns() if column.nullable]

    def _attribute_name(self, column: Column[Any]) -> str:
        names = (name for name, mapped in self._mapper.columns.items() if mapped is column)
        return next(names, column.name)

    def _check_query(self) -> None:
        query = self.query
        listed = model_of_query(query)
        if listed is None and query.model_fields.keys() > ListQuery.model_fields.keys():
            raise TypeError(
                f"{query.__name__} has filters but no model. Let it inherit from "
                f"ListQuery[{self.model.__name__}]."
            )
        if listed is not None and not issubclass(self.model, listed):
            raise TypeError(
                f"{query.__name__} lists {listed.__name__}, but {self.resource.__name__} has "
                f"{self.model.__name__}. Let it inherit from ListQuery[{self.model.__name__}]."
            )
        if is_soft_deletable(self.model) and "deleted" in query.model_fields:
            raise TypeError(
                f"{query.__name__}.deleted is the parameter that lists deleted rows of a "
                "SoftDelete. Call the filter deleted__eq."
            )
        if "list" in self.operations and self.resource.page is Resource[M].page:
            self._check_default_order()

    def _check_default_order(self) -> None:
        try:
            keys = self.query().sort_keys()
        except ValidationError:  # a parameter is required
            return
        names = primary_key(self.model).names
        for key in make_order(self.model, keys).keys:
            if key.attribute.key not in names:
                require_sortable(f"{self.query.__name__}.sort_keys", key.attribute)


def _require_class(kind: object, base: type[object], place: str) -> None:
    if not assignments.is_class(kind, base):
        name = assignments.type_name(kind)
        raise TypeError(f"{place} is {name}. Give crud_router a class that is a {base.__name__}.")


def _has_constructor(model: type[object]) -> bool:
    """Return whether *model* has a constructor of the author."""
    kind: type[object] = model
    if is_dataclass(kind):
        return hasattr(kind, "__post_init__")
    return has_own_constructor(inspect(model))


def _is_framework_code(listener: Callable[..., Any]) -> bool:
    """Return whether *listener*, unwrapped, is part of Brickwork or SQLAlchemy."""
    function = getclosurevars(listener).nonlocals.get("fn", listener)
    return str(function.__module__).startswith(("brickwork.", "sqlalchemy."))
