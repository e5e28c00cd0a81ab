"""The source of the tests of a resource."""

from collections.abc import Iterator
from typing import Any

from brickwork.scaffold.errors import ScaffoldError
from brickwork.scaffold.field_specs import FieldSpec
from brickwork.scaffold.model_fields import is_secret
from brickwork.scaffold.model_source import ModelSpec
from brickwork.scaffold.rendering import render


def test_source(spec: ModelSpec) -> str:
    """Return the source of the tests, unformatted."""
    body = dict(_body(spec))
    targets = {
        target.names.model: target.names
        for field in spec.fields
        if field.is_reference and not (target := spec.targets[field.target]).is_self
    }
    names = spec.names
    row = names.row.replace(" ", "_").lower()
    return render(
        "test_resource.py",
        **{name: getattr(names, name) for name in ("noun", "path", "plural", "rows", "variable")},
        row=names.row,
        row_id=row,
        targets=[*targets.values()],
        uniques=[field.attribute for field in spec.fields if _is_numbered(field)],
        references=[field.attribute for field in spec.fields if field.is_reference],
        body=body,
        hidden=[field.attribute for field in spec.fields if is_secret(field.attribute)],
        listed=_listed(spec),
        changed=_changed(spec),
        invalid=_invalid(spec),
        moving=_moving(spec),
    )


def _samples(field: FieldSpec) -> tuple[str, str]:
    return field.kind.samples(field.arguments)


def _is_numbered(field: FieldSpec) -> bool:
    """Return whether each row of a test needs a value of its own."""
    return field.unique and not field.is_reference


def _body(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """Yield the fields of a body with the sources of their values."""
    for field in spec.fields:
        if not field.is_reference:
            yield field.attribute, _numbered(field) if field.unique else _samples(field)[0]
        elif not spec.targets[field.target].is_self:
            variable = spec.targets[field.target].names.variable
            yield field.attribute, f'(await create_{variable}(client))["id"]'


def _numbered(field: FieldSpec) -> str:  # noqa: PLR0911 — a table of types
    """Return the source of a JSON value that differs for each `number`."""
    column: Any = field.kind.column(field.arguments)
    match field.type:
        case "str":
            return 'f"Alpha {number}"' if column.length >= 10 else "str(number)"  # noqa: PLR2004
        case "enum":
            return f"{[*field.choices]}[number % {len(field.choices)}]"
        case "int" | "bigint":
            return "number"
        case "float":
            return "number + 0.5"
        case "decimal":
            places = column.scale
            return f'f"{{number:.{places}f}}"' if places else "str(number)"
        case "date":
            return 'f"{2000 + number}-01-31"'
        case "datetime":
            return 'f"{2000 + number}-01-31T12:00:00Z"'
        case "time":
            return 'f"08:30:{number:02}"'
        case "uuid":
            return "str(uuid4())"
        case _:
            raise ScaffoldError(f"{field.name}: {field.type} cannot be unique.")


def _listed(spec: ModelSpec) -> dict[str, str] | None:
    """Return the field by which the test of the list sorts and filters. None without one."""
    for field in spec.fields:
        if field.kind.can_sort and not is_secret(field.attribute):
            first, second = _samples(field)
            if first != second:
                return {"name": field.attribute, "first": first, "second": second}
    return None


def _changed(spec: ModelSpec) -> dict[str, str]:
    """Return the field that the test of an update changes, with its other value."""
    for field in sorted(spec.fields, key=_reluctance):
        if not field.is_reference:
            return {"name": field.attribute, "value": _samples(field)[1], "reference": ""}
    field, *_ = spec.fields
    variable = spec.targets[field.target].names.variable
    return {"name": field.attribute, "value": "", "reference": variable}


def _reluctance(field: FieldSpec) -> tuple[bool, bool]:
    """Sort fields that responses show first, and fields of choices last."""
    return is_secret(field.attribute), bool(field.choices)


def _invalid(spec: ModelSpec) -> dict[str, str]:
    field, *_ = spec.fields
    return {"name": field.attribute, "value": field.kind.invalid}


def _moving(spec: ModelSpec) -> str:
    """Return the source of the set of fields that an update may change."""
    names = [_changed(spec)["name"]]
    names += ["updated_at"] if spec.is_timestamped else []
    names += ["version"] if "Versioned" in spec.mixins else []
    return "{" + ", ".join(f'"{name}"' for name in sorted(names)) + "}"
