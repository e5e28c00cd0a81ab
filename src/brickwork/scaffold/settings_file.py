"""The example of an `.env`, from the class of the settings."""

import ast
from collections.abc import Iterator
from typing import Any


def example_settings(source: str) -> str:
    """Return the lines of an `.env` with each setting in the *source* of `settings.py`."""
    tree = ast.parse(source)
    settings = next(
        node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings"
    )
    return "\n".join(_lines(settings.body))


def _lines(body: list[ast.stmt]) -> Iterator[str]:
    for statement, following in zip(body, [*body[1:], None], strict=True):
        if not (isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)):
            continue
        yield from (f"# {line.strip()}" for line in _docstring(following).splitlines())
        yield f"# {statement.target.id.upper()}={_value(statement.value)}"
        yield ""


def _docstring(statement: ast.stmt | None) -> str:
    match statement:
        case ast.Expr(value=ast.Constant(value=str() as text)):
            return text
        case _:
            return ""


def _value(node: ast.expr | None) -> str:
    """Return the text of a default in an environment variable."""
    match node:
        case ast.Constant(value=bool() as value):
            return str(value).lower()
        case ast.Constant(value=value):
            return str(value)
        case ast.Call(args=[argument]):
            return _value(argument)
        case ast.expr():
            literal: Any = ast.unparse(node)
            return str(literal)
        case _:
            return ""
