"""Column names in SQL text."""

import pytest

from brickwork.database.sql_identifiers import (
    column_identifiers,
    parenthesised_tokens,
    tokenize,
    tokens_to_sql,
)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("price >= 0", ["price"]),
        ("PRICE>=low", ["PRICE", "low"]),
        ('"Total Width" > 0', ["Total Width"]),
        ('"a ""b""" > `c ``d``` + [e]', ['a "b"', "c `d`", "e"]),
        ("items.price > public.items.low", ["price", "low"]),
        ("length(name) > 0", ["name"]),
        ("name <> 'price' || E'it\\'s low' || $x$ high $x$", ["name"]),
        ("name <> 'it''s' -- price\n/* low\n */ || high", ["name", "high"]),
        ("CAST(size AS text) = name::price", ["size", "name"]),
        ('name COLLATE "C" > $1 + :low + 1e5', ["name"]),
        ("prix_été > 0", ["prix_été"]),
    ],
)
def test_columns_are_found_in_an_expression(sql: str, names: list[str]) -> None:
    keywords = {"AS", "COLLATE"}
    assert [name for name in column_identifiers(sql) if name not in keywords] == names


def test_group_ends_with_its_parenthesis() -> None:
    tokens = tokenize('CREATE INDEX x ON t (a, lower("b)")) WHERE (c > 0)')
    assert tokens_to_sql(parenthesised_tokens(tokens)) == '"a" , "lower" ( "b)" )'


def test_sql_without_parentheses_has_no_group() -> None:
    assert parenthesised_tokens(tokenize("a > 0")) == []
