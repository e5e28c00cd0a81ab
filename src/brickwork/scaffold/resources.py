"""New resources of a project."""

import builtins
import keyword
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import brickwork
from brickwork.scaffold.errors import ScaffoldError, reported_files
from brickwork.scaffold.field_specs import FieldSpec, parse_fields
from brickwork.scaffold.file_changes import write_files
from brickwork.scaffold.found_project import Project, find_project
from brickwork.scaffold.migration_process import write_migration
from brickwork.scaffold.model_fields import model_fields
from brickwork.scaffold.model_source import ModelSpec, Target, draft_model, model_source
from brickwork.scaffold.names import Names, pluralize, singular_of
from brickwork.scaffold.project_lock import locked_project
from brickwork.scaffold.python_source import bindings, hidden_names, parse_source, read_source
from brickwork.scaffold.rendering import format_change, format_files, render
from brickwork.scaffold.router_list import add_router, router_import
from brickwork.scaffold.schemas import render_schemas
from brickwork.scaffold.test_source import test_source

_MODEL: Final = re.compile(r"([A-Z][A-Za-z0-9]*)")
_PLURAL: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_NAME: Final = 25
"""PostgreSQL cuts names of indexes, which have the names of table and field, at 63 bytes."""

_IMPORTED: Final = {
    *("Annotated", "Any", "BigInteger", "CheckConstraint", "Decimal", "Double", "Field"),
    *("ForeignKey", "Index", "Literal", "Mapped", "MaxLen", "ProtectedResource", "String", "Text"),
    *("UUID",),
}
"""Names that the modules of a resource import."""

_PATHS: Final = {"assets", "docs", "problems", "redoc"}
"""The paths of pages of the service."""

_TABLES: Final = {
    *("alembic_version", "audit_entries", "idempotency_keys", "import_positions"),
    *("outbox_events", "outbox_positions"),
}


@dataclass(frozen=True)
class ResourceOptions:
    """The parts of a new resource beside its fields."""

    plural: str | None = None
    mixins: Sequence[str] = ("Timestamped",)
    migration: bool = True


@dataclass(frozen=True)
class NewResource:
    """A new resource and its files."""

    rows: str
    written: Sequence[Path]
    changed: Sequence[Path]
    migration: Path | None
    """The migration. None if the earlier ones make the table, or without the option."""
    is_protected: bool
    """Whether its endpoints follow the setting AUTH."""


def add_resource(
    folder: Path, model: str, texts: Sequence[str], options: ResourceOptions
) -> NewResource:
    """Add the resource of *model* to the project in *folder*. A failure changes nothing.

    Raises:
        ScaffoldError: A name or a field is wrong, or a file exists.
        MigrationFailure: The database with which the models are compared failed.

    """
    project = find_project(folder)
    with locked_project(folder), reported_files(folder):
        spec = _spec(project, model, texts, options)
        names = spec.names
        new = _new_files(project, spec)
        changed = _changed_files(project, names)
        is_protected = project.has_protected_resource
        with write_files(new, changed) as undo:
            format_files(*new)
            message = f"add {names.rows}"
            migration = write_migration(project, message, undo) if options.migration else None
    return NewResource(names.rows, [*new], [*changed], migration, is_protected)


def _spec(
    project: Project, model: str, texts: Sequence[str], options: ResourceOptions
) -> ModelSpec:
    """Return the model that the command line describes."""
    names = _names(project, model, options.plural)
    fields = parse_fields(texts)
    if not fields:
        raise ScaffoldError(f"{model} has no field: add one, as in name:str.")
    targets = {
        field.target: _target(project, field, names) for field in fields if field.is_reference
    }
    own = targets.get(model)
    if own and "SoftDelete" in options.mixins:
        targets[model] = replace(own, is_soft_deletable=True)
    spec = ModelSpec(names, fields, targets, options.mixins)
    _check_markers(spec)
    return spec


# --- Names ----------------------------------------------------------------------------------------


def _names(project: Project, model: str, plural: str | None) -> Names:
    if not _MODEL.fullmatch(model) or len(model) > _MAX_NAME:
        raise ScaffoldError(
            f"{model!r} is not a name of a model: write a capital and up to {_MAX_NAME - 1} "
            "letters and digits, in the singular, as in OrderLine."
        )
    if model in {*brickwork.__all__, *_IMPORTED, *dir(builtins)} or keyword.iskeyword(model):
        raise ScaffoldError(f"{model} is a name that the code of a resource imports. Rename it.")
    if plural is None and (singular := singular_of(model)):
        raise ScaffoldError(
            f"{model} is a plural: write {singular}, or the plural of {model} as --plural."
        )
    names = Names(model, plural or pluralize(model))
    _check_plural(project, names)
    if any(node.name == model for _, node in project.models()):
        raise ScaffoldError(f"{project.package} has a model {model} already. Choose another name.")
    return names


