"""Aliases of query parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AliasGenerator, BaseModel

from brickwork.query.filters import OPERATORS
from brickwork.schemas.names import input_path

_Generate = Callable[[str], Any]

_FIXED_NAMES: Final = {"limit", "offset", "cursor", "count", "sort", "q"}
"""The parameters that have one name in every application: links and errors tell it."""


@dataclass(frozen=True)
class _PartwiseAlias:
    """Generates the alias of a filter: of each column in its name, and not of the operator."""

    generate: _Generate

    def __call__(self, name: str) -> Any:
        if name in _FIXED_NAMES or name == "deleted":  # which a query of rows marked as deleted has
            return name
        *references, last = name.split("__")
        if not references:
            return self.generate(name)
        end = last if last in OPERATORS else self.generate(last)
        return "__".join(map(str, (*map(self.generate, references), end)))


def alias_by_part(generator: AliasGenerator | _Generate) -> AliasGenerator | _Generate:
    """Return *generator* such that it names filters part by part."""
    if isinstance(generator, AliasGenerator):
        kinds = ("alias", "validation_alias", "serialization_alias")
        known = {kind: getattr(generator, kind) for kind in kinds}
        return AliasGenerator(
            **{kind: each and _wrap_generator(each) for kind, each in known.items()}
        )
    return _wrap_generator(generator)


def _wrap_generator(generate: _Generate) -> _PartwiseAlias:
    return generate if isinstance(generate, _PartwiseAlias) else _PartwiseAlias(generate)


def require_fixed_names(query: type[BaseModel]) -> None:
    """Raise `TypeError` for an alias of a parameter that links and errors tell."""
    for name in _FIXED_NAMES & query.model_fields.keys():
        if input_path(name, query.model_fields[name]) != (name,):
            raise TypeError(
                f"{query.__name__}.{name} has an alias, and links and errors tell its own name: "
                "leave the alias out."
            )


def sort_alias(query: type[BaseModel], name: str, shown: Mapping[str, str]) -> str:
    """Return the name of a column in *query*: that of its filter, else as generated or *shown*."""
    if name in query.model_fields and (path := input_path(name, query.model_fields[name])) != (
        name,
    ):
        return str(path[0])
    match query.model_config.get("alias_generator"):
        case AliasGenerator() as generator:
            alias: Any = (generator.validation_alias or generator.alias or str)(name)
        case None:
            alias = shown.get(name, name)
        case generate:
            alias = generate(name)
    return str(alias)
