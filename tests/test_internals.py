"""Private names of other libraries, which only some modules may use."""

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

import brickwork

INTERNALS = {
    "brickwork.database.driver_internals",
    "brickwork.http.fastapi_internals",
    "brickwork.http.starlette_internals",
    "brickwork.request_internals",
    "brickwork.sqlalchemy_internals",
}
"""The modules that may use private names, each with a test of every name."""

OVERRIDDEN = {
    # tests/database/test_pool.py; nothing public has a pool's queue, limits and hooks.
    "brickwork.database.pool.FairPool": {
        "_dec_overflow",
        "_do_get",
        "_invalidate_time",
        "_is_hard_or_soft_invalidated",
        "_max_overflow",
        "_overflow",
        "_pool",
        "_queue_class",
        "_timeout",
    },
}
"""The classes outside these modules that use private names of a base class."""

ALLOWED = {
    # tests/database/test_migrations.py; Alembic's, in one function there.
    ("brickwork.database.migrations", "_repr_type"),
    # tests/http/test_workers.py; multiprocessing's, in one function there.
    ("brickwork.http.workers", "_args"),
    ("brickwork.http.workers", "_kwargs"),
}
"""Private names that another module has behind one function."""

MODULES: dict[str, ModuleType] = {
    name: importlib.import_module(name)
    for _, name, _ in pkgutil.walk_packages(brickwork.__path__, "brickwork.")
    if not name.endswith("__main__")
}

PRIVATE = re.compile(r"_[a-z]\w*")
SCOPE_KEY = re.compile(r"app_root_path|fastapi|fastapi_\w+|fastapi\.\w+|starlette\.\w+")
"""Keys of a scope that only FastAPI and Starlette know."""


def tree_of(module: ModuleType) -> ast.Module:
    return ast.parse(Path(str(module.__file__)).read_text())


def private_uses(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the private names of other code in *tree*, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue
            case ast.Attribute(attr=name) if PRIVATE.fullmatch(name) or name == "dispatch":
                yield name, node.lineno
            case ast.ImportFrom(module=str(module), names=names) if not _is_own(module):
                parts = [*module.split("."), *(alias.name for alias in names)]
                yield from ((name, node.lineno) for name in parts if name.startswith("_"))
            case ast.Import(names=names):
                parts = [part for alias in names for part in alias.name.split(".")]
                yield from ((name, node.lineno) for name in parts if name.startswith("_"))
            case ast.keyword(arg=str(name)) if PRIVATE.fullmatch(name):
                yield name, node.value.lineno
            case ast.Call(args=arguments):  # getattr, hasattr, attrgetter, vars(…).get
                yield from _private_texts(arguments)
            case ast.Subscript(slice=ast.Constant() as key):
                yield from _private_texts([key])
            case _:
                continue


def scope_keys(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield the private scope keys in *tree*, with their lines."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(slice=key):
                keys = [key]
            case ast.Call(func=ast.Attribute(attr="get" | "pop" | "setdefault"), args=[key, *_]):
                keys = [key]
            case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()]):
                keys = [key]
            case ast.Dict(keys=[None, *keys]):  # {**scope, key: value}
                ...
            case ast.AnnAssign(value=ast.Constant() as key):
                keys = [key]
            case _:
                continue
        for key in keys:
            if isinstance(key, ast.Constant) and SCOPE_KEY.fullmatch(str(key.value)):
                yield str(key.value), key.lineno


def _is_own(module: str) -> bool:
    return module == "__future__" or module.partition(".")[0] == "brickwork"


def _private_texts(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, int]]:
    for node in nodes:
        if isinstance(node, ast.Constant) and PRIVATE.fullmatch(str(node.value)):
            yield str(node.value), node.lineno


@pytest.mark.parametrize("name", sorted(MODULES.keys() - INTERNALS))
def test_module_uses_no_private_name(name: str) -> None:
    tree = tree_of(MODULES[name])
    overridden = {
        used
        for qualified, names in OVERRIDDEN.items()
        if qualified.rpartition(".")[0] == name
        for used in names
    }
    uses = [
        f"{used}, line {line}"
        for used, line in (*private_uses(tree), *scope_keys(tree))
        if (name, used) not in ALLOWED and used not in overridden
    ]
    assert not uses, "put each behind a function of an internals module, with a test"


