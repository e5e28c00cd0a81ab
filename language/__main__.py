"""`python -m language`: checks docstrings and docs."""

import ast
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from language.rules import Fault, wrong, wrong_first_line, wrong_test_name, wrong_words

ROOT: Final = Path(__file__).parents[1]
_CODE: Final = (
    "src",
    "app",
    "examples",
    "tests",
    "typing_tests",
    "benchmarks",
    "documentation",
    "language",
)
_TEXTS: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**/*.md", "examples/*/*.md")
_RECORDS: Final = "docs/decisions/*.md"
"""Old decisions keep their long sentences. Only their words are checked."""

_MARK: Final = "language: keep"
"""Where it stands in a line of a docstring, or before a paragraph, the text is left alone."""


_KINDS: Final[Mapping[type[ast.AST], str]] = {ast.Module: "module", ast.ClassDef: "class"}
_BLOCK: Final = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def main() -> None:
    """Print the faults, and end with 1 if there are any."""
    found = sorted({*_in_code(), *_in_texts()})
    for fault in found:
        print(f"{fault.file}:{fault.line}: {fault.rule}: {fault.text}")
    if found:
        counts = Counter(fault.rule.partition(":")[0] for fault in found)
        sys.exit(
            "The language has faults: " + ", ".join(f"rule {k}: {n}" for k, n in counts.items())
        )
    print("The language keeps the rules.")


def _in_code() -> Iterator[Fault]:
    for folder in _CODE:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name, tree = str(path.relative_to(ROOT)), ast.parse(path.read_text())
            for kind, line, text in _docstrings(tree):
                if _MARK not in text:
                    for rule, words in (*wrong_first_line(kind, text), *wrong(text)):
                        yield Fault(name, line, rule, words)
            for line, (rule, words) in _wrong_names(tree):
                yield Fault(name, line, rule, words)


def _wrong_names(tree: ast.Module) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yield the tests and the loop variables of *tree* that have a wrong name."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if node.name.startswith("test_"):
                for fault in wrong_test_name(node.name):
                    yield node.lineno, fault
            case ast.For() | ast.AsyncFor() | ast.comprehension():
                for name in ast.walk(node.target):
                    if isinstance(name, ast.Name) and name.id == "each":
                        yield name.lineno, ("7: a loop variable is a noun", "each")
            case _:
                pass


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Yield the docstrings of *tree*, those of its attributes too, with kind and line."""
    for node in ast.walk(tree):
        match node:
            case ast.Module() | ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                kind = _KINDS.get(type(node), "function")
                text = ast.get_docstring(node)
                for index, statement in enumerate(node.body):
                    if isinstance(statement, ast.Expr) and isinstance(
                        statement.value, ast.Constant
                    ):
                        value = statement.value.value
                        if isinstance(value, str) and (index or text is None):
                            yield "attribute", statement.lineno, value
                if text is not None:
                    yield kind, node.body[0].lineno, text
            case _:
                pass


def _in_texts() -> Iterator[Fault]:
    for pattern in _TEXTS:
        for path in sorted(ROOT.glob(pattern)):
            check = wrong_words if path.match(_RECORDS) else wrong
            for line, text in _paragraphs(path.read_text()):
                for rule, words in check(text):
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
