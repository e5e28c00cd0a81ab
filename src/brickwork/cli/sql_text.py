"""SQL as a text for people."""

import re
from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from typing import Any, Final

from sqlalchemy import Dialect, Select

from brickwork.cli.placeholders import Placeholder
from brickwork.database.compiled import BoundStatement
from brickwork.database.driver import KEY_PARAM, KEYS_PARAM

_WIDTH: Final = 96

_NAMES: Final = {KEY_PARAM: "id", KEYS_PARAM: "ids"}
"""Names of the parameters that requests call differently."""

_QUOTED: Final = r"""'(?:[^']|'')*' | "(?:[^"]|"")*" """

_SOLID: Final = str.maketrans(" \n", "\ue000\ue001")
"""Replaces the white space of quoted texts, in which no line may break."""

_FLUID: Final = str.maketrans("\ue000\ue001", " \n")

_PARAMETERS: Final = re.compile(
    rf"""
    {_QUOTED}
    | (?P<amount> \b(?:LIMIT|OFFSET)\s )? (?: (?P<next>\?) | \$(?P<number>\d+) )
    | __\[POSTCOMPILE_ (?P<list>\w+?) (?: ~~.*?~~ )? \]
    """,
    re.VERBOSE,
)

_CLAUSES: Final = re.compile(
    rf"""
    (?P<quoted> {_QUOTED} )
    | (?P<parenthesis> [()] )
    | \s+ (?P<clause>
        (?: (?<!DISTINCT\s)(?<!DELETE\s)FROM | WHERE | SET | SELECT | VALUES
          | RETURNING | ORDER\sBY | LIMIT | (?:LEFT\sOUTER\s)?JOIN
          | FOR\s(?:NO\s)?(?:KEY|UPDATE|SHARE) ) \b )
    | \s+
    """,
    re.VERBOSE,
)


def statement_text(bound: BoundStatement) -> str:
    """Return the SQL of the statement executor, a line a clause, with named parameters."""
    statement = bound.statement
    return _format(statement.sql, statement.names, {**statement.values, **bound.values})


def query_text(query: Select[Any], dialect: Dialect) -> str:
    """Return the SQL of a query of the ORM, a line a clause, with named parameters."""
    compiled: Any = query.compile(dialect=dialect)
    values = {name: bind.value for name, bind in compiled.binds.items()}
    lists = {compiled.bind_names[bind] for bind in compiled.post_compile_params}
    names = [name for name in compiled.positiontup if name not in lists]
    return _format(str(compiled), names, values)


def _format(sql: str, names: Sequence[str], values: Mapping[str, Any]) -> str:
    """Name the parameters of *sql*, which are *names* in this order, and break its lines."""
    following = iter(names)

    def name_parameter(match: re.Match[str]) -> str:
        if (listed := match["list"]) is not None:
            return _placeholder(listed, values)
        if match["number"] is None and match["next"] is None:
            return match[0]
        name = next(following) if match["next"] else names[int(match["number"]) - 1]
        if amount := match["amount"]:
            return f"{amount}:{amount.strip().lower()}"
        return _placeholder(name, values)

    lines = _break_lines(_PARAMETERS.sub(name_parameter, sql))
    return "\n".join(line.translate(_FLUID) for line in lines)


def _placeholder(name: str, values: Mapping[str, Any]) -> str:
    if isinstance(value := values.get(name), Placeholder):
        return f":{value!r}"
    stored, own = name.removeprefix("brickwork_still_"), name.removeprefix(f"{KEY_PARAM}_")
    return f":stored.{stored}" if stored != name else f":{_NAMES.get(name, own)}"


def _break_lines(sql: str) -> Iterator[str]:
    depth = 0

    def break_clause(match: re.Match[str]) -> str:
        nonlocal depth
        if text := match["quoted"]:
            return text.translate(_SOLID)
        if text := match["parenthesis"]:
            depth += 1 if text == "(" else -1
            return text
        if clause := match["clause"]:
            return (" " if depth else "\n") + clause
        return " "

    for line in _CLAUSES.sub(break_clause, sql).split("\n"):
        yield from wrap(
            line, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
