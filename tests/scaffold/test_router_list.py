"""The list of resources in `routers.py`."""

from pathlib import Path

import pytest

from brickwork.scaffold.rendering import format_python
from brickwork.scaffold.router_list import add_router

IMPORTS = "from fastapi import APIRouter\n"
ADDED = IMPORTS + "from .products.endpoints import router as products\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("ROUTERS = ()", "ROUTERS = (products,)"),
        ("ROUTERS = []", "ROUTERS = [products]"),
        ("ROUTERS = (a,)", "ROUTERS = (a, products)"),
        ("ROUTERS: tuple[APIRouter, ...] = (a, b)", None),
        ("ROUTERS = [a]", "ROUTERS = [a, products]"),
        ("ROUTERS = (  # é\n    a,  # one\n)", "ROUTERS = (  # é\n    a, products,  # one\n)"),
        ('X = "é"; ROUTERS = (a,)', 'X = "é"; ROUTERS = (a, products)'),
    ],
)
def test_the_router_is_the_last_item(before: str, after: str | None) -> None:
    after = after or before.replace(")", ", products)")
    assert add_router(f"{IMPORTS}\n{before}\n", "products") == f"{ADDED}\n{after}\n"


def test_the_result_is_formatted() -> None:
    source = add_router(f"{IMPORTS}\nROUTERS: tuple[APIRouter, ...] = (\n    a,\n)\n", "b") or ""
    assert "    a,\n    b,\n)" in format_python(source, Path("routers.py"))


@pytest.mark.parametrize(
    "before",
    ["\f", 'X = "\u2028"', 'X = "\x0b"', 'X = "\x85"', "# é", "import listeners"],
    ids=["form feed", "separator", "tab", "next line", "not ASCII", "import"],
)
def test_other_lines_stay(before: str) -> None:
    source = add_router(f"{IMPORTS}{before}\nROUTERS = ()\n", "products") or ""
    added = "from .products.endpoints import router as products\n"
    assert source.replace(added, "") == f"{IMPORTS}{before}\nROUTERS = (products,)\n"


def test_line_ends_stay() -> None:
    source = f"{IMPORTS}\nROUTERS = ()\n".replace("\n", "\r\n")
    after = f"{ADDED}\nROUTERS = (products,)\n".replace("\n", "\r\n")
    assert add_router(source, "products") == after


def test_a_listed_router_stays() -> None:
    source = f"{ADDED}\nROUTERS = (products,)\n"
    assert add_router(source, "products") == source


@pytest.mark.parametrize(
    "source",
    [
        f"{IMPORTS}\nROUTERS = tuple(find())\n",
        f"{IMPORTS}\nROUTERS = ()\nROUTERS = ()\n",
        f"ROUTERS = ()\n{IMPORTS}",
        f"{IMPORTS}\nOTHERS = ()\n",
        "ROUTERS = ()\n",
        f"{IMPORTS}\nROUTERS = ((a),)\n",
        f"{IMPORTS}\nROUTERS = [(a)]\n",
        f"{IMPORTS}\nROUTERS = (a  # one\n)\n",
        "from fastapi import APIRouter; ROUTERS = ()\n",
        f"{IMPORTS}from .shop import products\n\nROUTERS = ()\n",
        f"{IMPORTS}from .shop import products\n\nROUTERS = (products,)\n",
        f"{ADDED}\nROUTERS = ()\n",
    ],
    ids=[
        *("a call", "twice", "before the imports", "another name", "no import"),
        *("a parenthesis", "a parenthesis in a list", "a comment", "one line"),
        *("another import of the name", "another router of the name", "only the import"),
    ],
)
def test_another_shape_is_not_changed(source: str) -> None:
    assert add_router(source, "products") is None