def _check_plural(project: Project, names: Names) -> None:
    plural = names.plural
    if not _PLURAL.fullmatch(plural) or len(plural) > _MAX_NAME + 5 or keyword.iskeyword(plural):
        raise ScaffoldError(
            f"{plural!r} is not a name of a package: write --plural in lower-case letters, digits "
            "and underscores, as in order_lines."
        )
    if names.resource == names.model:
        raise ScaffoldError(
            f"{names.model} is its own plural, but the model and the resource are two classes: "
            f"name another --plural, as in {plural}_items."
        )
    if plural in _PATHS | _TABLES:
        raise ScaffoldError(
            f"{plural} is the name of a page or a table of Brickwork: choose another --plural."
        )
    taken = [project.source / plural, project.source / f"{plural}.py", project.tests_of(plural)]
    if found := next((path for path in taken if path.exists()), None):
        raise ScaffoldError(
            f"{found.relative_to(project.folder)} exists: nothing is overwritten. Choose another "
            "name, or another --plural."
        )


def _target(project: Project, field: FieldSpec, names: Names) -> Target:
    """Return the model that *field* refers to."""
    if field.target == names.model:
        if not field.optional:
            raise ScaffoldError(
                f"{field.name}: the first {names.noun} would need another one. Make it optional: "
                f"{field.name}:ref({names.model})?"
            )
        return Target(names, is_soft_deletable=False, is_self=True)
    target = project.find_target(field.target)
    if target is None:
        known = ", ".join(node.name for _, node in project.models()) or "none yet"
        raise ScaffoldError(
            f"{field.name}: there is no resource {field.target}. Add it first: brickwork resource "
            f"{field.target} name:str. (Or name another model, as in {field.name}:ref(Category). "
            f"The models are: {known}.)"
        )
    if not project.has_creator(target.names):
        tests = project.tests_of(target.names.plural).relative_to(project.folder)
        raise ScaffoldError(
            f"{field.name}: {tests} has no function create_{target.names.variable}, which the new "
            "tests would call. Add it: it posts a body and returns the row."
        )
    return target


def _check_markers(spec: ModelSpec) -> None:
    """Raise `ScaffoldError` if a field has the name of a column that marks deleted rows."""
    markers = {f"{field.name}_is_deleted" for field in spec.fields if spec.hides(field)}
    for field in spec.fields:
        if field.attribute in markers:
            raise ScaffoldError(f"{field.name} marks references to deleted rows. Rename the field.")


# --- Files ----------------------------------------------------------------------------------------


def _new_files(project: Project, spec: ModelSpec) -> Mapping[Path, str]:
    names, folder = spec.names, project.source / spec.names.plural
    schemas = render_schemas(
        names, model_fields(draft_model(spec)), f"from .models import {names.model}"
    )
    endpoints = render(
        "endpoints.py",
        **{name: getattr(names, name) for name in ("model", "resource", "rows", "path")},
        package=project.package,
        is_protected=project.has_protected_resource,
    )
    new = {
        folder / "__init__.py": render("__init__.py", docstring=f"{names.rows.capitalize()}."),
        folder / "models.py": model_source(spec, project.package),
        folder / "schemas.py": schemas,
        folder / "endpoints.py": endpoints,
        project.tests_of(names.plural): test_source(spec),
    }
    for path, source in new.items():
        _check_names(source, path.relative_to(project.folder))
    return new


def _check_names(source: str, path: Path) -> None:
    """Raise `ScaffoldError` if a name of a field or a model hides another one."""
    tree = parse_source(source, path)
    counts = Counter(name for name, _ in {*bindings(tree)})
    twice = [name for name, count in counts.items() if count > 1]
    if twice := [*twice, *hidden_names(tree)]:
        raise ScaffoldError(
            f"{path} would have two meanings for {', '.join(twice)}. Rename the model, its plural, "
            "or the field of that name."
        )


def _changed_files(project: Project, names: Names) -> Mapping[Path, str]:
    """Return the list of resources with the new one."""
    path = project.routers
    before = read_source(path)
    parse_source(before, path)
    source = add_router(before, names.plural)
    if source is None:
        raise ScaffoldError(
            f"The router cannot be added to the tuple ROUTERS of {path.relative_to(project.folder)}"
            f". Add {names.plural} to it and this import, and run the command again: "
            f"{router_import(names.plural)}"
        )
    return {path: format_change(before, source, path)}
