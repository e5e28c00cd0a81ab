"""The check of docstrings and docs."""

import pytest

from language.rules import wrong, wrong_first_line


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("Return the row.", []),
        ("Return the row, at once.", ["6: a banned word"]),
        ("Return `at once`.", []),
        ("Return " + "the very " * 12 + "row.", ["8: 26 words"]),
        ("Return " + "the very " * 12 + "[row](of/a/link).", ["8: 26 words"]),
        ("Return " + "the very " * 11 + "row. None if there is none.", []),
        ("- Return " + "the very " * 11 + "row\n- None if there is none", []),
    ],
)
def test_sentence_keeps_the_rules(text: str, rules: list[str]) -> None:
    assert [rule for rule, _ in wrong(text)] == rules


@pytest.mark.parametrize(
    ("kind", "text", "keeps"),
    [
        ("function", "Return the row.", True),
        ("function", "What a row shows.", False),
        ("function", "The row.", False),
        ("class", "A row.", True),
        ("class", "How far it is.", False),
        ("module", "Rows of a table.", True),
        ("module", "Where rows are.", False),
        ("module", "The " + "very " * 11 + "row.", False),
    ],
)
def test_first_line_keeps_the_rules(kind: str, text: str, keeps: bool) -> None:  # noqa: FBT001
    assert (not [*wrong_first_line(kind, text)]) == keeps
