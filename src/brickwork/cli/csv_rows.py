"""The cells of a table: text, of which each is read as the type of its field has it."""

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
    """A schema whose values come as text, as those of a query do."""

    @classmethod
    @override
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler, /
    ) -> CoreSchema:
        schema = make_strict(handler(source), handler.resolve_ref_schema, written=True)
        return apply_column_bounds(schema, cls.__bounds__)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class CSVRowReader:
    """How rows of text become a *schema*; an empty cell of a *nullable* column is null."""

    schema: type[Schema]
    nullable: Collection[str]

    def read(self, row: Mapping[str, str]) -> Schema:
        """Return what *row* says; raises `ValidationError` with all that is wrong."""
        given = {k: v or None for k, v in row.items() if v or k in self.nullable}
        return self.schema.model_validate(given)


def csv_row_reader(schema: type[Schema], columns: Sequence[str]) -> CSVRowReader:
    """Return how rows of these *columns* become a *schema*; raises `UsageError` for unknown ones.

    Text is converted as a query would; the cell of a field that is an object or an array, or may
    be one, holds JSON.
    """
    document = schema.model_json_schema()
    properties: Mapping[str, Any] = document.get("properties", {})
    kinds = {name: {*_json_types(each, document)} for name, each in properties.items()}
    if unknown := sorted({*columns} - kinds.keys()):
        raise UsageError(
            f"There is no field {', '.join(unknown)}: the columns may be {', '.join(kinds)}."
        )
    return CSVRowReader(
        schema=_text_schema(schema, {name for name, each in kinds.items() if each - _SCALAR_TYPES}),
        nullable={name for name, each in kinds.items() if "null" in each},
    )


def _json_types(node: Mapping[str, Any], document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the types that a *node* of a JSON schema admits."""
    if "$ref" in node:
        yield from _json_types(document["$defs"][node["$ref"].rpartition("/")[2]], document)
        return
    for each in (*node.get("anyOf", ()), *node.get("oneOf", ())):
        yield from _json_types(each, document)
    if "anyOf" not in node and "oneOf" not in node:
        listed = "enum" in node or "const" in node
        yield node.get("type", "string" if listed else "object")


def _text_schema(schema: type[Schema], documents: Collection[str]) -> type[Schema]:
    """Return *schema* such that it reads text, and JSON in the fields that *documents* names."""
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