# --- Base classes of other libraries --------------------------------------------------------------

CLASSES: dict[str, type[Any]] = {
    f"{name}.{kind.__qualname__}": kind
    for name, module in MODULES.items()
    for kind in vars(module).values()
    if inspect.isclass(kind) and kind.__module__ == name and "[" not in kind.__name__
}


def foreign_bases(kind: type[Any]) -> Sequence[type[Any]]:
    """Return the classes of other libraries that *kind* inherits from."""
    return [
        base
        for base in kind.__mro__[1:]
        if base.__module__.partition(".")[0] not in {"brickwork", "builtins", "typing", "abc"}
    ]


DERIVED = {name for name, kind in CLASSES.items() if foreign_bases(kind)}


def own_private_names(kind: type[Any]) -> set[str]:
    """Return the private names that *kind* defines, or uses on itself."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(dedent(inspect.getsource(kind)))):
        match node:
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
                names.add(name)
            case ast.Attribute(value=ast.Call(func=ast.Name(id="super")), attr=name):
                names.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                names.add(name)
            case _:
                continue
    return {name for name in names if PRIVATE.fullmatch(name)}


def private_names_of_bases(kind: type[Any]) -> set[str]:
    """Return the private names in *kind* that a base class of another library has too."""
    source = "\n".join(_source(base) for base in foreign_bases(kind))  # type: ignore[arg-type]
    return {name for name in own_private_names(kind) if re.search(rf"\b{name}\b", source)}


@cache
def _source(kind: type[Any]) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return " ".join(vars(kind))


@pytest.mark.parametrize("name", sorted(DERIVED - OVERRIDDEN.keys()))
def test_class_uses_no_private_name_of_its_base(name: str) -> None:
    if CLASSES[name].__module__ not in INTERNALS:
        assert private_names_of_bases(CLASSES[name]) == set()


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_overriding_class_uses_names_that_its_base_has(name: str) -> None:
    kind = CLASSES[name]
    used = {used for used, _ in private_uses(tree_of(MODULES[kind.__module__]))}
    assert private_names_of_bases(kind) | used == OVERRIDDEN[name]


@pytest.mark.parametrize("name", sorted(DERIVED))
def test_overridden_methods_are_methods_of_a_base(name: str) -> None:
    kind = CLASSES[name]
    others = [
        method
        for method, function in vars(kind).items()
        if getattr(getattr(function, "fget", function), "__override__", False)
        and not any(method in vars(base) for base in kind.__mro__[1:])
    ]
    assert not others, "the library renamed them"


# --- The check itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("row._x", "_x"),
        ("super()._x()", "_x"),
        ("getattr(row, '_x', None)", "_x"),
        ("vars(row)['_x']", "_x"),
        ("vars(row).get('_x')", "_x"),
        ("attrgetter('_x')", "_x"),
        ("call(_x=1)", "_x"),
        ("from package import _x", "_x"),
        ("from package._x import name", "_x"),
        ("import package._x", "_x"),
        ("engine.dispatch.begin", "dispatch"),
    ],
)
def test_private_name_is_found(source: str, name: str) -> None:
    assert [*private_uses(ast.parse(source))] == [(name, 1)]


@pytest.mark.parametrize(
    "source", ["self._x", "cls._x", "row.__dict__", "from brickwork import _x"]
)
def test_own_name_is_not_found(source: str) -> None:
    assert not [*private_uses(ast.parse(source))]


@pytest.mark.parametrize(
    "source",
    [
        "scope['fastapi']",
        "scope.get('fastapi_inner_astack')",
        "'app_root_path' in scope",
        "{**scope, 'fastapi': {}}",
        "KEY: Final = 'starlette.max_body_size'",
    ],
)
def test_scope_key_is_found(source: str) -> None:
    assert len([*scope_keys(ast.parse(source))]) == 1


class Base:
    def __init__(self) -> None:
        self._x = 1


class Derived(Base):
    _y = 1

    def read(self) -> int:
        return self._x + self._y


def test_private_name_of_a_base_is_found() -> None:
    assert private_names_of_bases(Derived) == {"_x"}
