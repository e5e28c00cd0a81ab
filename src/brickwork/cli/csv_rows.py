"""CSV cells, converted to the types of a schema's fields."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Annotated, Any, Final, LiteralString

from pydantic import BaseModel, BeforeValidator, GetCoreSchemaHandler, create_model
from pydantic_core import CoreSchema, PydanticCustomError
from typing_extensions import override

from brickwork.cli.errors import UsageError
from brickwork.problems import Problem
from brickwork.schemas.names import input_path
from brickwork.schemas.schema import Schema
from brickwork.schemas.strict_json import parse_json
from brickwork.schemas.strictness import apply_column_bounds, make_strict

_SCALAR_TYPES: Final = {"string", "integer", "number", "boolean", "null"}


class _TextSchema(Schema):
    """A schema whose values are text, like query parameters."""

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        schema = make_strict(handler(source), handler.resolve_ref_schema, from_text=True)
        return apply_column_bounds(schema, cls.__bounds__)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class CSVRowReader:
    """Validates rows of text with *schema*. An empty cell of a *nullable* column is null."""

    schema: type[Schema]
    nullable: Collection[str]

    def validate(self, row: Mapping[str, str]) -> Schema:
        """Validate *row*. Raises `ValidationError` with all errors."""
        values = {k: v or None for k, v in row.items() if v or k in self.nullable}
        return self.schema.model_validate(values)


def csv_row_reader(schema: type[Schema], columns: Sequence[str]) -> CSVRowReader:
    """Return a reader of rows with these *columns*. Raises `UsageError` for unknown columns.

    Cells are converted like query parameters. A field that may be an object or an array takes JSON.
    """
    document = schema.model_json_schema()
    properties: Mapping[str, Any] = document.get("properties", {})
    types = {name: {*_json_types(node, document)} for name, node in properties.items()}
    if unknown := sorted({*columns} - types.keys()):
        raise UsageError(
            f"There is no field {', '.join(unknown)}: the columns may be {', '.join(types)}."
        )
    documents = {name for name, of_field in types.items() if of_field - _SCALAR_TYPES}
    return CSVRowReader(
        schema=_text_schema(schema, documents),
        nullable={name for name, of_field in types.items() if "null" in of_field},
    )


def _json_types(node: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the types that a *node* of a JSON schema admits."""
    if "$ref" in node:
        yield from _json_types(document["$defs"][node["$ref"].rpartition("/")[2]], document)
        return
    for alternative in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _json_types(alternative, document)
    if "anyOf" not in node and "oneOf" not in node:
        is_enum = "enum" in node or "const" in node
        yield node.get("type", "string" if is_enum else "object")


def _text_schema(schema: type[Schema], documents: Collection[str]) -> type[Schema]:
    """Derive a schema that reads text, and JSON in the fields *documents*."""
    fields: dict[str, Any] = {
        name: (Annotated[field.annotation, BeforeValidator(_parse_json_cell)], copy(field))
        for name, field in schema.model_fields.items()
        if input_path(name, field)[0] in documents
    }
    return create_model(
        schema.__name__,
        __base__=(_TextSchema, schema),
        __module__=schema.__module__,
        __cls_kwargs__={"bounds": schema.__bounds__},
        **fields,
    )


def _parse_json_cell(text: str | None) -> object:
    try:
        return None if text is None else parse_json(text.encode(errors="surrogatepass"))
    except Problem as problem:
        code: LiteralString = problem.errors[0].code if problem.errors else problem.code  # pyright: ignore[reportAssignmentType]
        detail = problem.detail.replace("The body", "The cell").replace("line 1, ", "")
        raise PydanticCustomError(code, "{detail}", {"detail": detail}) from None
