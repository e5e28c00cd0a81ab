"""Compiled statements."""

from sqlalchemy import FunctionElement, String, bindparam, select
from sqlalchemy.dialects.sqlite import dialect

from brickwork.database.compiled import compile_statement
from tests.support.shop import Store

COLUMNS = {"code": Store.__table__.c.code}


class unheard_of(FunctionElement[str]):  # noqa: N801 — a function of SQL
    type = String()
    inherit_cache = True


def test_statement_with_a_parameter_is_compiled() -> None:
    rows = select(Store.code).where(Store.code == bindparam("code"))
    statement = compile_statement(rows, COLUMNS, dialect())
    assert statement
    assert statement.sql == "SELECT stores.code \nFROM stores \nWHERE stores.code = ?"
    assert statement.bind({"code": "a"}) == ["a"]


def test_expanding_parameter_is_not_compiled() -> None:
    rows = select(Store.code).where(Store.code.in_(["a", "b"]))
    assert compile_statement(rows, COLUMNS, dialect()) is None


def test_unknown_function_is_not_compiled() -> None:
    assert compile_statement(select(unheard_of()), COLUMNS, dialect()) is None


def test_missing_statement_is_not_compiled() -> None:
    assert compile_statement(None, COLUMNS, dialect()) is None
