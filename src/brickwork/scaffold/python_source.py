"""Python files of a project."""

import ast
from collections.abc import Iterator
from pathlib import Path

from brickwork.scaffold.errors import ScaffoldError


def read_source(path: Path) -> str:
    """Return the text of the file at *path*, with its line ends.

    Raises:
        ScaffoldError: It is not UTF-8.

    """
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ScaffoldError(f"{path} is not UTF-8. Convert it first.") from None


def parse_source(source: str, path: Path) -> ast.Module:
    """Return the syntax tree of *source*, the text of the file at *path*.

    Raises:
        ScaffoldError: It is not Python.

    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        place = f"{path}, line {error.lineno}"
        raise ScaffoldError(f"{place}: {error.msg}. Correct it first.") from None


def bound_names(tree: ast.Module) -> set[str]:
    """Return the names that a module binds."""
    return {name for name, _ in bindings(tree)}


def hidden_names(tree: ast.Module) -> list[str]:
    """Return the names of classes that hide a name of the module or one that the class reads."""
    hidden: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            names = [part for part in ast.walk(node) if isinstance(part, ast.Name)]
            read = {name.id for name in names if isinstance(name.ctx, ast.Load)}
            hidden |= {name for name, _ in bindings(node)} & (read | bound_names(tree))
    return sorted(hidden)


def bindings(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each name that a module binds, and its meaning: what is imported, or a line.

    *node* is its syntax tree. The names of a function, a class or a comprehension are its own.
    """
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield child.name, f"line {child.lineno}"
            case ast.Import():
                for alias in child.names:
                    yield alias.asname or alias.name.partition(".")[0], alias.name
            case ast.ImportFrom():
                module = "." * child.level + (child.module or "")
                for alias in child.names:
                    yield alias.asname or alias.name, f"{module} {alias.name}"
            case ast.Name(ctx=ast.Store()):
                yield child.id, f"line {child.lineno}"
            case (
                ast.Lambda() | ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp()
            ):
                pass
            case _:
                yield from bindings(child)
