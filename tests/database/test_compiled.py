"""Statements that are compiled once: only those whose SQL is the same for all values."""

from sqlalchemy import FunctionElement, String, bindparam, select
from sqlalchemy.dialects.sqlite import dialect

from brickwork.database.compiled import compile_statement
from tests.support.shop import Store

COLUMNS = {"code": Store.__table__.c.code}


class unheard_of(FunctionElement[str]):  # noqa: N801 — a function of SQL
    type = String()
    inherit_cache = True


def test_statement_with_a_parameter() -> None:
    rows = select(Store.code).where(Store.code == bindparam("code"))
    statement = compile_statement(rows, COLUMNS, dialect())
    assert statement
    assert statement.sql == "SELECT stores.code \nFROM stores \nWHERE stores.code = ?"
    assert statement.bind({"code": "a"}) == ["a"]


def test_number_of_values_is_part_of_the_sql() -> None:
    rows = select(Store.code).where(Store.code.in_(["a", "b"]))
    assert compile_statement(rows, COLUMNS, dialect()) is None


def test_unknown_function_has_no_sql() -> None:
    assert compile_statement(select(unheard_of()), COLUMNS, dialect()) is None


def test_no_statement_is_none() -> None:
    assert compile_statement(None, COLUMNS, dialect()) is None
