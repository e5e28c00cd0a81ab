"""The list of resources in `routers.py`."""

import ast
from io import StringIO

from brickwork.scaffold.python_source import bound_names

LIST: str = "ROUTERS"
"""The name of the tuple with the routers."""


def router_import(package: str) -> str:
    """Return the line that imports the router of the resource in *package*."""
    return f"from .{package}.endpoints import router as {package}"


def add_router(source: str, package: str) -> str | None:
    """Return the *source* of `routers.py` with the router of *package*, unformatted.

    None if that is not one new import and one new item of a tuple or list.
    """
    tree = ast.parse(source)
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    values = [value for node in tree.body if (value := _list_in(node)) is not None]
    if len(values) != 1 or not imports or imports[-1].lineno > values[0].lineno:
        return None
    (value,) = values
    line = router_import(package)
    if package in bound_names(tree):
        is_item = any(isinstance(item, ast.Name) and item.id == package for item in value.elts)
        is_own = ast.dump(ast.parse(line).body[0]) in map(ast.dump, imports)
        return source if is_item and is_own else None
    lines = [*StringIO(source, newline="")]
    _append(lines, value, package)
    end = imports[-1].end_lineno or imports[-1].lineno
    lines.insert(end, f"{line}{_line_end(lines[0])}")
    added = "".join(lines)
    tree.body.insert(tree.body.index(imports[-1]) + 1, ast.parse(line).body[0])
    value.elts.append(ast.Name(package, ast.Load()))
    return added if _has_tree(added, tree) else None


def _line_end(line: str) -> str:
    return line[len(line.rstrip("\r\n")) :] or "\n"


def _has_tree(source: str, tree: ast.Module) -> bool:
    """Return whether *source* means *tree*. A comment or a bracket may be where none was seen."""
    try:
        return ast.dump(ast.parse(source)) == ast.dump(tree)
    except SyntaxError:
        return False


def _list_in(node: ast.stmt) -> ast.Tuple | ast.List | None:
    """Return the tuple or list that *node* assigns to `ROUTERS`. None for another statement."""
    match node:
        case (
            ast.AnnAssign(target=ast.Name(id=name), value=(ast.Tuple() | ast.List()) as value)
            | ast.Assign(targets=[ast.Name(id=name)], value=(ast.Tuple() | ast.List()) as value)
        ) if name == LIST:
            return value
        case _:
            return None


def _append(lines: list[str], value: ast.Tuple | ast.List, name: str) -> None:
    """Add *name* as the last item of *value*, in *lines*."""
    if not value.elts:
        line, column = (value.end_lineno or 0) - 1, (value.end_col_offset or 0) - 1
        text = f"{name}," if isinstance(value, ast.Tuple) else name
        _insert(lines, line, column, text)
        return
    last = value.elts[-1]
    line, column = (last.end_lineno or 0) - 1, last.end_col_offset or 0
    if value.lineno == value.end_lineno:  # else the comma says that each item has a line
        encoded = lines[line].encode()
        end = (value.end_col_offset or 0) - 1
        if encoded[column:end].strip() == b",":
            lines[line] = (encoded[:column] + encoded[end:]).decode()
    _insert(lines, line, column, f", {name}")


def _insert(lines: list[str], line: int, column: int, text: str) -> None:
    """Insert *text*; *column* counts bytes, as `ast` does."""
    encoded = lines[line].encode()
    lines[line] = (encoded[:column] + text.encode() + encoded[column:]).decode()
