"""The source of schemas that fit a mapped model."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from brickwork.scaffold.model_fields import ModelField, model_fields
from brickwork.scaffold.names import Names
from brickwork.scaffold.rendering import format_python, render

_TAKEN: Final = {"Any", "Annotated", "Decimal", "Field", "Filter", "Literal", "Schema", "Search"}
"""Names of the module of schemas that no alias may replace."""


@dataclass(frozen=True)
class _Source:
    """A field of the schemas, as source."""

    name: str
    annotation: str
    input: str
    output: str
    alias: str
    values: str


def schemas_of_model(model: type[object], file: Path) -> str:
    """Return the source of the schemas and the query of *model*, in the format of *file*."""
    return format_python(unformatted_schemas(model), file)


def unformatted_schemas(model: type[object]) -> str:
    """Return the source of the schemas and the query of *model*, with spare imports."""
    plural = str(getattr(model, "__tablename__", model.__name__.lower()))
    module, name = model.__module__, model.__name__
    names = Names(name, plural)
    return render_schemas(names, model_fields(model), f"from {module} import {name}")


def render_schemas(names: Names, fields: Sequence[ModelField], model_import: str) -> str:
    """Return the source of the schemas of *fields*, with a line that imports the model."""
    taken = {*_TAKEN, *(f"{names.model}{part}" for part in ("", "Create", "Update", "Read"))}
    taken |= {re.split(r"\W", field.kind)[0] for field in fields}
    sources = {field.name: _source(field, taken) for field in fields}

    def select(condition: str, *, key: bool | None = None) -> list[_Source]:
        return [
            sources[field.name]
            for field in fields
            if getattr(field, condition) and key in {None, field.is_key}
        ]

    sorts, searched = select("is_sort"), select("is_searched")
    parts = ["filters"] if select("is_filter") else []
    parts += ["order"] if sorts else []
    parts += ["search"] if searched else []
    values: dict[str, Any] = {
        "row": names.row,
        "rows": names.rows,
        "noun": names.noun,
        "model": names.model,
        "model_import": model_import,
        "imports": sorted({line for field in fields for line in field.imports}),
        "choices": [source for source in sources.values() if source.alias],
        "keys": select("is_input", key=True),
        "inputs": select("is_input", key=False),
        "shown": select("is_shown"),
        "hidden": ", ".join(field.name for field in fields if not field.is_shown),
        "filters": select("is_filter"),
        "sorts": ", ".join(f'"{source.name}"' for source in sorts),
        "searched": _tuple_items(searched),
        "query_parts": _enumerate(parts) or "The parameters of the list",
    }
    return render("schemas.py", **values)


def _tuple_items(sources: Sequence[_Source]) -> str:
    names = ", ".join(f'"{source.name}"' for source in sources)
    return f"{names}," if len(sources) == 1 else names


def _enumerate(parts: Sequence[str]) -> str:
    """Return `The filters, the order and the search`."""
    named = [f"the {part}" for part in parts]
    *first, last = named or [""]
    text = f"{', '.join(first)} and {last}" if first else last
    return text[:1].upper() + text[1:]


def _source(field: ModelField, taken: set[str]) -> _Source:
    alias = _alias(field, taken)
    kind = alias or field.kind
    null = " | None" if field.nullable else ""
    limited = f"Annotated[{kind}, {', '.join(field.limits)}]" if field.limits else kind
    default = "" if field.default is None else f" = {field.default}"
    optional = " | None" if field.default == "None" else null
    return _Source(
        name=field.name,
        annotation=kind,
        input=f"{limited}{optional}{default}",
        output=f"{kind}{null}",
        alias=alias,
        values=", ".join(repr(choice) for choice in field.choices),
    )


def _alias(field: ModelField, taken: set[str]) -> str:
    """Return the name of the choices of *field*. Empty without choices."""
    if not field.choices:
        return ""
    name = "".join(_capitalized(field.name))
    while name in taken:
        name += "Value"
    taken.add(name)
    return name


def _capitalized(name: str) -> Iterator[str]:
    for word in name.split("_"):
        yield word.capitalize()
