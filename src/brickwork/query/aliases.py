"""Aliases of query parameters."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import AliasGenerator, BaseModel

from brickwork.query.filters import OPERATORS
from brickwork.schemas.names import input_path

_Generate = Callable[[str], Any]

_FIXED_NAMES: Final = {"limit", "offset", "cursor", "count", "sort", "q"}
"""The parameters that have a fixed name, since links and errors contain it."""


@dataclass(frozen=True)
class _PartwiseAlias:
    """A generator of filter aliases, which renames the columns and not the operator."""

    generate: _Generate

    def __call__(self, name: str) -> Any:
        if name in _FIXED_NAMES or name == "deleted":  # the parameter of soft delete
            return name
        *references, last = name.split("__")
        if not references:
            return self.generate(name)
        end = last if last in OPERATORS else self.generate(last)
        return "__".join(map(str, (*map(self.generate, references), end)))


def alias_by_part(generator: AliasGenerator | _Generate) -> AliasGenerator | _Generate:
    """Return *generator*, applied to each part of the name of a filter."""
    if isinstance(generator, AliasGenerator):
        kinds = ("alias", "validation_alias", "serialization_alias")
        functions = {kind: getattr(generator, kind) for kind in kinds}
        return AliasGenerator(
            **{kind: call and _wrap_generator(call) for kind, call in functions.items()}
        )
    return _wrap_generator(generator)


def _wrap_generator(generate: _Generate) -> _PartwiseAlias:
    return generate if isinstance(generate, _PartwiseAlias) else _PartwiseAlias(generate)


def require_fixed_names(query: type[BaseModel]) -> None:
    """Raise `TypeError` for an alias of a parameter with a fixed name."""
    for name in _FIXED_NAMES & query.model_fields.keys():
        if input_path(name, query.model_fields[name]) != (name,):
            raise TypeError(
                f"{query.__name__}.{name} has an alias, but links and errors use its own name: "
                "remove the alias."
            )


def sort_alias(query: type[BaseModel], name: str, shown: Mapping[str, str]) -> str:
    """Return the name of a column in *query*: of its filter, generated, or else *shown*."""
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
