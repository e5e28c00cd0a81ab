"""Definition of a resource, shared by its endpoints."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar

from pydantic import BaseModel
from sqlalchemy.orm.interfaces import ORMOption

from brickwork.problems import ErrorDetail, UnprocessableContent
from brickwork.query.embedding import EmbeddedFields
from brickwork.query.keys import BATCH, primary_key
from brickwork.query.list_query import ListQuery
from brickwork.query.polymorphism import PolymorphicFields
from brickwork.resource.resource import Resource
from brickwork.resource.row_schemas import RowSchemas
from brickwork.schemas.names import field_pointer
from brickwork.schemas.schema import Schema

M = TypeVar("M")


@dataclass(frozen=True, kw_only=True)
class ResourceDefinition(Generic[M]):
    """The class, the model and the schemas of one resource."""

    resource: type[Resource[M]]
    model: type[M]
    shown: RowSchemas
    """The read schema, or the read schemas by the class of a row."""
    create: type[Schema]
    update: type[Schema]
    replace: type[Schema]
    change: type[Schema]
    query: type[ListQuery[M]]
    embedded: EmbeddedFields | PolymorphicFields
    variants: Sequence["ResourceDefinition[M]"] = ()
    """The definitions with the other read schemas of `Resource.read_schema`."""

    @cached_property
    def read(self) -> type[BaseModel]:
        """Return the read schema, with the fields of all if there are several."""
        return self.shown.fields

    @cached_property
    def written_options(self) -> Sequence[ORMOption]:
        """Return the loader options of rows to be written, with what responses and changes need."""
        names = (*self.create.model_fields, *self.update.model_fields)
        return self.embedded.written_options(names)

    def key(self, row: object) -> object:
        """Return the key of *row*."""
        key: object = getattr(row, primary_key(self.model).key)
        return key

    def require_path(self, row: object) -> None:
        """Raise `UnprocessableContent` if the key of a new *row* cannot be a path segment."""
        key = self.key(row)
        if isinstance(key, str) and (key in {"", ".", "..", BATCH} or "/" in key):
            text = f"A key is one path segment without a slash, and not {BATCH}: send another key."
            place = field_pointer(primary_key(self.model).key, self.create)
            raise UnprocessableContent(
                text, errors=[ErrorDetail(code="no_path", detail=text, pointer=place)]
            )
