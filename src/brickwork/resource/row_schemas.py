"""Read schemas by the class of a row."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter, create_model
from sqlalchemy import Column, inspect
from sqlalchemy.orm import Mapper

from brickwork.query.embedding import attribute_name
from brickwork.query.polymorphism import classes_of, nearest
from brickwork.resource.assignments import has_attribute, is_class, type_name
from brickwork.schemas.derived import sparse_schema, with_deleted_at
from brickwork.schemas.names import output_fields
from brickwork.schemas.schema import ReadSchema


@dataclass(frozen=True, eq=False)
class RowSchemas:
    """The schemas that show the rows of a model: one, or one for each class of rows."""

    model: type[object]
    annotation: Any
    """The type of a row in a response, as in openapi.json."""
    by_class: Mapping[type[object], type[BaseModel]]
    """The schemas by the class whose rows they show, and the rows of its subclasses."""

    @property
    def is_union(self) -> bool:
        """Return whether there are several classes of rows."""
        return len(self.by_class) > 1

    @cached_property
    def adapter(self) -> TypeAdapter[Any]:
        """Return the adapter that serialises a row."""
        return TypeAdapter(self.annotation)

    @cached_property
    def fields(self) -> type[BaseModel]:
        """Return a schema with the fields of all schemas."""
        schemas = [*dict.fromkeys(self.by_class.values())]
        if len(schemas) == 1:
            return schemas[0]
        fields: dict[str, Any] = {}
        for name in dict.fromkeys(name for schema in schemas for name in schema.model_fields):
            known = [s.model_fields[name] for s in schemas if name in s.model_fields]
            fields[name] = (Union[tuple(field.annotation for field in known)], known[0])  # noqa: UP007
        return create_model(f"{self.model.__name__}Read", __base__=ReadSchema, **fields)

    def schema_of(self, row: object) -> type[BaseModel]:
        """Return the schema of *row*. Raises `TypeError` for a class that was mapped too late."""
        if (schema := nearest(self.by_class, type(row))) is None:
            raise TypeError(
                f"No schema shows {type(row).__name__}. Map the class before crud_router is called."
            )
        return schema

    def present(self, row: object) -> object:
        """Return *row*, as an instance of its schema if there are several.

        Raises Pydantic's error if its schema rejects it.
        """
        if not self.is_union:
            return row
        return self.schema_of(row).model_validate(row, from_attributes=True)

    @property
    def field_names(self) -> Collection[str]:
        """Return the names of the fields in responses."""
        names = (name for schema in self.by_class.values() for name in output_fields(schema))
        return dict.fromkeys(names)

    @property
    def sparse_annotation(self) -> Any:
        """Return the type of a row in a response that may have some of its fields.

        Raises `TypeError` if a schema decides itself what a response has.
        """
        return _union(map(sparse_schema, self.by_class.values()))

    @cached_property
    def with_deleted_at(self) -> "RowSchemas":
        """Return the schemas with the field `deleted_at`."""
        by_class = {kind: with_deleted_at(schema) for kind, schema in self.by_class.items()}
        return RowSchemas(self.model, _union(by_class.values()), by_class)


def row_schemas(model: type[object], read: Any) -> RowSchemas:
    """Return the schemas in *read*: one, or a union such as `DogRead | CatRead`.

    Raises `TypeError` unless each row of *model* has one schema.
    """
    schemas = [*_members(read)]
    if not all(is_class(schema, BaseModel) for schema in schemas):
        raise TypeError(f"read is {type_name(read)}. Give crud_router a class that is a BaseModel.")
    if len(schemas) == 1:
        return RowSchemas(model, read, {model: schemas[0]})
    hierarchy = _Hierarchy(model)
    by_class = hierarchy.assign(schemas)
    annotation = read
    if get_origin(read) is not Annotated and hierarchy.are_tagged(schemas):
        annotation = Annotated[read, Field(discriminator=hierarchy.tag)]
    return RowSchemas(model, annotation, by_class)


def _members(read: Any) -> Iterator[Any]:
    """Yield the parts of a union, or *read* itself."""
    origin = get_origin(read)
    if origin is Annotated:
        yield from _members(get_args(read)[0])
    elif origin in _UNIONS:
        for part in get_args(read):
            yield from _members(part)
    else:
        yield read


_UNIONS: Final = {Union, UnionType}


def _union(schemas: Any) -> Any:
    return Union[tuple(dict.fromkeys(schemas))]  # noqa: UP007


class _Hierarchy:
    """A model and its subclasses, to which schemas are assigned."""

    def __init__(self, model: type[object]) -> None:
        """Find the classes. Raises `TypeError` if there is only one."""
        self.model = model
        self._mapper: Mapper[Any] = inspect(model)
        self._classes = classes_of(model)
        if len(self._classes) == 1:
            raise TypeError(
                f"read is a union of schemas, but {model.__name__} has no subclasses. Give "
                "crud_router one schema. Another schema for some callers is Resource.read_schema."
            )
        column = self._mapper.polymorphic_on
        is_column = isinstance(column, Column)
        self.tag = self._mapper.get_property_by_column(column).key if is_column else None
        """The attribute that names the class of a row. None for an expression."""

    def assign(self, schemas: Sequence[type[BaseModel]]) -> Mapping[type[object], type[BaseModel]]:
        """Return the schema of each class. Raises `TypeError` if a class has none, or two."""
        by_class: dict[type[object], type[BaseModel]] = {}
        for schema in schemas:
            for kind in self._named_classes(schema) or [self._fitting_class(schema)]:
                other = by_class.setdefault(kind, schema)
                if other is not schema:
                    raise TypeError(
                        f"{other.__name__} and {schema.__name__} both show {kind.__name__}. "
                        f"{self._tag_advice()}"
                    )
        for kind in self._classes:
            found = nearest(by_class, kind)
            # A schema that names its classes rejects the rows of their subclasses.
            is_shown = kind in by_class or (found is not None and not self._named_classes(found))
            if not (is_shown or _is_abstract(kind)):
                raise TypeError(self._missing_text(kind))
        return by_class

    def are_tagged(self, schemas: Sequence[type[BaseModel]]) -> bool:
        """Return whether each of *schemas* names its classes in a field of the same name."""
        return all(
            self.tag in schema.model_fields and self._named_classes(schema) for schema in schemas
        )

    def _named_classes(self, schema: type[BaseModel]) -> Sequence[type[object]]:
        """Return the classes that a `Literal` of *schema* names. Empty without one."""
        literals = [
            field.annotation
            for name, field in schema.model_fields.items()
            if attribute_name(self.model, name, field) == self.tag
            and get_origin(field.annotation) is Literal
        ]
        known = {inspect(kind).polymorphic_identity: kind for kind in self._classes}
        identities = [identity for literal in literals for identity in get_args(literal)]
        for identity in identities:
            if identity not in known:
                raise TypeError(
                    f"{schema.__name__} names {self.model.__name__}.{self.tag} {identity!r}, but "
                    "no mapped class has this polymorphic_identity. Remove it."
                )
        return [known[identity] for identity in identities]

    def _fitting_class(self, schema: type[BaseModel]) -> type[object]:
        """Return the topmost class that has the attributes of *schema*."""
        fitting = [kind for kind in self._classes if not _missing_attributes(kind, schema)]
        top = [
            kind
            for kind in fitting
            if not any(kind is not other and issubclass(kind, other) for other in fitting)
        ]
        if not top:
            missing = min((_missing_attributes(kind, schema) for kind in self._classes), key=len)
            raise TypeError(
                f"{schema.__name__} shows {', '.join(missing)}, but neither {self.model.__name__} "
                "nor a subclass has all its attributes. Add it to a class, or give the field a "
                "default."
            )
        if len(top) > 1:
            found = " and ".join(kind.__name__ for kind in top)
            raise TypeError(f"{schema.__name__} fits {found}. {self._tag_advice()}")
        return top[0]

    def _tag_advice(self) -> str:
        """Return how a schema says which classes it shows."""
        tag = self.tag or "kind"
        return f"Give it the field {tag}: Literal[…], with the polymorphic_identity of its classes."

    def _missing_text(self, kind: type[object]) -> str:
        text = (
            f"read has no schema for rows of {kind.__name__}. Add {kind.__name__}Read to the union"
        )
        if kind is not self.model:
            return f"{text}. {self._tag_advice()}"
        return f"{text}, or map {kind.__name__} with polymorphic_abstract=True."


def _missing_attributes(kind: type[object], schema: type[BaseModel]) -> Sequence[str]:
    """Return the attributes that *kind* lacks, and *schema* needs."""
    names = [
        attribute_name(kind, name, field)
        for name, field in schema.model_fields.items()
        if field.is_required()
    ]
    return [name for name in names if not has_attribute(kind, name)]


def _is_abstract(kind: type[object]) -> bool:
    """Return whether there are no rows of *kind* itself."""
    mapper: Mapper[Any] = inspect(kind)
    return mapper.polymorphic_abstract or mapper.polymorphic_identity is None
