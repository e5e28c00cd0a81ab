"""The reference, compared with the code."""

import ast
import inspect
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, get_args, get_origin

import pytest
from pydantic_core import core_schema

from app.settings import Settings
from brickwork import Database, Limits
from brickwork.problems import problem_types
from tests.support.pages import PAGES, ROOT, blocks

REFERENCE: Final = ROOT / "docs/reference"
MARK: Final = re.compile(r"^<!-- api: (\S+) -->$", re.MULTILINE)
NAMES: Final = [
    f"{module}.{name}"
    for module in ("brickwork", "brickwork.migrations", "brickwork.testing")
    for name in import_module(module).__all__
]


def sections() -> Mapping[str, list[str]]:
    """Return the sections of pages that document each public name."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for page in PAGES:
        for section in re.split(r"^(?=#+ )", page.read_text(), flags=re.MULTILINE):
            for mark in MARK.finditer(section):
                found[f"brickwork.{mark[1]}"].append(section)
    return found


SECTIONS: Final = sections()


def test_the_reference_has_the_public_names_alone() -> None:
    assert SECTIONS.keys() == {*NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_one_section_with_an_example(name: str) -> None:
    (section,) = SECTIONS[name]
    short = name.rpartition(".")[2]
    examples = [
        block.text
        for block in blocks(section)
        if block.language in {"python", "py"} and block.not_run is None
    ]
    assert any(re.search(rf"\b{short}\b", example) for example in examples)


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_a_docstring(name: str) -> None:
    module, _, short = name.rpartition(".")
    value: Any = getattr(import_module(module), short)
    own = vars(value).get("__doc__") if isinstance(value, type) else value.__doc__
    assert short in described_constants() if get_origin(value) else own


@cache
def described_constants() -> set[str]:
    """Return the constants of the library with a docstring below them."""
    return {
        target.id
        for path in (ROOT / "src/brickwork").rglob("*.py")
        for node, text in pairwise(ast.parse(path.read_text()).body)
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def table(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the first table below *heading*, without its head."""
    _, _, text = page.read_text().partition(f"## {heading}\n")
    lines = [line for line in text.partition("\n#")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_page_of_problems_has_every_code() -> None:
    expected = [
        [
            str(int(problem.status)),
            f"`{problem.code}`",
            f"`{problem.__name__}`",
            " ".join((inspect.getdoc(problem) or "").partition("\n\n")[0].split()),
            problem.remedy,
        ]
        for problem in problem_types()
        if problem.__module__ == "brickwork.problems"
    ]
    assert table(REFERENCE / "problems.md", "Codes of problems") == expected


def test_the_page_of_problems_has_every_code_of_an_error() -> None:
    rows = table(REFERENCE / "problems.md", "Codes of errors")
    pydantic = set(get_args(core_schema.ErrorType))
    codes = {*error_codes()} - pydantic - {"string_type"}
    assert [row[0].strip("`") for row in rows] == sorted(codes)


def error_codes() -> Iterator[str]:
    """Yield the codes of errors in the source."""
    for path in (ROOT / "src/brickwork").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name("ErrorDetail"), keywords=keywords):
                    values = [word.value for word in keywords if word.arg == "code"]
                case ast.Call(func=ast.Name("PydanticCustomError"), args=[value, *_]):
                    values = [value]
                case ast.AnnAssign(target=ast.Name("_CODES"), value=ast.Dict(values=values)):
                    pass
                case ast.AnnAssign(
                    target=ast.Name(
                        "_NOT_UNIQUE" | "_NO_SUCH_ROW" | "_NOT_NULLABLE" | "_CHECK_FAILED"
                    ),
                    value=ast.Tuple(elts=[value, _]),
                ):
                    values = [value]
                case ast.AnnAssign(target=ast.Name("_DETAILS"), value=ast.Dict(keys=keys)):
                    values = [key for key in keys if key]
                case _:
                    continue
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def test_the_page_of_settings_has_the_settings_of_the_service() -> None:
    rows = table(REFERENCE / "settings.md", "The reference service")
    assert [(row[0], row[1]) for row in rows] == [
        (f"`{name.upper()}`", shown(field.get_default()))
        for name, field in Settings.model_fields.items()
    ]


def shown(default: object) -> str:
    text = default if isinstance(default, str) else json.dumps(default, default=lambda _: "")
    return f"`{text}`" if text.strip('"') else ""


def test_the_contract_has_the_limits() -> None:
    rows = table(REFERENCE / "contract.md", "Limits")
    limits = {re.findall(r"`(\w+)`", row[0])[0]: row[1].replace(" ", "") for row in rows}
    assert limits == {item.name: str(item.default) for item in fields(Limits)}


def test_the_page_of_the_database_has_its_arguments() -> None:
    rows = table(REFERENCE / "api/database.md", "`Database`")
    parameters = [*inspect.signature(Database).parameters.values()]
    assert [(row[0], row[1]) for row in rows] == [
        (f"`{item.name}`", "" if item.default is item.empty else str(item.default))
        for item in parameters
    ]
