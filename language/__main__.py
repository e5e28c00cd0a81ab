"""`python -m language`: checks docstrings and docs."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from language.rules import Fault, wrong, wrong_first_line

ROOT: Final = Path(__file__).parents[1]
_CODE: Final = ("src", "app", "examples")
_TEXTS: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/*.md")
_MARK: Final = "language: keep"
"""Where it stands in a line of a docstring, or before a paragraph, the text is left alone."""


_KINDS: Final[Mapping[type[ast.AST], str]] = {ast.Module: "module", ast.ClassDef: "class"}
_BLOCK: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Print the faults, and end with 1 if there are any."""
    found = sorted({*_in_code(), *_in_texts()})
    for each in found:
        print(f"{each.file}:{each.line}: {each.rule}: {each.text}")
    if found:
        counts = Counter(each.rule.partition(":")[0] for each in found)
        sys.exit(
            "The language has faults: " + ", ".join(f"rule {k}: {n}" for k, n in counts.items())
        )
    print("The language keeps the rules.")


def _in_code() -> Iterator[Fault]:
    for folder in _CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            for kind, line, text in _docstrings(ast.parse(path.read_text())):
                if _MARK not in text:
                    name = str(path.relative_to(ROOT))
                    for rule, words in (*wrong_first_line(kind, text), *wrong(text)):
                        yield Fault(name, line, rule, words)


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield the docstrings of *tree*, those of its attributes too, with kind and line."""
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                kind = _KINDS.get(type(node), "function")
                text = ast.get_docstring(node)
                for index, each in enumerate(node.body):
                    if isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant):
                        value = each.value.value
                        if isinstance(value, str) and (index or text is None):
                            yield "attribute", each.lineno, value
                if text is not None:
                    yield kind, node.body[0].lineno, text
            case _:
                pass


def _in_texts() -> Iterator[Fault]:
    for pattern in _TEXTS:
        for path in sorted(ROOT.glob(pattern)):
            for line, text in _paragraphs(path.read_text()):
                for rule, words in wrong(text):
                    yield Fault(str(path.relative_to(ROOT)), line, rule, words)


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Yield the paragraphs of a page, and the cells of its tables, each with its line."""
    bare = _BLOCK.sub(lambda match: "\n" * match[0].count("\n"), text)
    line = 1
    for paragraph in re.split(r"\n(?=\s*\n)", bare):
        if _MARK not in paragraph:
            rows = [row for row in paragraph.split("\n") if row.lstrip().startswith("|")]
            for row in rows:
                for cell in row.split("|"):
                    yield line, cell
            if not rows:
                yield line, paragraph
        line += paragraph.count("\n") + 1


if __name__ == "__main__":
    main()
